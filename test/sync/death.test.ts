// Owners that are killed: five hundred SIGKILLs of lock holders and waiters, blocking and asynchronous ones mixed, with
// counters that are checked after each and at the end.
import * as mp from 'multiproc'
import { expect, it } from 'vitest'
import { KILLED } from '../killed'

const KILLS = Number(process.env.MULTIPROC_KILLS ?? 500)
const CHILDREN = 4

it('a lock whose owner died is handed over, marked as abandoned', async () => {
  for (const lock of [new mp.Lock(), new mp.RLock()])
    for (const take of [() => lock.acquireSync(), () => lock.acquire(), async () => lock.tryAcquire()!]) {
      const ready = new mp.Value('bool', false)
      const child = new mp.Process({
        target: (l, r) => {
          l.acquireSync()
          l.acquireSync({ timeout: 0 })
          r.value = true
          setInterval(() => {}, 1000)
        },
        args: [lock as mp.Lock, ready],
      })
      child.start()
      while (!ready.value) await new Promise((resolve) => setImmediate(resolve))
      expect(lock.owner?.pid).toBe(child.pid)
      child.kill()
      await child.join()
      expect(lock.owner).toBeNull()
      const held = await take()
      expect(held.abandoned).toBe(true)
      held.release()
      const next = lock.acquireSync()
      expect(next.abandoned).toBe(false)
      next.release()
      expect(lock.locked()).toBe(false)
    }
})

it('a blocked waiter learns of the death while it waits', () => {
  const lock = new mp.Lock()
  const ready = new mp.Value('bool', false)
  const child = new mp.Process({
    target: (l, r) => {
      l.acquireSync()
      r.value = true
      process.kill(process.pid, 'SIGKILL')
    },
    args: [lock, ready],
  })
  child.start()
  while (!ready.value) {}
  const held = lock.acquireSync()
  expect(held.abandoned).toBe(true)
  held.release()
  expect(child.joinSync()).toBe(true)
  expect(child.exitCode).toBe(KILLED)
})

it(`${KILLS} random kills: nobody hangs, nobody reads torn data`, {
  timeout: Math.max(400_000, KILLS * 1000),
}, async () => {
  const lock = new mp.Lock({ name: 'fuzzed' })
  const data = new mp.SharedArray('i', 2, { lock: false }) // both equal `done` whenever the lock is free
  const done = new mp.Value('i', 0)
  const violations = new mp.Value('i', 0)
  const recoveries = new mp.Value('i', 0)

  const work = async (blocking: boolean) => {
    for (;;) {
      const held = blocking ? lock.acquireSync() : await lock.acquire()
      if (held.abandoned) {
        recoveries.add(1)
        data[0] = data[1] = done.value
      } else if (data[0] !== done.value || data[1] !== done.value) violations.add(1)
      data[0]! += 1
      done.add(1)
      data[1]! += 1
      held.release()
    }
  }
  const start = (i: number) => {
    const child = new mp.Process({ target: work, args: [i % 2 === 0] })
    child.start()
    return child
  }
  let seed = 20261121
  const random = () => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31
    return seed / 2 ** 31
  }
  const children = Array.from({ length: CHILDREN }, (_, i) => start(i))
  for (let kill = 0; kill < KILLS; kill++) {
    const before = done.value
    const deadline = performance.now() + 20_000
    while (done.value < before + 5) {
      if (performance.now() > deadline)
        throw new Error(`nobody got on after kill ${kill}: ${done.value}, owner ${JSON.stringify(lock.owner)}`)
      await new Promise((resolve) => setTimeout(resolve, random() * 3))
    }
    // Half of the victims are whoever holds the lock just now.
    const owner = random() < 0.5 ? lock.owner : null
    const at = children.findIndex((child) => child.pid === owner?.pid)
    const victim = at >= 0 ? at : Math.floor(random() * CHILDREN)
    children[victim]!.kill()
    await children[victim]!.join()
    expect(children[victim]!.exitCode).toBe(-9)
    children[victim] = start(victim)
  }
  for (const child of children) child.kill()
  for (const child of children) await child.join()
  const held = (await lock.acquire({ timeout: 20_000 }))!
  if (held.abandoned) data[0] = data[1] = done.value
  expect([...data]).toEqual([done.value, done.value])
  expect(violations.value).toBe(0)
  expect(recoveries.value).toBeGreaterThan(0)
  held.release()
  expect(mp.activeChildren()).toEqual([])
})
