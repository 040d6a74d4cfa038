// Semaphore and BoundedSemaphore: CPython's _TestSemaphore in both forms, in the main thread and in worker threads, and
// what Python does not have: Held, abort, thousands of promises.
import { once } from 'node:events'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { EVERYWHERE } from './places'

afterEach(() => expect(mp.activeChildren()).toEqual([]))

const code = (c: string) => expect.objectContaining({ code: c })

describe.each(EVERYWHERE)('%s, %s', (_place, _form, run) => {
  it('counts its permits', () =>
    run(async (mp, { assert }, form) => {
      const acquire = async (s: mp.Semaphore, o?: object) => (form === 'sync' ? s.acquireSync(o) : s.acquire(o))
      for (const sem of [new mp.Semaphore(2), new mp.BoundedSemaphore(2)]) {
        assert.equal(sem.value, 2)
        assert.notEqual(await acquire(sem), null)
        assert.equal(sem.value, 1)
        assert.notEqual(await acquire(sem), null)
        assert.equal(sem.value, 0)
        assert.equal(await acquire(sem, { timeout: 0 }), null)
        assert.equal(sem.tryAcquire(), null)
        assert.equal(sem.value, 0)
        assert.equal(sem.release(), undefined)
        assert.equal(sem.value, 1)
        assert.equal(sem.release(), undefined)
        assert.equal(sem.value, 2)
        if (sem instanceof mp.BoundedSemaphore) {
          assert.throws(() => sem.release(), { code: 'ERR_MP_RELEASED_TOO_OFTEN' })
          assert.throws(() => sem.release(), mp.StateError)
          assert.equal(sem.value, 2)
        } else {
          sem.release()
          assert.equal(sem.value, 3)
          sem.release()
          assert.equal(sem.value, 4)
        }
      }
    }))

  it('a time-out gives null, not before its time, and takes nothing', () =>
    run(async (mp, { assert }, form) => {
      const acquire = async (o?: object) => (form === 'sync' ? sem.acquireSync(o) : sem.acquire(o))
      const sem = new mp.Semaphore(0)
      for (const timeout of [0, -5]) assert.equal(await acquire({ timeout }), null)
      for (const timeout of [40, 120]) {
        const start = performance.now()
        assert.equal(await acquire({ timeout }), null)
        assert.ok(performance.now() - start >= timeout - 1)
      }
      assert.equal(sem.value, 0)
      sem.release()
      assert.notEqual(await acquire({ timeout: 40 }), null)
      assert.equal(sem.value, 0)
    }))

  it('a Held gives back its permit once', () =>
    run(async (mp, { assert }, form) => {
      const sem = new mp.Semaphore(3)
      const one = (form === 'sync' ? sem.acquireSync() : await sem.acquire())!
      const two = (form === 'sync' ? sem.acquireSync() : await sem.acquire())!
      assert.equal(one.abandoned, false)
      one.release()
      one.release()
      one[Symbol.dispose]()
      assert.equal(sem.value, 2)
      two[Symbol.dispose]()
      two.release()
      assert.equal(sem.value, 3)
    }))

  it('a permit released by another process wakes who waits for it', () =>
    run(async (mp, t, form) => {
      const sem = new mp.Semaphore(0)
      const acquired = new mp.Value('i', 0)
      for (let i = 0; i < 3; i++)
        t.start(async () => {
          if (form === 'sync') sem.acquireSync()
          else await sem.acquire()
          acquired.add(1)
        })
      await t.settle()
      t.assert.equal(acquired.value, 0)
      for (let n = 1; n <= 3; n++) {
        sem.release()
        await t.until(() => acquired.value === n, `acquisition ${n}`)
      }
      t.assert.equal(sem.value, 0)
      // And the other way: a child releases for us.
      t.start(() => sem.release())
      t.assert.notEqual(form === 'sync' ? sem.acquireSync() : await sem.acquire(), null)
    }))

  it('never lets more in than it has permits, and loses none', () =>
    run(async (mp, t, form) => {
      const sem = new mp.Semaphore(2)
      const inside = new mp.Value('i', 0)
      const most = new mp.Value('i', 0)
      const done = new mp.Value('i', 0)
      const work = async (blocking: boolean) => {
        for (let i = 0; i < 300; i++) {
          const held = blocking ? sem.acquireSync() : await sem.acquire()
          const n = inside.add(1) + 1
          if (n > 2) most.value = n
          if (i % 10 === 0 && !blocking) await new Promise((resolve) => setImmediate(resolve))
          inside.sub(1)
          done.add(1)
          held.release()
        }
      }
      for (let i = 0; i < 4; i++) t.start(work, form === 'sync' || i % 2 === 0)
      await work(form === 'sync')
      await t.joinAll()
      t.assert.equal(most.value, 0)
      t.assert.equal(done.value, 1500)
      t.assert.equal(sem.value, 2)
    }))

  it('arrives in a child as the same semaphore of the same class', () =>
    run(async (mp, t, form) => {
      const sem = new mp.BoundedSemaphore(2, { name: 'seats' })
      sem.acquireSync()
      t.start(
        async ({ inner }: any) => {
          if (inner.constructor.name !== 'BoundedSemaphore' || inner.name !== 'seats') throw new Error('another class')
          if (inner.value !== 1) throw new Error(`another value: ${inner.value}`)
          inner.release()
          try {
            inner.release()
          } catch (error: any) {
            if (error.code === 'ERR_MP_RELEASED_TOO_OFTEN') return
          }
          throw new Error('not bounded')
        },
        { inner: sem },
      )
      await t.joinAll()
      t.assert.equal(sem.value, 2)
      t.assert.notEqual(form === 'sync' ? sem.acquireSync() : await sem.acquire(), null)
    }))
})

it('an aborted wait rejects with the reason, has taken nothing and loses no permit', async () => {
  const sem = new mp.Semaphore(0)
  const reason = new Error('changed my mind')
  await expect(sem.acquire({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  for (let i = 0; i < 50; i++) {
    const control = new AbortController()
    const aborted = sem.acquire({ signal: control.signal })
    const patient = sem.acquire()
    // The permit and the abort come together: whoever does not take it passes it on.
    sem.release()
    control.abort(reason)
    const first = await aborted.then(
      () => 'acquired',
      (error) => error,
    )
    if (first === 'acquired') sem.release()
    else expect(first).toBe(reason)
    await patient
    expect(sem.value).toBe(0)
  }
  expect(() => sem.acquireSync({ signal: new AbortController().signal } as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
})

it('thousands of promises wait at once, and each gets a permit', async () => {
  const sem = new mp.Semaphore(0)
  let inside = 0
  let most = 0
  const all = Array.from({ length: 5000 }, () =>
    sem.with(async () => {
      most = Math.max(most, ++inside)
      await null
      inside--
    }),
  )
  for (let i = 0; i < 3; i++) sem.release()
  await Promise.all(all)
  expect(most).toBeLessThanOrEqual(3)
  expect(sem.value).toBe(3)
})

it('with and withSync give the permit back however their function ends', async () => {
  const sem = new mp.BoundedSemaphore(1, { name: 'seat' })
  expect(sem.withSync(() => sem.value)).toBe(0)
  expect(await sem.with(async () => sem.value)).toBe(0)
  const fail = () => {
    throw new Error('inside')
  }
  expect(() => sem.withSync(fail)).toThrow('inside')
  await expect(sem.with(fail)).rejects.toThrow('inside')
  expect(sem.value).toBe(1)
  sem.acquireSync()
  expect(() => sem.withSync(() => 1, { timeout: 0 })).toThrow(mp.TimeoutError)
  await expect(sem.with(() => 1, { timeout: 5 })).rejects.toThrow("'seat'")
  expect(sem.value).toBe(0)
})

it('the initial value is checked', () => {
  for (const C of [mp.Semaphore, mp.BoundedSemaphore]) {
    for (const value of [-1, 1.5, 2 ** 30 + 1, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => new C(value)).toThrow(code('ERR_OUT_OF_RANGE'))
    for (const value of ['1', null, {}]) expect(() => new C(value as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(new C().value).toBe(1)
    expect(new C(2 ** 30).value).toBe(2 ** 30)
    expect(() => new C(1, { name: 3 } as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
  }
})

it('shows its state, and says when it is closed', async () => {
  const sem = new mp.Semaphore(2, { name: 'seats' })
  expect(sem.name).toBe('seats')
  expect(inspect(sem)).toMatch(/^Semaphore \{ name: 'seats', value: 2/)
  sem.close()
  sem[Symbol.dispose]()
  for (const call of [() => sem.acquireSync(), () => sem.release(), () => sem.tryAcquire(), () => sem.value])
    expect(call).toThrow(code('ERR_MP_CLOSED'))
  await expect(sem.acquire()).rejects.toThrow(mp.ClosedError)
  expect(inspect(sem)).toBe('Semaphore { closed: true }')
})

it('a worker blocked on a semaphore can be terminated', async () => {
  const worker = new Worker(
    `const mp = require('multiproc')
     const sem = new mp.Semaphore(0)
     require('node:worker_threads').parentPort.postMessage('blocked')
     sem.acquireSync()`,
    { eval: true },
  )
  await once(worker, 'message')
  await worker.terminate()
})

it('a pending asynchronous wait keeps its process alive', async () => {
  const sem = new mp.Semaphore(0)
  const waiting = new mp.Value('bool', false)
  const child = new mp.Process({
    target: async () => {
      waiting.value = true
      await sem.acquire()
    },
  })
  child.start()
  while (!waiting.value) await new Promise((resolve) => setImmediate(resolve))
  expect(await child.join({ timeout: 30 })).toBe(false)
  sem.release()
  expect(await child.join({ timeout: 20_000 })).toBe(true)
  expect(child.exitCode).toBe(0)
})
