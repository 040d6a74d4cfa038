// Lock and RLock within one thread: CPython's _TestLock, each body run in both forms, and what Python does not have.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'

const code = (c: string) => expect.objectContaining({ code: c })

/** The two forms of acquiring, so that one body tests both. */
const forms = {
  sync: async (lock: mp.Lock | mp.RLock, options?: { timeout?: number }) => lock.acquireSync(options),
  async: (lock: mp.Lock | mp.RLock, options?: { timeout?: number }) => lock.acquire(options),
}

describe.each(Object.entries(forms))('%s', (_name, acquire) => {
  it('a lock is acquired once, and released once', async () => {
    const lock = new mp.Lock()
    expect(await acquire(lock)).not.toBeNull()
    expect(await acquire(lock, { timeout: 0 })).toBeNull()
    expect(lock.locked()).toBe(true)
    expect(lock.release()).toBeUndefined()
    expect(lock.locked()).toBe(false)
    expect(() => lock.release()).toThrow(code('ERR_MP_RELEASED_TOO_OFTEN'))
    expect(() => lock.release()).toThrow(mp.StateError)
  })

  it('an rlock is acquired several times by its owner, and released as often', async () => {
    const lock = new mp.RLock()
    for (let i = 0; i < 3; i++) expect(await acquire(lock)).not.toBeNull()
    for (let i = 0; i < 3; i++) {
      expect(lock.locked()).toBe(true)
      lock.release()
    }
    expect(lock.locked()).toBe(false)
    expect(() => lock.release()).toThrow(code('ERR_MP_RELEASED_TOO_OFTEN'))
  })

  it('a time-out gives null, not before its time, and takes nothing', async () => {
    const lock = new mp.Lock()
    const held = (await acquire(lock))!
    for (const timeout of [-5, 0]) expect(await acquire(lock, { timeout })).toBeNull()
    const start = performance.now()
    expect(await acquire(lock, { timeout: 40 })).toBeNull()
    expect(performance.now() - start).toBeGreaterThanOrEqual(39)
    held.release()
    expect(lock.locked()).toBe(false)
    ;(await acquire(lock, { timeout: 40 }))!.release()
  })

  it('a Held releases only its own acquisition, and that once', async () => {
    for (const lock of [new mp.Lock(), new mp.RLock()]) {
      const first = (await acquire(lock))!
      lock.release()
      const second = (await acquire(lock))!
      first.release()
      expect(lock.locked()).toBe(true)
      second.release()
      second.release()
      expect(lock.locked()).toBe(false)
      expect(first.abandoned).toBe(false)
    }
  })

  it('wrong options are refused at once, by name', async () => {
    const lock = new mp.Lock()
    const attempt = async (options: any) => acquire(lock, options)
    await expect(attempt(3)).rejects.toThrow('argument "options" must be an object; received number (3)')
    await expect(attempt({ timeout: '1' })).rejects.toThrow(
      'argument "options.timeout" must be a number of milliseconds; received string (\'1\')',
    )
    await expect(attempt({ timeout: Number.NaN })).rejects.toThrow(code('ERR_OUT_OF_RANGE'))
    expect(lock.locked()).toBe(false)
  })
})

it('inner Helds of an rlock release one level each, in any order', () => {
  const lock = new mp.RLock()
  const outer = lock.acquireSync()
  const inner = lock.acquireSync()
  inner.release()
  inner.release()
  expect(lock.locked()).toBe(true)
  outer.release()
  expect(lock.locked()).toBe(false)
})

it('the outer Held of an rlock may be released first', () => {
  const lock = new mp.RLock()
  const outer = lock.acquireSync()
  const inner = lock.acquireSync()
  outer.release()
  expect(lock.locked()).toBe(true)
  inner.release()
  expect(lock.locked()).toBe(false)
})

it('a Held releases a lock that was closed meanwhile', async () => {
  for (const lock of [new mp.Lock(), new mp.RLock()]) {
    const seen = new mp.Value('i', 0)
    const held = lock.acquireSync()
    const child = new mp.Process({
      target: (l, s) => {
        s.value = 1
        l.acquireSync()
        s.value = 2
      },
      args: [lock as mp.Lock, seen],
    })
    child.start()
    while (seen.value === 0) await new Promise((resolve) => setImmediate(resolve))
    lock.close()
    held.release()
    await child.join()
    expect(seen.value).toBe(2)
  }
})

it('closing a lock rejects those who wait for it, and nobody else loses anything', async () => {
  const lock = new mp.Lock()
  lock.acquireSync()
  const waiting = lock.acquire({ timeout: 5000 })
  lock.close()
  await expect(waiting).rejects.toThrow(mp.ClosedError)
  const others = Array.from({ length: 20 }, () => new mp.Lock())
  await new Promise((resolve) => setTimeout(resolve, 150)) // the native net looks every 100 ms
  expect(others.filter((other) => other.locked())).toEqual([])
})

it('with and withSync release however their function ends', async () => {
  for (const lock of [new mp.Lock(), new mp.RLock()]) {
    expect(lock.withSync((held) => [lock.locked(), held.abandoned])).toEqual([true, false])
    expect(() =>
      lock.withSync(() => {
        throw new Error('inside')
      }),
    ).toThrow('inside')
    expect(await lock.with(async () => lock.locked())).toBe(true)
    await expect(
      lock.with(async () => {
        throw new Error('inside')
      }),
    ).rejects.toThrow('inside')
    expect(lock.locked()).toBe(false)
  }
})

it('with and withSync throw TimeoutError when there is no lock to be had', async () => {
  const lock = new mp.Lock({ name: 'door' })
  lock.acquireSync()
  await expect(lock.with(() => 1, { timeout: 5 })).rejects.toThrow(mp.TimeoutError)
  expect(() => lock.withSync(() => 1, { timeout: 0 })).toThrow("Lock 'door' was not free in time")
  await expect(lock.with(3 as any)).rejects.toThrow('argument "fn" must be a function')
})

it('promises get the lock in the order of their calls', async () => {
  const lock = new mp.Lock()
  const order: number[] = []
  await Promise.all(Array.from({ length: 50 }, (_, i) => lock.with(async () => void order.push(i))))
  expect(order).toEqual(Array.from({ length: 50 }, (_, i) => i))
})

it('thousands of promises wait at once', async () => {
  const lock = new mp.Lock()
  const held = lock.acquireSync()
  let running = 0
  const all = Array.from({ length: 5000 }, () =>
    lock.with(() => {
      expect(++running).toBe(1)
      running--
    }),
  )
  held.release()
  await Promise.all(all)
  expect(lock.locked()).toBe(false)
})

it('an aborted wait rejects with the reason and has taken nothing', async () => {
  const lock = new mp.Lock()
  const held = lock.acquireSync()
  const reason = new Error('changed my mind')
  await expect(lock.acquire({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  const control = new AbortController()
  const aborted = lock.acquire({ signal: control.signal })
  const patient = lock.acquire()
  control.abort(reason)
  await expect(aborted).rejects.toBe(reason)
  held.release()
  ;(await patient).release()
  expect(lock.locked()).toBe(false)
  expect(() => lock.acquireSync({ signal: control.signal } as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
})

it('with() of an rlock keeps the tasks of one thread apart, and re-enters inside its own callback', async () => {
  const lock = new mp.RLock()
  let inside = 0
  const task = () =>
    lock.with(async () => {
      expect(++inside).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      expect(await lock.with(async () => 'again')).toBe('again')
      inside--
    })
  await Promise.all([task(), task(), task()])
  expect(lock.locked()).toBe(false)
  await expect(
    lock.with(() => new Promise((_, reject) => setImmediate(() => reject(new Error('inside'))))),
  ).rejects.toThrow('inside')
  await task()
})

it('a turn of with() can be given up', async () => {
  const lock = new mp.RLock()
  let end = (): void => {}
  const first = lock.with(
    () =>
      new Promise<void>((resolve) => {
        end = resolve
      }),
  )
  await expect(lock.with(() => 1, { timeout: 5 })).rejects.toThrow(mp.TimeoutError)
  const control = new AbortController()
  const second = lock.with(() => 1, { signal: control.signal })
  control.abort(new Error('no more'))
  await expect(second).rejects.toThrow('no more')
  const third = lock.with(() => 3)
  end()
  await first
  expect(await third).toBe(3)
})

it('owner and inspect tell who holds it', () => {
  const lock = new mp.Lock({ name: 'door' })
  expect(lock.owner).toBeNull()
  expect(inspect(lock)).toBe("Lock { name: 'door', owner: null }")
  lock.acquireSync()
  expect(lock.owner).toEqual({ pid: process.pid, threadId: 0 })
  expect(inspect(lock)).toContain(`pid: ${process.pid}`)
})

it('a closed lock says so', async () => {
  const lock = new mp.Lock({ name: 'door' })
  lock.close()
  lock.close()
  for (const call of [() => lock.acquireSync(), () => lock.release(), () => lock.tryAcquire(), () => lock.locked()])
    expect(call).toThrow(code('ERR_MP_CLOSED'))
  await expect(lock.acquire()).rejects.toThrow(mp.ClosedError)
  expect(inspect(lock)).toBe('Lock { closed: true }')
})

it('disposal: a Held releases, a lock closes', () => {
  const lock = new mp.Lock()
  const held = lock.acquireSync()
  held[Symbol.dispose]()
  expect(lock.locked()).toBe(false)
  lock[Symbol.dispose]()
  expect(() => lock.locked()).toThrow(mp.ClosedError)
})

it('options are checked', () => {
  expect(() => new mp.Lock('door' as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
  expect(() => new mp.RLock({ name: 3 } as any)).toThrow(
    'argument "options.name" must be a string; received number (3)',
  )
})
