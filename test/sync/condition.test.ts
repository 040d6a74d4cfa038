// Condition: CPython's _TestCondition in both forms, in the main thread and in worker threads, and what Python does not
// have: abort, tasks of one thread, thousands of waiters.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { EVERYWHERE } from './places'

afterEach(() => expect(mp.activeChildren()).toEqual([]))

const code = (c: string) => expect.objectContaining({ code: c })

describe.each(EVERYWHERE)('%s, %s', (_place, _form, run) => {
  it('notify wakes one', () =>
    run(async (mp, t, form) => {
      const cond = new mp.Condition()
      const [sleeping, woken] = [new mp.Semaphore(0), new mp.Semaphore(0)]
      const f = async () => {
        const held = form === 'sync' ? cond.acquireSync() : await cond.acquire()
        sleeping.release()
        const result = form === 'sync' ? cond.waitSync() : await cond.wait()
        if (result !== true) throw new Error('no notification')
        woken.release()
        held.release()
      }
      t.start(f)
      t.start(f)
      await sleeping.acquire()
      await sleeping.acquire()
      await t.settle()
      t.assert.equal(woken.value, 0)
      for (let n = 1; n <= 2; n++) {
        // Who is let in here knows that both wait: they let go of the lock by waiting only.
        if (form === 'sync') cond.withSync(() => cond.notify())
        else await cond.with(() => cond.notify())
        await t.until(() => woken.value === n, `waiter ${n}`)
        await t.settle()
        t.assert.equal(woken.value, n)
      }
    }))

  it('notifyAll wakes all, also after others have timed out', () =>
    run(async (mp, t, form) => {
      const cond = new mp.Condition()
      const [sleeping, woken] = [new mp.Semaphore(0), new mp.Semaphore(0)]
      const f = async (timeout: number | undefined) => {
        const held = form === 'sync' ? cond.acquireSync() : await cond.acquire()
        sleeping.release()
        const result = form === 'sync' ? cond.waitSync({ timeout }) : await cond.wait({ timeout })
        if (result !== (timeout === undefined)) throw new Error(`waited with result ${result}`)
        woken.release()
        held.release()
      }
      for (let i = 0; i < 3; i++) t.start(f, 30)
      for (let i = 0; i < 3; i++) await woken.acquire()
      t.assert.equal(woken.value, 0)
      for (let i = 0; i < 3; i++) await sleeping.acquire()
      for (let i = 0; i < 4; i++) t.start(f, undefined)
      for (let i = 0; i < 4; i++) await sleeping.acquire()
      await t.settle()
      t.assert.equal(woken.value, 0)
      if (form === 'sync') cond.withSync(() => cond.notifyAll())
      else await cond.with(() => cond.notifyAll())
      await t.until(() => woken.value === 4, 'all waiters')
    }))

  it('notify(n) wakes n, and no more than there are', () =>
    run(async (mp, t, form) => {
      const cond = new mp.Condition()
      const [sleeping, woken] = [new mp.Semaphore(0), new mp.Semaphore(0)]
      for (let i = 0; i < 4; i++)
        t.start(async () => {
          const held = form === 'sync' ? cond.acquireSync() : await cond.acquire()
          sleeping.release()
          if (form === 'sync') cond.waitSync()
          else await cond.wait()
          woken.release()
          held.release()
        })
      for (let i = 0; i < 4; i++) await sleeping.acquire()
      for (const [n, expected] of [
        [0, 0],
        [2, 2],
        [4, 4],
        [3, 4],
      ] as const) {
        if (form === 'sync') cond.withSync(() => cond.notify(n))
        else await cond.with(() => cond.notify(n))
        await t.until(() => woken.value >= expected, `${expected} waiters`)
        await t.settle()
        t.assert.equal(woken.value, expected)
      }
      // A notification that nobody waited for is not kept.
      const held = form === 'sync' ? cond.acquireSync() : await cond.acquire()
      t.assert.equal(form === 'sync' ? cond.waitSync({ timeout: 5 }) : await cond.wait({ timeout: 5 }), false)
      held.release()
    }))

  it('a timed-out wait gives false, not before its time, and holds the lock again', () =>
    run(async (mp, { assert }, form) => {
      for (const lock of [new mp.Lock(), new mp.RLock()]) {
        const cond = new mp.Condition(lock)
        const held = form === 'sync' ? cond.acquireSync() : await cond.acquire()
        for (const timeout of [0, -1, 60]) {
          const start = performance.now()
          assert.equal(form === 'sync' ? cond.waitSync({ timeout }) : await cond.wait({ timeout }), false)
          assert.ok(performance.now() - start >= timeout - 1)
          assert.equal(lock.owner?.pid, process.pid)
        }
        held.release()
        assert.equal(lock.locked(), false)
      }
    }))

  it('waitFor waits for its predicate', () =>
    run(async (mp, t, form) => {
      const cond = new mp.Condition()
      const state = new mp.Value('i', -1)
      t.start(async () => {
        const held = form === 'sync' ? cond.acquireSync() : await cond.acquire()
        state.value = 0
        cond.notify()
        const result =
          form === 'sync'
            ? cond.waitForSync(() => state.value === 4)
            : await cond.waitFor(async () => state.value === 4)
        if (result !== true || state.value !== 4) throw new Error(`${result} ${state.value}`)
        held.release()
      })
      const held = form === 'sync' ? cond.acquireSync() : await cond.acquire()
      const result =
        form === 'sync' ? cond.waitForSync(() => state.value === 0) : await cond.waitFor(() => state.value === 0)
      t.assert.equal(result, true)
      t.assert.equal(state.value, 0)
      held.release()
      for (let i = 0; i < 4; i++) {
        await new Promise((resolve) => setTimeout(resolve, 5))
        const inside = form === 'sync' ? cond.acquireSync() : await cond.acquire()
        state.value += 1
        cond.notify()
        inside.release()
      }
      await t.joinAll()
    }))

  it('waitFor times out over all its waits together', () =>
    run(async (mp, t, form) => {
      const cond = new mp.Condition()
      const state = new mp.Value('i', 0)
      const ready = new mp.Semaphore(0)
      t.start(async () => {
        ready.release()
        const held = form === 'sync' ? cond.acquireSync() : await cond.acquire()
        const start = performance.now()
        const options = { timeout: 100 }
        const result =
          form === 'sync'
            ? cond.waitForSync(() => state.value === 4, options)
            : await cond.waitFor(() => state.value === 4, options)
        const passed = performance.now() - start
        held.release()
        if (result !== false || passed < 99) throw new Error(`${result} after ${passed} ms`)
      })
      await ready.acquire()
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve) => setTimeout(resolve, 10))
        if (form === 'sync')
          cond.withSync(() => {
            state.value += 1
            cond.notify()
          })
        else
          await cond.with(() => {
            state.value += 1
            cond.notify()
          })
      }
      await t.joinAll()
    }))

  it('the result of wait says whether there was a notification', () =>
    run(async (mp, t, form) => {
      const cond = new mp.Condition()
      const held = form === 'sync' ? cond.acquireSync() : await cond.acquire()
      t.assert.equal(form === 'sync' ? cond.waitSync({ timeout: 0 }) : await cond.wait({ timeout: 0 }), false)
      t.assert.equal(form === 'sync' ? cond.waitSync({ timeout: 30 }) : await cond.wait({ timeout: 30 }), false)
      t.start(() => cond.withSync(() => cond.notify()))
      const options = { timeout: t.patience }
      t.assert.equal(form === 'sync' ? cond.waitSync(options) : await cond.wait(options), true)
      held.release()
    }))

  it('wait lets go of every level of an rlock, and takes as many again', () =>
    run(async (mp, t, form) => {
      const lock = new mp.RLock()
      const cond = new mp.Condition(lock)
      const seen = new mp.Value('i', 0)
      for (let i = 0; i < 3; i++) form === 'sync' ? cond.acquireSync() : await cond.acquire()
      t.start(() => {
        lock.withSync(() => {
          seen.value = 1
          cond.notify()
        })
      })
      t.assert.equal(form === 'sync' ? cond.waitSync() : await cond.wait(), true)
      t.assert.equal(seen.value, 1)
      for (let i = 0; i < 3; i++) {
        t.assert.equal(lock.locked(), true)
        cond.release()
      }
      t.assert.equal(lock.locked(), false)
    }))

  it('who does not hold the lock may neither wait nor notify', () =>
    run(async (mp, t, form) => {
      for (const lock of [undefined, new mp.Lock(), new mp.RLock()]) {
        const cond = new mp.Condition(lock)
        const calls = [
          () => cond.notify(),
          () => cond.notifyAll(),
          () => (form === 'sync' ? cond.waitSync() : cond.wait()),
          () => (form === 'sync' ? cond.waitForSync(() => false) : cond.waitFor(() => false)),
        ]
        for (const call of calls) t.assert.equal((await t.errorOf(call))?.code, 'ERR_MP_NOT_OWNER')
        const held = new mp.Value('bool', false)
        const done = new mp.Event()
        t.start(() => {
          cond.acquireSync()
          held.value = true
          done.waitSync()
          cond.release()
        })
        await t.until(() => held.value, 'the owner')
        for (const call of calls) {
          const error = await t.errorOf(call)
          t.assert.ok(error instanceof mp.StateError)
          t.assert.equal(error.code, 'ERR_MP_NOT_OWNER')
        }
        done.set()
        await t.joinAll()
      }
    }))

  it('a bounded buffer of two conditions on one lock loses and doubles nothing', () =>
    run(async (mp, t, form) => {
      const lock = new mp.Lock()
      const [notEmpty, notFull] = [new mp.Condition(lock), new mp.Condition(lock)]
      const items = new mp.SharedArray('i', 4, { lock: false })
      const count = new mp.Value('i', 0)
      const [sum, taken] = [new mp.Value('i', 0), new mp.Value('i', 0)]
      const each = 150
      const produce = async (blocking: boolean, from: number) => {
        for (let i = from; i < from + each; i++) {
          const held = blocking ? lock.acquireSync() : await lock.acquire()
          while (count.value === 4) blocking ? notFull.waitSync() : await notFull.wait()
          items[count.value] = i
          count.value += 1
          notEmpty.notify()
          held.release()
        }
      }
      const consume = async (blocking: boolean) => {
        for (let i = 0; i < each; i++) {
          const held = blocking ? lock.acquireSync() : await lock.acquire()
          while (count.value === 0) blocking ? notEmpty.waitSync() : await notEmpty.wait()
          count.value -= 1
          sum.value += items[count.value]!
          taken.value += 1
          notFull.notify()
          held.release()
        }
      }
      t.start(produce, true, 1)
      t.start(produce, false, 1 + each)
      t.start(consume, form === 'async')
      await consume(form === 'sync')
      await t.joinAll()
      t.assert.equal(taken.value, 2 * each)
      t.assert.equal(sum.value, (2 * each * (2 * each + 1)) / 2)
      t.assert.equal(count.value, 0)
    }))
})

it('an aborted wait takes its lock again and rejects with the reason; its notification goes to another', async () => {
  const lock = new mp.Lock()
  const cond = new mp.Condition(lock)
  const reason = new Error('changed my mind')
  const held = await cond.acquire()
  await expect(cond.wait({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  expect(lock.locked()).toBe(true)
  held.release()
  for (let i = 0; i < 30; i++) {
    const control = new AbortController()
    let lockedWhenAborted: boolean | undefined
    const waiter = async (signal?: AbortSignal) => {
      const inside = await cond.acquire()
      try {
        return await cond.wait({ signal })
      } catch (error) {
        lockedWhenAborted = lock.locked()
        throw error
      } finally {
        inside.release()
      }
    }
    const aborted = waiter(control.signal)
    const patient = waiter()
    // Both wait once we get in. The first is notified, then aborted in the same turn or a little later.
    await cond.with(() => cond.notify())
    if (i % 2 === 0) await null
    control.abort(reason)
    const first = await aborted.catch((error) => error)
    if (first === true) await cond.with(() => cond.notify())
    else {
      expect(first).toBe(reason)
      expect(lockedWhenAborted).toBe(true)
    }
    expect(await patient).toBe(true)
  }
  expect(lock.locked()).toBe(false)
  expect(() => cond.withSync(() => cond.waitSync({ signal: new AbortController().signal } as any))).toThrow(
    code('ERR_INVALID_ARG_TYPE'),
  )
})

it('a task that waits inside with() lets the other tasks of its thread in', async () => {
  const cond = new mp.Condition()
  let inside = 0
  let woken = 0
  const task = () =>
    cond.with(async () => {
      expect(await cond.wait()).toBe(true)
      expect(++inside).toBe(1)
      await null
      inside--
      woken++
    })
  const tasks = [task(), task(), task()]
  await cond.with(() => cond.notify())
  await cond.with(() => cond.notify(2))
  await Promise.all(tasks)
  expect(woken).toBe(3)
})

it('thousands of promises wait at once', async () => {
  const cond = new mp.Condition(new mp.Lock())
  let inside = 0
  let about = 0
  const all = Array.from({ length: 2000 }, () =>
    cond.with(async () => {
      about++
      expect(await cond.wait()).toBe(true)
      expect(++inside).toBe(1)
      inside--
    }),
  )
  while (about < 2000) await new Promise((resolve) => setImmediate(resolve))
  await cond.with(() => cond.notifyAll())
  await Promise.all(all)
})

it('a notification counts once, even for waiters that time out', async () => {
  const cond = new mp.Condition(new mp.Lock())
  const trues = new mp.Value('i', 0)
  const stop = new mp.Value('bool', false)
  const wait = async (blocking: boolean) => {
    for (let i = 0; !stop.value; i++) {
      const timeout = (i % 4) / 2
      const held = blocking ? cond.acquireSync() : await cond.acquire()
      if (blocking ? cond.waitSync({ timeout }) : await cond.wait({ timeout })) trues.add(1)
      held.release()
    }
  }
  const children = [true, false].map((blocking) => new mp.Process({ target: wait, args: [blocking] }))
  for (const child of children) child.start()
  let notified = 0
  const end = performance.now() + 1000
  while (performance.now() < end) {
    const held = await cond.acquire()
    cond.notify()
    notified++
    held.release()
    await new Promise((resolve) => setImmediate(resolve))
  }
  stop.value = true
  for (const child of children) {
    expect(await child.join({ timeout: 20_000 })).toBe(true)
    expect(child.exitCode).toBe(0)
  }
  expect(trues.value).toBeLessThanOrEqual(notified)
})

it('arrives in a child as the same condition on the same lock', async () => {
  const lock = new mp.Lock({ name: 'door' })
  const cond = new mp.Condition(lock, { name: 'open' })
  const held = cond.acquireSync()
  const child = new mp.Process({
    target: (c: any, l: any) => {
      if (c.constructor.name !== 'Condition' || c.name !== 'open') throw new Error('another class')
      l.acquireSync()
      if (c.tryAcquire() !== null) throw new Error('another lock')
      c.notifyAll()
      c.release()
    },
    args: [cond, lock],
  })
  child.start()
  expect(await cond.wait({ timeout: 20_000 })).toBe(true)
  expect(lock.locked()).toBe(true)
  held.release()
  await child.join()
  expect(child.exitCode).toBe(0)
})

it('arguments are checked', async () => {
  for (const lock of [3, {}, new mp.Semaphore(1)])
    expect(() => new mp.Condition(lock as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
  expect(() => new mp.Condition(undefined, { name: 3 } as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
  const cond = new mp.Condition(null)
  const held = cond.acquireSync()
  expect(() => cond.notify('1' as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
  for (const n of [-1, 1.5]) expect(() => cond.notify(n)).toThrow(code('ERR_OUT_OF_RANGE'))
  expect(() => cond.waitForSync(3 as any)).toThrow('argument "predicate" must be a function')
  await expect(cond.waitFor(3 as any)).rejects.toThrow('argument "predicate" must be a function')
  await expect(cond.wait({ timeout: '1' } as any)).rejects.toThrow(code('ERR_INVALID_ARG_TYPE'))
  const broken = () => {
    throw new Error('in the predicate')
  }
  expect(() => cond.waitForSync(broken)).toThrow('in the predicate')
  await expect(cond.waitFor(broken)).rejects.toThrow('in the predicate')
  held.release()
})

it('shows its state, and says when it is closed', async () => {
  const cond = new mp.Condition(undefined, { name: 'open' })
  expect(inspect(cond)).toMatch(/^Condition \{ name: 'open'/)
  cond.close()
  cond[Symbol.dispose]()
  for (const call of [() => cond.acquireSync(), () => cond.waitSync(), () => cond.notify(), () => cond.notifyAll()])
    expect(call).toThrow(code('ERR_MP_CLOSED'))
  await expect(cond.wait()).rejects.toThrow(mp.ClosedError)
  expect(inspect(cond)).toBe('Condition { closed: true }')
})

it('a predicate of waitForSync gives no promise: that would always hold', () => {
  const condition = new mp.Condition()
  const held = condition.acquireSync()
  expect(() => condition.waitForSync(async () => false)).toThrow(
    expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
  )
  held.release()
})
