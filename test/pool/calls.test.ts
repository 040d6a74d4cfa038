// What a pool is for: apply, map, starmap, imap in all their forms (CPython: _TestPool).
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { until } from '../until'
import { all, errorOf, KINDS, pool as make, range, withWorkers } from './pools'

const sqr = (x: number) => x * x
const mul = (x: number, y: number) => x * y

class SayWhenError extends Error {}
function* throwing(total: number, when: number): Generator<number> {
  if (when === -1) throw new SayWhenError('somewhere')
  for (let i = 0; i < total; i++) {
    if (i === when) throw new SayWhenError('somewhere')
    yield i
  }
}

describe.each(KINDS)('%s', (kind) => {
  const pool = (options?: Parameters<typeof make>[0]) => make(options, kind)

  it('apply', async () => {
    const p = pool(2)
    expect(await p.apply(sqr, [5])).toBe(25)
    expect(await p.apply(() => 'nothing')).toBe('nothing')
    expect(p.applySync(sqr, [6])).toBe(36)
    expect(await p.apply(async (x: number) => x + 1, [1])).toBe(2)
    expect(p.applySync(async (x: number) => x + 1, [1])).toBe(2)
  })

  it('map, starmap and their Sync forms', async () => {
    const p = pool(3)
    expect(await p.map(sqr, range(10))).toEqual(range(10).map(sqr))
    expect(await p.map(sqr, range(100), { chunkSize: 20 })).toEqual(range(100).map(sqr))
    expect(await p.map(sqr, new Set([1, 2]))).toEqual([1, 4])
    const tuples = range(100).map((i) => [i, 99 - i] as const)
    expect(await p.starmap(mul, tuples)).toEqual(tuples.map(([x, y]) => x * y))
    expect(await p.starmap(mul, tuples, { chunkSize: 20 })).toEqual(tuples.map(([x, y]) => x * y))
    expect(p.mapSync(sqr, range(10))).toEqual(range(10).map(sqr))
    expect(p.starmapSync(mul, tuples)).toEqual(tuples.map(([x, y]) => x * y))
    expect(await p.map(async (x: number) => -x, range(5), { chunkSize: 5 })).toEqual([-0, -1, -2, -3, -4])
  })

  it('map passes the item only', async () => {
    expect(await pool(1).map((...args: unknown[]) => args.length, ['a', 'b'])).toEqual([1, 1])
  })

  it('callbacks are called once, with the whole result or the error', async () => {
    const p = pool(2)
    const calls: unknown[] = []
    await p.map((s: string) => Number.parseInt(s, 10), ['1'], {
      callback: (r) => calls.push(r),
      errorCallback: (e) => calls.push(e),
    })
    expect(calls).toEqual([[1]])
    const fail = (s: string) => {
      throw new RangeError(s)
    }
    await p.map(fail, ['a'], { callback: (r) => calls.push(r), errorCallback: (e) => calls.push(e) }).wait()
    expect(calls.length).toBe(2)
    expect(calls[1]).toBeInstanceOf(RangeError)
  })

  it('what cannot be serialised rejects, and never hangs', async () => {
    const p = pool(2)
    class A {
      [Symbol.for('multiproc.reduce')]() {
        throw new Error('cannot pickle')
      }
    }
    expect((await errorOf(() => p.map((x: unknown) => x, Array(10).fill(new A())))).message).toMatch(/cannot pickle/)
    const error = await errorOf(() => p.apply((x: unknown) => x, [new WeakMap()] as any))
    expect(error).toBeInstanceOf(mp.SerializationError)
    expect(error.path).toBe('args[0]')
    const items = [0, 1, 2, { a: new WeakMap() }]
    const of = (call: () => unknown) => errorOf(call).then(({ path }) => path)
    expect(await of(() => p.map((x: unknown) => x, items, { chunkSize: 1 }))).toBe('items[3].a')
    expect(await of(() => p.map((x: unknown) => x, items, { chunkSize: 2 }))).toBe('items[3].a')
    expect(await of(() => all(p.imap((x: unknown) => x, items)))).toBe('items[3].a')
    expect(await p.apply(sqr, [3])).toBe(9)
  })

  it('no items', async () => {
    const p = pool(1)
    expect(await p.map(sqr, [])).toEqual([])
    expect(await p.map(sqr, [], { chunkSize: 1 }).result({ timeout: 20_000 })).toEqual([])
    expect(p.mapSync(sqr, [])).toEqual([])
    expect(await all(p.imap(sqr, []))).toEqual([])
    expect(await all(p.imapUnordered(sqr, []))).toEqual([])
    expect([...p.imapSync(sqr, [])]).toEqual([])
  })

  it('an iterable that throws', async () => {
    const p = pool(2)
    for (const [total, when] of [
      [1, -1],
      [1, -1],
      [10, 3],
    ] as const) {
      expect(await errorOf(() => p.map(sqr, throwing(total, when), { chunkSize: 1 }))).toBeInstanceOf(SayWhenError)
    }
    for (const sync of [false, true]) {
      const results = (items: Iterable<number>, chunkSize: number) =>
        sync ? p.imapSync(sqr, items, { chunkSize }) : p.imap(sqr, items, { chunkSize })
      expect(await errorOf(() => results(throwing(1, -1), 1).next())).toBeInstanceOf(SayWhenError)
      for (const [total, when, chunk, good] of [
        [10, 3, 1, 3],
        [20, 7, 2, 6],
        [20, 7, 4, 4],
      ] as const) {
        const it = results(throwing(total, when), chunk)
        for (let i = 0; i < good; i++) expect((await it.next()).value).toBe(i * i)
        expect(await errorOf(() => it.next())).toBeInstanceOf(SayWhenError)
        expect((await it.next()).done).toBe(true)
      }
    }
    const it = p.imapUnordered(sqr, throwing(10, 3))
    const got: number[] = []
    expect(
      await errorOf(async () => {
        for await (const x of it) got.push(x)
      }),
    ).toBeInstanceOf(SayWhenError)
    expect(got.sort()).toEqual([0, 1, 4])
  })

  it('imap and imapUnordered', async () => {
    const p = pool(3)
    expect(await all(p.imap(sqr, range(10)))).toEqual(range(10).map(sqr))
    const it = p.imap(sqr, range(1000), { chunkSize: 100 })
    for (let i = 0; i < 1000; i++) expect((await it.next()).value).toBe(i * i)
    expect((await it.next()).done).toBe(true)
    const unordered = await all(p.imapUnordered(sqr, range(1000), { chunkSize: 100 }))
    expect(unordered.sort((a, b) => a - b)).toEqual(range(1000).map(sqr))
    expect([...p.imapSync(sqr, range(50))]).toEqual(range(50).map(sqr))
    expect([...p.imapUnorderedSync(sqr, range(50), { chunkSize: 7 })].sort((a, b) => a - b)).toEqual(range(50).map(sqr))
  })

  it('imapUnordered gives results as they come', async () => {
    const p = pool(2)
    const gate = new mp.Event()
    const it = p.imapUnordered((i: number) => {
      if (i === 0) gate.waitSync()
      return i
    }, range(5))
    const first = [(await it.next()).value, (await it.next()).value]
    expect(first).not.toContain(0)
    gate.set()
    const rest = await all(it)
    expect([...first, ...rest].sort()).toEqual(range(5))
  })

  it('imap: a throwing item skips the rest of its chunk, and only that', async () => {
    const p = pool(2)
    const ran = new mp.RawArray('i', 12)
    const fn = (k: number): number => {
      ran[k] = 1
      if (k % 4 === 1) throw new RangeError(String(k))
      return k
    }
    for (const ordered of [true, false]) {
      ran.fill(0)
      const results = ordered
        ? p.imap(fn, range(12), { chunkSize: 4 })
        : p.imapUnordered(fn, range(12), { chunkSize: 4 })
      const got: unknown[] = []
      for (;;) {
        const next = await results.next().catch((error) => ({ done: false, value: error.message }))
        if (next.done) break
        got.push(next.value)
      }
      if (ordered) expect(got).toEqual([0, '1', 4, '5', 8, '9'])
      else expect(got.map(Number).sort((a, b) => a - b)).toEqual([0, 1, 4, 5, 8, 9])
      expect([...ran]).toEqual([1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0])
      const settled = await all(p.imap(fn, range(12), { chunkSize: 4, settle: true }))
      expect(settled.map(({ status }) => status === 'fulfilled')).toEqual(range(12).map((k) => k % 4 !== 1))
    }
  })

  it('rejects with the first error by index after all chunks have ended; a throwing item skips the rest of its chunk', async () => {
    const p = pool(2)
    const ran = new mp.SharedArray('int32', 12)
    const error = await errorOf(() =>
      p.map(
        (i: number) => {
          ran[i] = 1
          if (i === 1 || i === 5) throw new Error(`item ${i}`)
          return i
        },
        range(12),
        { chunkSize: 4 },
      ),
    )
    expect(error.message).toBe('item 1')
    expect([...ran]).toEqual([1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1])
  })

  it('terminate is quick', async () => {
    const p = pool(3)
    const result = p.map(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0), range(10_000), {
      chunkSize: 1,
    })
    await p.apply(() => 1).wait({ timeout: 50 })
    p.terminate()
    expect(await p.join({ timeout: 20_000 })).toBe(true)
    expect(await errorOf(() => result)).toBeInstanceOf(mp.CancelledError)
  })

  it('a closed pool takes nothing more, and ends what it has', async () => {
    const p = pool(2)
    const tasks = range(20).map((i) => p.apply(sqr, [i]))
    p.close()
    expect(await errorOf(() => p.apply(sqr, [1]))).toBeInstanceOf(mp.ClosedError)
    expect(await errorOf(() => p.map(sqr, [1]))).toBeInstanceOf(mp.ClosedError)
    expect(await p.join({ timeout: 20_000 })).toBe(true)
    expect(await Promise.all(tasks)).toEqual(range(20).map(sqr))
  })

  it('join needs close or terminate first; joinSync drives the pool', async () => {
    const p = pool(2)
    const error = await errorOf(() => p.join())
    expect(error).toBeInstanceOf(mp.StateError)
    await withWorkers(p, kind)
    const task = p.apply(sqr, [7])
    p.close()
    expect(p.joinSync({ timeout: 20_000 })).toBe(true)
    expect(task.ready()).toBe(true)
    expect(task.resultSync()).toBe(49)
  })

  it('asyncDispose closes and waits, also after an error', async () => {
    const p = pool(1)
    const task = p.apply(sqr, [4])
    await p[Symbol.asyncDispose]()
    expect(await task).toBe(16)
  })

  it('what a task is asked', async () => {
    const p = pool(1)
    const gate = new mp.Event()
    const task = p.apply((g: mp.Event) => g.waitSync(), [gate])
    expect(task).toBeInstanceOf(Promise)
    expect(task.then()).not.toBeInstanceOf(mp.Task)
    expect(task.ready()).toBe(false)
    expect(() => task.successful()).toThrow(mp.StateError)
    expect(await task.wait({ timeout: 5 })).toBe(false)
    expect(task.waitSync({ timeout: 5 })).toBe(false)
    expect(await errorOf(() => task.result({ timeout: 5 }))).toBeInstanceOf(mp.TimeoutError)
    expect(await errorOf(() => task.resultSync({ timeout: 5 }))).toBeInstanceOf(mp.TimeoutError)
    gate.set()
    expect(task.waitSync()).toBe(true)
    expect(task.successful()).toBe(true)
    expect(await task.result()).toBe(true)
    expect(await task).toBe(true)
  })

  it('wrong arguments are told at once', async () => {
    for (const wrong of [0, -1, 1.5, Number.NaN]) expect(() => new mp.Pool(wrong)).toThrow(RangeError)
    for (const wrong of ['2', null, true] as any[]) expect(() => new mp.Pool(wrong)).toThrow(TypeError)
    for (const maxTasksPerChild of [0, -1, 0.5])
      expect(() => new mp.Pool({ processes: 1, maxTasksPerChild })).toThrow(RangeError)
    expect(() => new mp.Pool({ maxTasksPerChild: '12' as any })).toThrow(TypeError)
    expect(() => new mp.Pool({ initializer: 23 as any })).toThrow(TypeError)
    const p = pool(1)
    for (const call of [
      () => p.apply(3 as any),
      () => p.apply(sqr, 3 as any),
      () => p.map(sqr, 3 as any),
      () => p.map(sqr, [1], { chunkSize: '1' as any }),
    ]) {
      expect(await errorOf(call)).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    }
    expect(await errorOf(() => p.map(sqr, [1], { chunkSize: 0 }))).toBeInstanceOf(RangeError)
    expect(() => p.mapSync(sqr, [1], { signal: AbortSignal.abort() } as any)).toThrow(TypeError)
    expect(() => p.imapSync(sqr, (async function* () {})() as any)).toThrow(TypeError)
  })

  it('a pool that is not used does not keep the program alive, a pending task does', async () => {
    const { program } = await import('../process/program')
    const ended = await program('../pool/idle.mjs')
    expect(ended).toMatchObject({ code: 0, stdout: '42\n', stderr: '' })
  })

  it('shared objects travel in arguments and results', async () => {
    const p = pool(2)
    const counter = new mp.Value('int32', 0)
    await p.map((c: mp.Value) => c.add(1), Array(100).fill(counter))
    expect(counter.value).toBe(100)
    const back = await p.apply(() => new mp.SharedArray('int32', [1, 2, 3]))
    expect([...back]).toEqual([1, 2, 3])
    const captured = new mp.Value('int32', 5)
    expect(await p.apply(() => captured.add(1))).toBe(5)
    expect(captured.value).toBe(6)
  })

  it('timers that a task has left go on between tasks', async () => {
    const p = pool(1)
    const ticks = new mp.Value('int32', 0)
    await p.apply(() => {
      const timer = setInterval(() => {
        if (ticks.add(1) === 4) clearInterval(timer)
      }, 1)
    })
    await until(() => ticks.value === 5, 'five ticks')
    expect(await p.apply(sqr, [2])).toBe(4)
  })
})
