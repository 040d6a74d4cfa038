// The Pool's API over a cluster: the same bodies run with a Pool of this machine and with a ClusterPool.
import * as mp from 'multiproc'
import { beforeAll, describe, expect, it } from 'vitest'

import { all, errorOf, pool as localPool, range } from '../pool/pools'
import { type ClusterPool, clusterPool, noServer, Server, worker } from './servers'

const sqr = (x: number) => x * x
const mul = (x: number, y: number) => x * y
class SayWhenError extends Error {}
function* throwing(total: number, when: number): Generator<number> {
  for (let i = 0; i < total; i++) {
    if (i === when) throw new SayWhenError('somewhere')
    yield i
  }
}
class OwnError extends Error {
  readonly detail: { n: number }
  constructor(n: number) {
    super(`own ${n}`)
    this.name = 'OwnError'
    this.detail = { n }
  }
}

/** Ends when it is asked to. */
const polite = () =>
  new Promise<void>((resolve) => {
    const { signal } = mp.taskContext()
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve())
  })

let server: Server
beforeAll(async () => {
  if (noServer) return
  server = await Server.start()
  await worker(server, '--allow-functions')
})

const kinds: [string, (options?: { taskTimeout?: number; maxQueue?: number }) => mp.Pool | ClusterPool][] = [
  ['a Pool', (options) => localPool({ processes: 2, ...options })],
  ['a ClusterPool', (options) => clusterPool(server, options)],
]
describe.skipIf(noServer).each(kinds)('%s', (_, make) => {
  // What both offer.
  const pool = make as (options?: object) => mp.Pool

  it('apply', async () => {
    const p = pool()
    expect(await p.apply(sqr, [5])).toBe(25)
    expect(await p.apply(() => 'nothing')).toBe('nothing')
    expect(await p.apply(async (x: number) => x + 1, [1])).toBe(2)
    const offset = 7
    expect(await p.apply((x: number) => x + offset, [1])).toBe(8)
  })

  it('map and starmap', async () => {
    const p = pool()
    expect(await p.map(sqr, range(10))).toEqual(range(10).map(sqr))
    expect(await p.map(sqr, range(100), { chunkSize: 20 })).toEqual(range(100).map(sqr))
    expect(await p.map(sqr, new Set([1, 2]))).toEqual([1, 4])
    const tuples = range(100).map((i) => [i, 99 - i] as const)
    expect(await p.starmap(mul, tuples)).toEqual(tuples.map(([x, y]) => x * y))
    expect(await p.map(async (x: number) => -x, range(5), { chunkSize: 5 })).toEqual([-0, -1, -2, -3, -4])
    expect(await p.map((...args: unknown[]) => args.length, ['a', 'b'])).toEqual([1, 1])
    expect(await p.map(sqr, [])).toEqual([])
    expect(await all(p.imap(sqr, []))).toEqual([])
  })

  it('values of all kinds come back as they were', async () => {
    const p = pool()
    const value = {
      map: new Map<unknown, unknown>([[1, new Set([2n, undefined, Number.NaN])]]),
      date: new Date(5),
      pattern: /x+/gi,
      bytes: new Uint8Array([1, 2, 3]),
      text: 'naïve ☃ 𝄞',
      error: new RangeError('r', { cause: 'why' }),
    }
    expect(await p.apply((x: unknown) => x, [value])).toEqual(value)
    const ring: { self?: unknown } = {}
    ring.self = ring
    const back = await p.apply((x: { self?: unknown }) => x, [ring])
    expect(back.self).toBe(back)
    const large = new Float64Array(1 << 18).map((_, i) => i)
    const returned = await p.apply((x: Float64Array) => x.map((y) => -y), [large])
    expect(returned.length).toBe(large.length)
    expect(returned[12_345]).toBe(-12_345)
    expect(await p.map((x: Float64Array) => x.length, [large, large], { chunkSize: 2 })).toEqual([1 << 18, 1 << 18])
  })

  it('callbacks are called once, with the whole result or the error', async () => {
    const p = pool()
    const calls: unknown[] = []
    const said = { callback: (r: unknown) => calls.push(r), errorCallback: (e: unknown) => calls.push(e) }
    await p.map((s: string) => Number.parseInt(s, 10), ['1'], said as object)
    const fail = (s: string) => {
      throw new RangeError(s)
    }
    await p.map(fail, ['a'], said as object).wait()
    await new Promise((resolve) => process.nextTick(resolve))
    expect(calls.length).toBe(2)
    expect(calls[0]).toEqual([1])
    expect(calls[1]).toBeInstanceOf(RangeError)
  })

  it('what cannot be serialised rejects, and never hangs', async () => {
    const p = pool()
    const error = await errorOf(() => p.apply((x: unknown) => x, [new WeakMap()] as any))
    expect(error).toBeInstanceOf(mp.SerializationError)
    const result = await errorOf(() => p.apply(() => new WeakMap()))
    expect(result).toBeInstanceOf(mp.SerializationError)
    expect(result.message).toMatch(/result/)
    expect(await p.apply(sqr, [3])).toBe(9)
  })

  it('an iterable that throws', async () => {
    const p = pool()
    expect(await errorOf(() => p.map(sqr, throwing(10, 3), { chunkSize: 1 }))).toBeInstanceOf(SayWhenError)
    for (const [total, when, chunk, good] of [
      [10, 3, 1, 3],
      [20, 7, 2, 6],
    ] as const) {
      const it = p.imap(sqr, throwing(total, when), { chunkSize: chunk })
      for (let i = 0; i < good; i++) expect((await it.next()).value).toBe(i * i)
      expect(await errorOf(() => it.next())).toBeInstanceOf(SayWhenError)
      expect((await it.next()).done).toBe(true)
    }
  })

  it('imap and imapUnordered', async () => {
    const p = pool()
    expect(await all(p.imap(sqr, range(10)))).toEqual(range(10).map(sqr))
    const it = p.imap(sqr, range(1000), { chunkSize: 100 })
    for (let i = 0; i < 1000; i++) expect((await it.next()).value).toBe(i * i)
    expect((await it.next()).done).toBe(true)
    const unordered = await all(p.imapUnordered(sqr, range(300), { chunkSize: 10 }))
    expect(unordered.sort((a, b) => a - b)).toEqual(range(300).map(sqr))
    async function* slow() {
      for (const i of range(5)) {
        await new Promise((resolve) => setImmediate(resolve))
        yield i
      }
    }
    expect(await all(p.imap(sqr, slow()))).toEqual(range(5).map(sqr))
  })

  it('an endless source; leaving the loop', async () => {
    const p = pool()
    let left = false
    function* endless() {
      try {
        for (let i = 0; ; i++) yield i
      } finally {
        left = true
      }
    }
    const got: number[] = []
    for await (const x of p.imap(sqr, endless())) {
      got.push(x)
      if (got.length === 50) break
    }
    expect(got).toEqual(range(50).map(sqr))
    expect(left).toBe(true)
    expect(await p.apply(sqr, [2])).toBe(4)
  })

  it('an imap that an error has left, and one that nobody reads, end with their pool', async () => {
    const p = pool()
    const throwing = (x: number) => {
      if (x === 2) throw new Error('two')
      return x
    }
    await expect(all(p.imap(throwing, range(200)))).rejects.toThrow('two')
    const unread = p.imap(sqr, range(200))
    p.close()
    expect(await p.join()).toBe(true)
    expect(await all(unread)).toEqual(range(200).map(sqr))
  })

  it('imap with settle gives errors as values; without, it goes on behind the chunk of one', async () => {
    const p = pool()
    const odd = (i: number) => {
      if (i % 2 === 1) throw new RangeError(`odd ${i}`)
      return i
    }
    for (const chunkSize of [1, 3]) {
      const results = await all(p.imap(odd, range(6), { settle: true, chunkSize }))
      expect(results.map((r) => (r.status === 'fulfilled' ? r.value : r.reason.message))).toEqual([
        0,
        'odd 1',
        2,
        'odd 3',
        4,
        'odd 5',
      ])
      const it = p.imap(odd, range(3), { chunkSize })
      expect((await it.next()).value).toBe(0)
      expect(await errorOf(() => it.next())).toBeInstanceOf(RangeError)
      if (chunkSize === 1) expect((await it.next()).value).toBe(2)
      expect((await it.next()).done).toBe(true)
    }
  })

  it('map rejects with the first error by index', async () => {
    const p = pool()
    const error = await errorOf(() =>
      p.map(
        (i: number) => {
          if (i === 5 || i === 9) throw new Error(`item ${i}`)
          return i
        },
        range(12),
        { chunkSize: 4 },
      ),
    )
    expect(error.message).toBe('item 5')
  })

  it('an error comes back as its class, with its properties and the stack of the worker', async () => {
    const p = pool()
    const builtin = await errorOf(() =>
      p.apply(() => {
        throw Object.assign(new RangeError('too far', { cause: 'why' }), { code: 'E_FAR', list: [1] })
      }),
    )
    expect(builtin).toBeInstanceOf(RangeError)
    expect(builtin).toMatchObject({ name: 'RangeError', message: 'too far', code: 'E_FAR', list: [1], cause: 'why' })
    expect(builtin.remoteStack).toMatch(/bodies\.test\.ts/)
    const own = await errorOf(() =>
      p.apply(() => {
        throw new OwnError(7)
      }),
    )
    expect(own).toBeInstanceOf(OwnError)
    expect(own.detail).toEqual({ n: 7 })
    const late = await errorOf(() => p.apply(() => new mp.Queue().getSync({ timeout: 1 })))
    expect(late).toBeInstanceOf(mp.QueueEmptyError)
  })

  it('what is not an error arrives as it is; what cannot be carried as a RemoteError', async () => {
    const p = pool()
    const raise = (value: unknown) => {
      throw value
    }
    for (const thrown of ['text', 5, null, undefined, { some: 'thing' }, new Uint8Array([1])])
      expect(
        await p.apply(raise, [thrown]).then(
          () => 'no',
          (e) => [e],
        ),
      ).toEqual([thrown])
    const weak = await errorOf(() =>
      p.apply(() => {
        throw Object.assign(new Error('with a WeakMap'), { map: new WeakMap(), code: 'E_MAP' })
      }),
    )
    expect(weak).toBeInstanceOf(mp.RemoteError)
    expect(weak).toMatchObject({ message: 'with a WeakMap', remoteName: 'Error', remoteCode: 'E_MAP' })
  })

  it('a killed worker fails its own task only', async () => {
    const p = pool()
    const good = p.map((x: number) => x, range(50), { chunkSize: 5 })
    const error = await errorOf(() =>
      p.apply(() => {
        process.kill(process.pid, 'SIGKILL')
      }),
    )
    expect(error).toBeInstanceOf(mp.WorkerLostError)
    expect(error.signal).toBe('SIGKILL')
    expect(await good).toEqual(range(50))
    const settled = await all(
      p.imap(
        (i: number) => {
          if (i === 3) process.exit(3)
          return i
        },
        range(6),
        { chunkSize: 6, settle: true },
      ),
    )
    expect(settled.map((r) => (r.status === 'fulfilled' ? r.value : r.reason.exitCode))).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('retries run a lost task again', async () => {
    const p = pool()
    const third = () => {
      const { attempt } = mp.taskContext()
      if (attempt < 3) process.kill(process.pid, 'SIGKILL')
      return attempt
    }
    expect(await p.apply(third, [], { retries: 2 })).toBe(3)
    expect(await errorOf(() => p.apply(third, [], { retries: 1 }))).toBeInstanceOf(mp.WorkerLostError)
  })

  it('time-outs', async () => {
    const p = pool({ taskTimeout: 100 })
    const forever = () => {
      for (;;);
    }
    const error = await errorOf(() => p.apply(forever, [], { grace: 0 }))
    expect(error).toBeInstanceOf(mp.TimeoutError)
    expect(error.code).toBe('ERR_MP_TIMEOUT')
    expect(await errorOf(() => p.apply(polite, [], { grace: 20_000 }))).toBeInstanceOf(mp.TimeoutError)
    expect(await p.apply(sqr, [3])).toBe(9)
  })

  it('cancel, and a signal', async () => {
    const p = pool()
    const task = p.apply(polite, [], { grace: 20_000 })
    expect(await task.wait({ timeout: 20 })).toBe(false)
    expect(task.cancel('enough')).toBe(true)
    const error = await errorOf(() => task)
    expect(error).toBeInstanceOf(mp.CancelledError)
    expect(error.cause).toBe('enough')
    expect(task.cancel()).toBe(false)
    const controller = new AbortController()
    const other = p.map(polite, range(4), { signal: controller.signal, grace: 20_000 })
    controller.abort(new RangeError('mine'))
    expect(await errorOf(() => other)).toBeInstanceOf(RangeError)
    expect(await errorOf(() => p.apply(sqr, [1], { signal: AbortSignal.abort('before') }))).toBe('before')
    // The workers are free again.
    expect(await p.map(sqr, range(4), { chunkSize: 1 })).toEqual(range(4).map(sqr))
  })

  it('progress', async () => {
    const p = pool()
    const said: number[] = []
    const steps = () => {
      for (const k of [1, 2, 3]) mp.taskContext().progress(k, 3)
      return 'done'
    }
    expect(await p.apply(steps, [], { onProgress: (done) => said.push(done) })).toBe('done')
    expect(said).toEqual([1, 2, 3])
  })

  it('a closed pool takes nothing more, and ends what it has', async () => {
    const p = pool()
    const tasks = range(20).map((i) => p.apply(sqr, [i]))
    expect(await errorOf(() => p.join())).toBeInstanceOf(mp.StateError)
    p.close()
    expect(await errorOf(() => p.apply(sqr, [1]))).toBeInstanceOf(mp.ClosedError)
    expect(await errorOf(() => p.map(sqr, [1]))).toBeInstanceOf(mp.ClosedError)
    expect(await p.join({ timeout: 20_000 })).toBe(true)
    expect(await Promise.all(tasks)).toEqual(range(20).map(sqr))
  })

  it('terminate gives up what is not done', async () => {
    const p = pool()
    // Nodes outlive the pool: a task that would not stop would cost them a worker some time later.
    const result = p.map(polite, range(100), { chunkSize: 1 })
    expect(await result.wait({ timeout: 50 })).toBe(false)
    p.terminate()
    expect(await p.join({ timeout: 20_000 })).toBe(true)
    expect(await errorOf(() => result)).toBeInstanceOf(mp.CancelledError)
  })

  it('maxQueue, drain, stats and what a task is asked', async () => {
    const p = pool({ maxQueue: 2 })
    const drained = new Promise((resolve) => p.once('drain', () => resolve('drained')))
    const held = range(4).map(() => p.apply(() => new Promise<number>((resolve) => setTimeout(resolve, 100, 1))))
    const outcomes = await Promise.allSettled(held)
    expect(outcomes.some(({ status }) => status === 'fulfilled')).toBe(true)
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(mp.QueueFullError)
    expect(await drained).toBe('drained')
    const task = p.apply(sqr, [9])
    expect(task).toBeInstanceOf(mp.Task)
    expect(task.then()).not.toBeInstanceOf(mp.Task)
    expect(() => task.successful()).toThrow(mp.StateError)
    expect(await task.result()).toBe(81)
    expect(task.successful()).toBe(true)
    expect(p.stats()).toMatchObject({ failed: 0, lost: 0, processes: 2 })
    expect(p.stats().runTime.count).toBeGreaterThan(0)
  })

  it('broadcast runs once in each worker', async () => {
    const p = pool()
    const pids = await p.broadcast((x: number) => process.pid * x, [1])
    expect(new Set(pids).size).toBe(2)
    const error = await errorOf(() =>
      p.broadcast(() => {
        throw new RangeError('no')
      }),
    )
    expect(error).toBeInstanceOf(RangeError)
  })

  it('wrong arguments are told at once', async () => {
    const p = pool()
    for (const call of [
      () => p.apply(3 as any),
      () => p.apply(sqr, 3 as any),
      () => p.map(sqr, 3 as any),
      () => p.map(sqr, [1], { chunkSize: '1' as any }),
      () => p.apply(sqr, [1], { timeout: 'soon' as any }),
    ])
      expect(await errorOf(call)).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    expect(await errorOf(() => p.map(sqr, [1], { chunkSize: 0 }))).toBeInstanceOf(RangeError)
  })
})
