// How workers come and go: initializers, replacements, sizes (CPython: _TestPoolWorkerLifetime, TestInitializers,
// TestPoolNotLeakOnFailure).
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { program } from '../process/program'
import { until } from '../until'
import { errorOf, KINDS, pool as make, range, withWorkers } from './pools'

const sqr = (x: number) => x * x

describe.each(KINDS)('%s', (kind) => {
  const pool = (options?: Parameters<typeof make>[0]) => make(options, kind)

  it('the initializer runs once in each worker, before any task', async () => {
    const ran = new mp.Value('int32', 0)
    const p = pool({
      processes: 2,
      initializer: async (value: mp.Value, name: string) => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        value.add(1)
        ;(globalThis as any).named = name
      },
      initargs: [ran, 'Tom'],
    })
    expect(await p.map(() => (globalThis as any).named, range(20), { chunkSize: 1 })).toEqual(Array(20).fill('Tom'))
    await p.broadcast(() => {})
    expect(ran.value).toBe(2)
    await errorOf(() => p.apply(() => process.exit(1)))
    expect(await p.apply(() => (globalThis as any).named)).toBe('Tom')
  })

  it('an initializer that fails breaks the pool: nothing waits for ever', async () => {
    for (const initializer of [
      () => {
        throw new RangeError('not today')
      },
      async () => {
        throw new RangeError('not today')
      },
    ]) {
      const p = pool({ processes: 2, initializer })
      const error = await errorOf(() => p.apply(sqr, [1]))
      expect(error).toBeInstanceOf(mp.PoolBrokenError)
      expect(error.cause).toBeInstanceOf(RangeError)
      expect(error.cause.message).toBe('not today')
      expect(await errorOf(() => p.apply(sqr, [1]))).toBeInstanceOf(mp.PoolBrokenError)
      await p.join()
    }
    expect(() => new mp.Pool({ initializer: () => void process.kill, initargs: [new WeakMap()] })).toThrow(
      mp.SerializationError,
    )
    const q = pool({ processes: 1, initializer: () => process.exit(3), crashBudget: 2 })
    expect(await errorOf(() => q.apply(sqr, [1]))).toBeInstanceOf(mp.PoolBrokenError)
  })

  it('maxTasksPerChild replaces workers', async () => {
    const p = pool({ processes: 3, maxTasksPerChild: 10 })
    expect(p.pids.length).toBe(3)
    const work = (x: number) => [x * x, mp.taskContext().workerId]
    const results = await Promise.all(range(100).map((i) => p.apply(work, [i])))
    expect(results.map(([r]) => r)).toEqual(range(100).map(sqr))
    const counts = new Map<number, number>()
    for (const [, id] of results) counts.set(id!, (counts.get(id!) ?? 0) + 1)
    expect([...counts.values()].every((n) => n <= 10)).toBe(true)
    expect(counts.size).toBeGreaterThanOrEqual(10)
    expect(p.stats().lost).toBe(0)
  })

  it('closing a pool whose workers live for one task', async () => {
    const p = pool({ processes: 3, maxTasksPerChild: 1 })
    const tasks = range(6).map((i) => p.apply(sqr, [i]))
    p.close()
    expect(await p.join({ timeout: 30_000 })).toBe(true)
    expect(await Promise.all(tasks)).toEqual(range(6).map(sqr))
  })

  it('maxTasksPerChild in Sync calls', async () => {
    const p = pool({ processes: 1, maxTasksPerChild: 2 })
    await withWorkers(p, kind)
    if (kind === 'fork') {
      // The second uses the worker up, and another is forked at the end of the turn only.
      expect(p.applySync(sqr, [3])).toBe(9)
      expect(() => p.applySync(sqr, [3])).toThrow(mp.StateError)
      return
    }
    const ids = range(6).map(() => p.applySync(() => mp.taskContext().workerId))
    expect(new Set(ids).size).toBe(3)
    expect(p.mapSync(sqr, range(10), { chunkSize: 1 })).toEqual(range(10).map(sqr))
  })

  it('idle workers are let go, and come back when there is work', async () => {
    const p = pool({ processes: 3, idleTimeout: 30, minProcesses: 1 })
    await p.map(sqr, range(30), { chunkSize: 1 })
    await until(() => p.pids.length === 1, 'one worker')
    const gate = new mp.Barrier(3)
    expect(
      (
        await Promise.all(range(3).map(() => p.apply((b: mp.Barrier) => b.waitSync({ timeout: 20_000 }), [gate])))
      ).sort(),
    ).toEqual([0, 1, 2])
    expect(p.stats().lost).toBe(0)
  })

  it('resize', async () => {
    const p = pool(1)
    await p.apply(() => 1)
    p.resize(3)
    const gate = new mp.Barrier(3)
    await Promise.all(range(3).map(() => p.apply((b: mp.Barrier) => b.waitSync({ timeout: 20_000 }), [gate])))
    p.resize(1)
    await until(() => p.pids.length === 1, 'one worker')
    expect(await p.map(sqr, range(10))).toEqual(range(10).map(sqr))
    expect(() => p.resize(0)).toThrow(RangeError)
  })

  it('spares take the place of the lost', async () => {
    const p = pool({ processes: 1, spares: 1 })
    await p.apply(() => 1)
    await until(() => p.pids.length === 2, 'a spare')
    await errorOf(() => p.apply(() => process.exit(1)))
    expect(await p.apply(() => mp.taskContext().workerId)).toBe(2)
  })

  it('exit handlers run in workers', async () => {
    const left = new mp.Value('int32', 0)
    const p = pool(2)
    await p.broadcast((value: mp.Value) => void process.on('exit', () => value.add(1)), [left])
    p.close()
    await p.join()
    expect(left.value).toBe(2)
  })
})

it('a worker that has grown too big is replaced after its task', async () => {
  const p = make({ processes: 1, maxMemoryPerChild: 200 << 20 })
  const pid = await p.apply(() => process.pid)
  expect(await p.apply(() => process.pid)).toBe(pid)
  const grown = await p.apply(() => {
    ;(globalThis as any).hoard = Buffer.alloc(250 << 20, 1)
    return process.pid
  })
  expect(grown).toBe(pid)
  expect(await p.apply(() => process.pid)).not.toBe(pid)
  expect(p.stats().lost).toBe(0)
})

it('a pool that is neither closed nor terminated does not keep its program', async () => {
  const ended = await program('../pool/forgotten.mjs')
  expect(ended).toMatchObject({ code: 0, stdout: '285\n', stderr: '' })
})

it('a pool that cannot be made leaves nothing behind', async () => {
  class Fails extends mp.Process {
    static made = 0
    override start(): void {
      if (++Fails.made > 2) throw Object.assign(new Error('no more'), { code: 'EAGAIN' })
      super.start()
    }
  }
  expect(() => new mp.Pool({ processes: 4, context: { ...mp.getContext(), Process: Fails } as any })).toThrow('no more')
  expect(Fails.made).toBe(3)
  await until(() => mp.activeChildren().length === 0, 'the end of those that were started')
})

it('pools in workers of pools, to a depth', async () => {
  const ended = await program('../pool/nested.mjs')
  expect(ended).toMatchObject({ code: 0, stderr: '' })
  expect(ended.lines).toEqual(['0 1 4 9', 'ERR_MP_TOO_DEEP'])
})

it('a context: its Pool, and the start method of its workers', async () => {
  const context = mp.getContext('spawn')
  const p = new context.Pool(1)
  try {
    expect(p).toBeInstanceOf(mp.Pool)
    expect(await p.apply(sqr, [3])).toBe(9)
    expect(await p.apply(() => mp.currentProcess().name)).toBe('PoolWorker-1')
  } finally {
    p.terminate()
    await p.join()
  }
})
