// Executors and futures (CPython: test_concurrent_futures).
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../until'
import { all, errorOf, range } from './pools'

describe.each(['ProcessPoolExecutor', 'ThreadPoolExecutor'] as const)('%s', (name) => {
  const open: (mp.ProcessPoolExecutor | mp.ThreadPoolExecutor)[] = []
  const executor = (options?: any) => {
    const made =
      name === 'ProcessPoolExecutor' ? new mp.ProcessPoolExecutor(options) : new mp.ThreadPoolExecutor(options)
    open.push(made)
    return made
  }
  afterEach(async () => {
    for (const made of open.splice(0)) {
      made.killWorkers()
      await made.shutdown()
    }
    expect(mp.activeChildren()).toEqual([])
  })
  const sqr = (x: number) => x * x

  it('submit', async () => {
    const e = executor(2)
    const future = e.submit((a: number, b: number) => a ** b, 2, 8)
    expect(future).toBeInstanceOf(Promise)
    expect(future).toBeInstanceOf(mp.Future)
    expect(await future).toBe(256)
    expect(future.done()).toBe(true)
    expect(future.cancelled()).toBe(false)
    expect(future.cancel()).toBe(false)
    expect(await future.exception()).toBe(null)
    expect(e.submit(sqr, 3).resultSync()).toBe(9)
  })

  it('map: several iterables, the shortest ends, errors in their place, chunks', async () => {
    const e = executor(2)
    expect(await all(e.map(sqr, range(10)))).toEqual(range(10).map(sqr))
    expect(await all(e.map((a: number, b: number) => a ** b, range(10), [2, 3]))).toEqual([0, 1])
    expect(await all(e.map(sqr, range(10), { chunkSize: 3 }))).toEqual(range(10).map(sqr))
    const divide = (a: number, b: number) => {
      if (b === 0) throw new RangeError('by zero')
      return a / b
    }
    const results = e.map(divide, [1, 1, 1, 1], [2, 3, 0, 5])
    expect((await results.next()).value).toBe(1 / 2)
    expect((await results.next()).value).toBe(1 / 3)
    expect(await errorOf(() => results.next())).toBeInstanceOf(RangeError)
    const source = (async function* () {
      yield* range(5)
    })()
    expect(await all(e.map(sqr, source))).toEqual(range(5).map(sqr))
  })

  it('map begins at once and takes all, or as many as bufferSize says', async () => {
    const e = executor(2)
    const taken = { all: 0, some: 0 }
    function* counted(what: keyof typeof taken) {
      for (let i = 0; i < 100; i++) {
        taken[what]++
        yield i
      }
    }
    const first = e.map(sqr, counted('all'))
    expect(taken.all).toBe(100)
    const second = e.map(sqr, counted('some'), { bufferSize: 4 })
    expect(taken.some).toBe(4)
    expect((await second.next()).value).toBe(0)
    expect(taken.some).toBeLessThanOrEqual(5)
    expect(await all(second)).toEqual(range(100).slice(1).map(sqr))
    expect((await all(first)).length).toBe(100)
  })

  it('a future from the queue to its end', async () => {
    const e = executor(1)
    const gate = new mp.Event()
    const first = e.submit((g: mp.Event) => g.waitSync(), gate)
    const second = e.submit(sqr, 4)
    await until(() => first.running(), 'a running future')
    expect(second.running()).toBe(false)
    expect(first.cancel()).toBe(false)
    expect(second.cancel()).toBe(true)
    expect(second.cancelled() && second.done()).toBe(true)
    expect(await errorOf(() => second)).toBeInstanceOf(mp.CancelledError)
    expect(await errorOf(() => second.exception())).toBeInstanceOf(mp.CancelledError)
    expect(await errorOf(() => first.result({ timeout: 5 }))).toBeInstanceOf(mp.TimeoutError)
    expect(() => first.resultSync({ timeout: 5 })).toThrow(mp.TimeoutError)
    const told: unknown[] = []
    first.addDoneCallback((future) => told.push(future))
    gate.set()
    expect(await first).toBe(true)
    first.addDoneCallback((future) => told.push(future))
    await until(() => told.length === 2, 'two callbacks')
    expect(told).toEqual([first, first])
  })

  it('errors and losses are those of their future only', async () => {
    const e = executor(2)
    const fails = e.submit(() => {
      throw new RangeError('no')
    })
    expect(await fails.exception()).toBeInstanceOf(RangeError)
    const dies = e.submit(() => process.exit(3))
    const lives = e.submit(sqr, 5)
    expect(await errorOf(() => dies)).toMatchObject({ code: 'ERR_MP_WORKER_LOST', exitCode: 3 })
    expect(await lives).toBe(25)
    expect(await e.submit(sqr, 6)).toBe(36)
  })

  it('waitFutures', async () => {
    const e = executor(2)
    const gate = new mp.Event()
    const slow = e.submit((g: mp.Event) => g.waitSync(), gate)
    const quick = e.submit(sqr, 2)
    const first = await mp.waitFutures([slow, quick], { returnWhen: 'FIRST_COMPLETED' })
    expect([...first.done]).toEqual([quick])
    expect([...first.notDone]).toEqual([slow])
    const fails = e.submit(() => Promise.reject(new Error('x')))
    const failed = await mp.waitFutures([slow, fails], { returnWhen: 'FIRST_EXCEPTION' })
    expect([...failed.done]).toEqual([fails])
    fails.exception()
    expect((await mp.waitFutures([slow, quick], { timeout: 5 })).notDone.size).toBe(1)
    expect(await errorOf(() => mp.waitFutures([slow], { signal: AbortSignal.abort('no') }))).toBe('no')
    gate.set()
    expect((await mp.waitFutures([slow, quick, quick])).done.size).toBe(2)
    expect(await errorOf(() => mp.waitFutures([1 as any]))).toBeInstanceOf(TypeError)
    expect(await errorOf(() => mp.waitFutures([], { returnWhen: 'x' as any }))).toBeInstanceOf(TypeError)
  })

  it('asCompleted', async () => {
    const e = executor(2)
    const gate = new mp.Event()
    const slow = e.submit((g: mp.Event) => g.waitSync(), gate)
    const quick = e.submit(sqr, 2)
    const seen: unknown[] = []
    for await (const future of mp.asCompleted([slow, quick, quick])) {
      seen.push(future)
      gate.set()
    }
    expect(seen).toEqual([quick, slow])
    const never = e.submit(() => new Promise(() => {}))
    expect(await errorOf(() => all(mp.asCompleted([quick, never], { timeout: 20 })))).toBeInstanceOf(mp.TimeoutError)
  })

  it('shutdown: takes no more, ends what it has, or cancels it', async () => {
    const e = executor(1)
    const tasks = range(5).map((i) => e.submit(sqr, i))
    await e.shutdown({ wait: false })
    expect(await errorOf(() => e.submit(sqr, 1))).toBeInstanceOf(mp.ClosedError)
    await e.shutdown()
    expect(await Promise.all(tasks)).toEqual(range(5).map(sqr))
    const f = executor(1)
    const gate = new mp.Event()
    const running = f.submit((g: mp.Event) => g.waitSync(), gate)
    const queued = range(5).map((i) => f.submit(sqr, i))
    await until(() => running.running(), 'a running future')
    const down = f.shutdown({ cancelFutures: true })
    expect(queued.every((future) => future.cancelled())).toBe(true)
    gate.set()
    await down
    expect(await running).toBe(true)
  })

  it('terminateWorkers and killWorkers', async () => {
    for (const how of ['terminateWorkers', 'killWorkers'] as const) {
      const e = executor(2)
      const task = e.submit(() => {
        for (;;);
      })
      await until(() => task.running(), 'a running future')
      e[how]()
      expect(await errorOf(() => task)).toBeInstanceOf(mp.CancelledError)
      expect(await errorOf(() => e.submit(sqr, 1))).toBeInstanceOf(mp.ClosedError)
      await e.shutdown()
    }
  })

  it('initializer', async () => {
    const e = executor({ maxWorkers: 1, initializer: (x: number) => Object.assign(globalThis, { x }), initargs: [5] })
    expect(await e.submit(() => (globalThis as any).x)).toBe(5)
    const broken = executor({
      maxWorkers: 1,
      initializer: () => {
        throw new Error('no')
      },
    })
    expect(await errorOf(() => broken.submit(sqr, 1))).toBeInstanceOf(mp.PoolBrokenError)
  })
})
