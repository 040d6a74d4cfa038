// Each type of a manager, used in the process that made it and in a child (CPython: TestSyncManagerTypes).
import * as mp from 'multiproc'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inChild } from './tools'

let m: mp.SyncManager
beforeAll(async () => {
  m = await mp.Manager()
})
afterAll(async () => {
  await m.shutdown()
})

describe('dict', () => {
  test('as a Map, in both forms', async () => {
    const d = m.dict<string, any>([['a', 1]])
    await d.set('b', { deep: [1, { x: 2 }] })
    expect(await d.get('b')).toEqual({ deep: [1, { x: 2 }] })
    expect(await d.has('c')).toBe(false)
    expect(await d.size).toBe(2)
    expect([...(await d.keys())]).toEqual(['a', 'b'])
    expect([...(await d.values())]).toEqual([1, { deep: [1, { x: 2 }] }])
    expect(d.sync.get('a')).toBe(1)
    expect(d.sync.size).toBe(2)
    d.sync.set('c', 3)
    const seen: unknown[] = []
    for await (const [key] of d) seen.push(key)
    expect(seen).toEqual(['a', 'b', 'c'])
    expect([...(d.sync as any)].length).toBe(3)
    expect(await d.delete('a')).toBe(true)
    expect(await d.pop('c')).toBe(3)
    expect([await d.pop('c'), await d.pop('c', 4)]).toEqual([undefined, 4])
    expect(await d.setDefault('n', 5)).toBe(5)
    expect(await d.update('n', (n: number | undefined) => (n ?? 0) + 1)).toBe(6)
    expect(await d.copy()).toEqual(
      new Map<string, any>([
        ['b', { deep: [1, { x: 2 }] }],
        ['n', 6],
      ]),
    )
    await d.clear()
    expect(await d.size).toBe(0)
  })
  test('set() gives the proxy itself, not a copy of all', async () => {
    const d = m.dict()
    expect(await d.set('a', 1)).toBe(d)
  })
  test('in a child', async () => {
    const d = m.dict({ x: 1 })
    await inChild(
      async (p: mp.DictProxy) => {
        await p.set('child', (await p.get('x')) + 1)
        p.sync.set('sync', [...p.sync.keys()])
      },
      [d],
    )
    expect(await d.get('child')).toBe(2)
    expect(await d.get('sync')).toEqual(['x', 'child'])
  })
})

describe('list', () => {
  test('as an Array, in both forms', async () => {
    const l = m.list<any>([3, 1, 2])
    expect(await l.push(9)).toBe(4)
    expect(await l[1]).toBe(1)
    expect(l.sync[0]).toBe(3)
    ;(l.sync as any)[0] = 7
    expect(await l.at(0)).toBe(7)
    expect(await l.length).toBe(4)
    expect(await l.sort()).toBe(l)
    expect(await l.copy()).toEqual([1, 2, 7, 9])
    expect(await l.slice(1, 3)).toEqual([2, 7])
    expect(await l.map((x: number) => x * 2)).toEqual([2, 4, 14, 18])
    expect(await l.indexOf(7)).toBe(2)
    expect(await l.splice(0, 2)).toEqual([1, 2])
    expect(await l.concat([0])).toEqual([7, 9, 0])
    expect([...(l.sync as any)]).toEqual([7, 9])
    const seen: unknown[] = []
    for await (const item of l) seen.push(item)
    expect(seen).toEqual([7, 9])
    await l.extend([1, 2])
    await l.insert(0, 'first')
    expect(await l.remove(9)).toBe(true)
    expect(await l.copy()).toEqual(['first', 7, 1, 2])
  })
  test('in a child', async () => {
    const l = m.list(Array.from({ length: 10 }, (_, i) => i))
    await inChild(
      async (p: mp.ListProxy<number>) => {
        for (let i = 0; i < 10; i++) (p.sync as any)[i] *= 2
        await p.push(99)
      },
      [l],
    )
    expect(await l.copy()).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 99])
  })
})

test('set, here and in a child', async () => {
  const s = m.set<any>([1, 2, 2])
  expect(await s.size).toBe(2)
  await inChild(async (p: mp.SetProxy) => void (await p.add('child')), [s])
  expect(await s.has('child')).toBe(true)
  expect(await (s as any).union([7])).toEqual(new Set([1, 2, 'child', 7]))
  expect(await (s as any).isSubsetOf([1, 2, 'child', 3])).toBe(true)
  expect(new Set([...(s.sync as any)])).toEqual(new Set([1, 2, 'child']))
})

describe('Namespace', () => {
  test('names are properties: promises here, values in sync', async () => {
    const ns = m.Namespace<any>({ x: 1 })
    expect(await ns.x).toBe(1)
    ns.y = [1, 2]
    expect(await ns.y).toEqual([1, 2])
    ns.sync.x += 1
    expect(ns.sync.x).toBe(2)
    const before = ns.x
    ns.x = 5
    expect([await before, await ns.x]).toEqual([2, 5])
    expect('x' in ns.sync).toBe(true)
    expect(Object.keys(ns.sync)).toEqual(['x', 'y'])
    delete ns.sync.x
    expect('x' in ns.sync).toBe(false)
    expect(await ns.x).toBe(undefined)
    await (ns as any).set('then', 3)
    expect(await (ns as any).get('then')).toBe(3)
    expect(await ns).toBe(ns)
  })
  test('in a child, which ends at once', async () => {
    const ns = m.Namespace<any>()
    await inChild(
      (p: any) => {
        p.name = 'Global Value'
        p._private = 7
      },
      [ns],
    )
    expect(await ns.name).toBe('Global Value')
    expect(await ns._private).toBe(7)
  })
})

describe('locks', () => {
  test.each(['Lock', 'RLock', 'Semaphore', 'BoundedSemaphore'] as const)('%s', async (type) => {
    const lock = m[type]() as mp.LockProxy
    const held = await lock.acquire()
    expect(held.abandoned).toBe(false)
    await inChild(
      async (p: mp.LockProxy) => {
        if ((await p.tryAcquire()) !== null) throw new Error('it was free')
        if ((await p.acquire({ timeout: 10 })) !== null) throw new Error('it was free')
        if (p.sync.acquire({ timeout: 10 }) !== null) throw new Error('it was free')
      },
      [lock],
    )
    held.release()
    held.release()
    await inChild(
      async (p: mp.LockProxy) => {
        const mine = p.acquireSync()
        mine.release()
        await p.with(() => {})
      },
      [lock],
    )
    expect(await lock.locked()).toBe(false)
    if (type !== 'Semaphore') await expect(lock.release()).rejects.toMatchObject({ name: 'StateError' })
    expect(lock.sync.with(() => 7)).toBe(7)
  })
  test('an RLock is its owner’s as often as acquired, and nobody else’s', async () => {
    const lock = m.RLock()
    await lock.acquire()
    await lock.acquire()
    await inChild(
      async (p: mp.LockProxy) => {
        const code = await p.release().catch((error) => error.code)
        if (code !== 'ERR_MP_NOT_OWNER') throw new Error(`it was released: ${code}`)
      },
      [lock],
    )
    await lock.release()
    expect(await lock.locked()).toBe(true)
    await lock.release()
    expect(await lock.locked()).toBe(false)
  })
  test('excludes processes', async () => {
    const lock = m.Lock()
    const ns = m.Namespace<any>({ n: 0 })
    const add = async (l: mp.LockProxy, n: any): Promise<void> => {
      for (let i = 0; i < 50; i++)
        await l.with(async () => {
          n.sync.n += 1
        })
    }
    await Promise.all([inChild(add, [lock, ns]), inChild(add, [lock, ns]), add(lock, ns)])
    expect(await ns.n).toBe(150)
  })
  test('who aborts an acquire has taken nothing', async () => {
    const lock = m.Lock()
    const held = await lock.acquire()
    const abort = new AbortController()
    const waiting = lock.acquire({ signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    held.release()
    expect(await lock.locked()).toBe(false)
  })
})

test('Semaphore counts', async () => {
  const s = m.Semaphore(2)
  await s.acquire()
  await s.acquire()
  expect(await s.value).toBe(0)
  expect(await s.tryAcquire()).toBe(null)
  await s.release()
  expect(s.sync.value).toBe(1)
})

test('Condition: waiters in children are notified', async () => {
  const c = m.Condition()
  const ready = m.Queue<number>()
  const woken = m.list<number>()
  const wait = async (cond: mp.ConditionProxy, q: mp.QueueProxy<number>, w: mp.ListProxy<number>): Promise<void> => {
    await cond.with(async () => {
      await q.put(1)
      await cond.wait()
      await w.push(1)
    })
  }
  const children = [inChild(wait, [c, ready, woken]), inChild(wait, [c, ready, woken])]
  await ready.get()
  await ready.get()
  // Both have put while they held the lock: who gets it now knows that they wait.
  await c.with(() => c.notify())
  await c.with(() => c.waitFor(async () => (await woken.length) === 1, { timeout: 50 }))
  await c.with(() => c.notifyAll())
  await Promise.all(children)
  expect(await woken.length).toBe(2)
  await expect(c.notify()).rejects.toMatchObject({ code: 'ERR_MP_NOT_OWNER' })
  expect(await c.with(() => c.wait({ timeout: 5 }))).toBe(false)
  const abort = new AbortController()
  await c.acquire()
  const aborted = c.wait({ signal: abort.signal })
  abort.abort()
  await expect(aborted).rejects.toThrow()
  await c.release() // it had been taken again
  const held = await c.acquire()
  expect(await c.wait({ timeout: 5 })).toBe(false)
  held.release()
  expect(await c.locked()).toBe(false)
  const lock = m.Lock()
  const onLock = m.Condition(lock)
  await onLock.acquire()
  expect(await lock.locked()).toBe(true)
})

test('Event, here and in a child', async () => {
  const e = m.Event()
  expect(await e.isSet()).toBe(false)
  expect(await e.wait({ timeout: 5 })).toBe(false)
  const child = inChild(async (p: mp.EventProxy) => void (await p.wait()), [e])
  await e.set()
  await child
  expect(e.sync.wait()).toBe(true)
  await e.clear()
  expect(e.sync.isSet()).toBe(false)
})

test('Barrier', async () => {
  const b = m.Barrier(2)
  expect(await b.parties).toBe(2)
  const indices = m.list<number>()
  const meet = async (p: mp.BarrierProxy, l: mp.ListProxy<number>): Promise<void> => {
    for (let i = 0; i < 3; i++) await l.push(await p.wait())
  }
  await Promise.all([inChild(meet, [b, indices]), meet(b, indices)])
  expect((await indices.copy()).sort()).toEqual([0, 0, 0, 1, 1, 1])
  await expect(b.wait({ timeout: 5 })).rejects.toMatchObject({ name: 'BrokenBarrierError' })
  expect(await b.broken).toBe(true)
  await b.reset()
  expect(b.sync.broken).toBe(false)
  const waits = b.wait()
  await b.abort()
  await expect(waits).rejects.toThrow(mp.BrokenBarrierError)
})

describe('queues', () => {
  test('Queue', async () => {
    const q = m.Queue<any>({ maxSize: 2 })
    await q.put(1)
    await q.put({ two: 2 })
    expect(await q.full()).toBe(true)
    expect(await q.tryPut(3)).toBe(false)
    await expect(q.put(3, { timeout: 5 })).rejects.toThrow(mp.QueueFullError)
    expect(() => q.sync.put(3, { timeout: 5 })).toThrow(mp.QueueFullError)
    const waiting = q.put(3)
    expect(await q.get()).toBe(1)
    await waiting
    expect(q.getSync()).toEqual({ two: 2 })
    expect(await q.qsize()).toBe(1)
    expect(await q.tryGet()).toBe(3)
    expect(await q.tryGet()).toBe(undefined)
    await expect(q.get({ timeout: 5 })).rejects.toThrow(mp.QueueEmptyError)
    const many = m.Queue<number>()
    await many.putMany([1, 2, 3])
    expect(await many.getMany(2)).toEqual([1, 2])
    await many.shutdown()
    const rest: number[] = []
    for await (const n of many) rest.push(n)
    expect(rest).toEqual([3])
    await expect(many.put(1)).rejects.toThrow(mp.ShutDownError)
  })
  test('an aborted get takes nothing', async () => {
    const q = m.Queue<number>()
    const abort = new AbortController()
    const get = q.get({ signal: abort.signal })
    abort.abort()
    await expect(get).rejects.toMatchObject({ name: 'AbortError' })
    await q.put(5)
    expect(await q.get()).toBe(5)
  })
  test('JoinableQueue, worked off by children', async () => {
    const q = m.JoinableQueue<number | null>()
    const done = m.list<number>()
    const work = async (p: mp.JoinableQueueProxy<number | null>, l: mp.ListProxy<number>): Promise<void> => {
      for (let n = await p.get(); n !== null; n = await p.get()) {
        await l.push(n)
        await p.taskDone()
      }
      await p.taskDone()
    }
    const children = [inChild(work, [q, done]), inChild(work, [q, done])]
    for (let i = 0; i < 10; i++) await q.put(i)
    await q.join()
    expect((await done.copy()).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    await q.put(null)
    await q.put(null)
    await Promise.all(children)
    expect(await q.join({ timeout: 0 })).toBe(true)
  })
  test('who waits for one keeps nobody else waiting', async () => {
    const q = m.Queue()
    const child = inChild(async (p: mp.QueueProxy) => void (await p.put(await p.get())), [q])
    const d = m.dict()
    const waiting = q.get()
    for (let i = 0; i < 100; i++) await d.set('i', i)
    await q.putMany([1, 2])
    await waiting
    await child
  })
})

test('Value and Array', async () => {
  const v = m.Value('i', 5)
  expect(await v.value).toBe(5)
  v.value = 7
  expect(await v.get()).toBe(7)
  v.sync.value += 1
  expect(await v.add(2)).toBe(8)
  expect(await v.update((n: number) => n * 2)).toBe(20)
  expect(() => {
    v.sync.value = 2 ** 40
  }).toThrow(RangeError)
  const lock = await v.getLock()
  const held = await lock.acquire()
  expect(await (await v.getLock()).locked()).toBe(true)
  held.release()
  const a = m.Array('d', [1, 2, 3])
  expect(await a[1]).toBe(2)
  a.sync[1] = 2.5
  expect(await a.copy()).toEqual(new Float64Array([1, 2.5, 3]))
  expect(await a.length).toBe(3)
  expect([...a.sync]).toEqual([1, 2.5, 3])
  await expect(a.get(3)).rejects.toThrow(RangeError)
  await inChild(
    async (val: mp.ValueProxy, arr: mp.ArrayProxy) => {
      await val.set(1)
      arr.sync[0] = 9
    },
    [v, a],
  )
  expect([await v.value, await a.at(0)]).toEqual([1, 9])
})

test('Pool: its workers are the server’s', async () => {
  const pool = m.Pool(2)
  expect(await pool.map((n: number) => n * n, [1, 2, 3])).toEqual([1, 4, 9])
  expect(await pool.apply((a: number, b: number) => a + b, [1, 2])).toBe(3)
  const seen: number[] = []
  for await (const n of await pool.imap((x: number) => x + 1, [1, 2, 3])) seen.push(n)
  expect(seen).toEqual([2, 3, 4])
  await inChild(
    async (p: mp.PoolProxy) => {
      const [n] = await p.map((x: number) => x * 10, [4])
      if (n !== 40) throw new Error(`${n}`)
    },
    [pool],
  )
  await pool.close()
  expect(await pool.join()).toBe(true)
})
