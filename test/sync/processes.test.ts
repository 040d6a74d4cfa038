// Locks between processes and worker threads: exclusion, who is the owner, and what travels.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import * as mp from 'multiproc'
import { afterEach, expect, it } from 'vitest'

afterEach(() => expect(mp.activeChildren()).toEqual([]))

async function inChild<T extends (...args: any[]) => unknown>(target: T, ...args: Parameters<T>): Promise<void> {
  const child = new mp.Process({ target, args } as any)
  child.start()
  await child.join()
  expect(child.exitCode).toBe(0)
}

it.each(['sync', 'async', 'mixed'])('increments under a lock are not lost (%s)', async (form) => {
  const lock = new mp.Lock()
  const counter = new mp.SharedArray('i', 1, { lock: false })
  const add = async (blocking: boolean) => {
    for (let i = 0; i < 2000; i++) {
      const held = blocking ? lock.acquireSync() : await lock.acquire()
      counter[0]! += 1
      held.release()
    }
  }
  const children = [0, 1, 2, 3].map(
    (i) => new mp.Process({ target: add, args: [form === 'sync' || (form === 'mixed' && i % 2 === 0)] }),
  )
  for (const child of children) child.start()
  await add(false)
  for (const child of children) await child.join()
  expect(counter[0]).toBe(10_000)
})

it('a plain lock may be released by another process, an rlock only by its owner', async () => {
  const lock = new mp.Lock()
  lock.acquireSync()
  await inChild((l) => l.release(), lock)
  expect(lock.locked()).toBe(false)

  const rlock = new mp.RLock({ name: 'mine' })
  rlock.acquireSync()
  const said = new mp.SharedArray('c', 200)
  await inChild(
    (l, out) => {
      try {
        l.release()
      } catch (error: any) {
        out.set(new TextEncoder().encode(`${error.code} ${error.message}`))
      }
    },
    rlock,
    said,
  )
  expect(new TextDecoder().decode(Uint8Array.from(said)).replace(/\0+$/, '')).toBe(
    `ERR_MP_NOT_OWNER RLock 'mine' is held by process ${process.pid}, thread 0: only its owner may release it`,
  )
  rlock.release()
})

it('a lock that arrives in a child is the same lock, of the same class', async () => {
  const lock = new mp.RLock({ name: 'shared' })
  const seen = new mp.Value('i', 0)
  lock.acquireSync()
  await inChild(
    (nested: any, out, parentPid) => {
      const { inner } = nested.list[0]
      if (inner.constructor.name !== 'RLock' || inner.name !== 'shared') throw new Error('another class')
      if (inner.owner.pid !== parentPid || inner.owner.threadId !== 0) throw new Error('another owner')
      out.value = inner.acquireSync({ timeout: 20 }) === null ? 1 : 2
    },
    { list: [{ inner: lock }] },
    seen,
    process.pid,
  )
  expect(seen.value).toBe(1)
  lock.release()
})

it('an asynchronous wait keeps its process alive, and the child that releases late is waited for', async () => {
  const lock = new mp.Lock()
  const order = new mp.SharedArray('i', 4)
  const held = lock.acquireSync()
  const child = new mp.Process({
    target: async () => {
      order[0] = 1
      const h = await lock.acquire() // nothing else keeps the child's event loop alive
      order[1] = 2
      h.release()
    },
  })
  child.start()
  while (order[0] === 0) await new Promise((resolve) => setImmediate(resolve))
  expect(await child.join({ timeout: 20 })).toBe(false)
  held.release()
  expect(await child.join()).toBe(true)
  expect([...order]).toEqual([1, 2, 0, 0])
})

it('worker threads are owners of their own, and share locks by what they are started with', async () => {
  // A worker starts a process; all three use one value and its lock.
  const worker = new Worker(
    `const mp = require('multiproc')
     const value = new mp.Value('i', 0)
     const add = (v) => { for (let i = 0; i < 500; i++) v.getLock().withSync(() => { v.value += 1 }) }
     const child = new mp.Process({ target: add, args: [value] })
     child.start()
     add(value)
     child.joinSync()
     const lock = new mp.Lock()
     lock.acquireSync()
     require('node:worker_threads').parentPort.postMessage([value.value, lock.owner, child.exitCode])`,
    { eval: true },
  )
  const { threadId } = worker // −1 as soon as it has ended
  const [[total, owner, exitCode]] = await once(worker, 'message')
  expect([total, exitCode]).toEqual([1000, 0])
  expect(owner).toEqual({ pid: process.pid, threadId })
  await worker.terminate()
})

it('a worker blocked on a lock can be terminated, and the lock stays usable', async () => {
  const worker = new Worker(
    `const mp = require('multiproc')
     const lock = new mp.Lock()
     lock.acquireSync()
     require('node:worker_threads').parentPort.postMessage('blocked')
     lock.acquireSync()`,
    { eval: true },
  )
  await once(worker, 'message')
  await worker.terminate()
  const lock = new mp.Lock()
  lock.acquireSync().release()
})
