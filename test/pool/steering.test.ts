// Priorities, limits, broadcasts, statistics, events, and what calls keep of their surroundings.
import { AsyncLocalStorage } from 'node:async_hooks'
import * as mp from 'multiproc'
import { expect, it } from 'vitest'
import { program } from '../process/program'
import { errorOf, pool, range } from './pools'

async function blocked(p: mp.Pool): Promise<{ open(): void }> {
  const gate = new mp.Event()
  const started = new mp.Event()
  p.apply(
    (s: mp.Event, g: mp.Event) => {
      s.set()
      g.waitSync()
    },
    [started, gate],
  )
  await started.wait()
  return { open: () => gate.set() }
}

it('higher priorities first, in their order', async () => {
  const p = pool(1)
  const log = new mp.SharedArray('int32', 7)
  const gate = await blocked(p)
  const note = (list: Int32Array, i: number) => {
    list[0]! += 1
    list[list[0]!] = i
  }
  const tasks = [0, 5, -1, 5, 0, 1].map((priority, i) => p.apply(note, [log as any, i], { priority }))
  gate.open()
  await Promise.all(tasks)
  expect([...log].slice(1)).toEqual([1, 3, 5, 0, 4, 2])
})

it('maxQueue refuses what is too much, and drain tells when there is room', async () => {
  const p = pool({ processes: 1, maxQueue: 2 })
  const gate = await blocked(p)
  const first = p.apply((x: number) => x, [1])
  const second = p.apply((x: number) => x, [2])
  expect(await errorOf(() => p.apply((x: number) => x, [3]))).toBeInstanceOf(mp.QueueFullError)
  expect(second.cancel()).toBe(true)
  const third = p.apply((x: number) => x, [4])
  const drained = new Promise((resolve) => p.once('drain', () => resolve(true)))
  gate.open()
  expect(await drained).toBe(true)
  expect(await Promise.all([first, third])).toEqual([1, 4])
})

it('broadcast runs once in each worker', async () => {
  const p = pool(3)
  const pids = await p.broadcast(() => process.pid)
  expect(pids.sort()).toEqual(p.pids.sort())
  expect(await p.broadcast((a: number, b: number) => a + b, [1, 2])).toEqual([3, 3, 3])
  const [victim] = p.pids
  const error = await errorOf(() =>
    p.broadcast((pid: number) => void (process.pid === pid && process.exit(1)), [victim!]),
  )
  expect(error).toBeInstanceOf(mp.WorkerLostError)
})

it('stats and events', async () => {
  const p = pool(2)
  const events: any[] = []
  p.on('worker', (e) => events.push(['worker', e.id]))
  p.on('workerExit', (e) => events.push(['workerExit', e.id, e.exitCode]))
  await p.broadcast(() => {})
  await p.map((x: number) => x, range(10), { chunkSize: 1 })
  await errorOf(() => p.apply(() => Promise.reject(new Error('x'))))
  const stats = p.stats()
  expect(stats).toMatchObject({ processes: 2, busy: 0, queued: 0, completed: 12, failed: 1, lost: 0 })
  expect(stats.runTime.count).toBe(13)
  expect(stats.runTime.p99).toBeGreaterThanOrEqual(stats.runTime.p50)
  p.close()
  await p.join()
  await new Promise((resolve) => setImmediate(resolve))
  expect(events.filter(([what]) => what === 'worker').length).toBe(2)
  expect(events.filter(([what]) => what === 'workerExit')).toEqual(
    expect.arrayContaining([
      ['workerExit', 1, 0],
      ['workerExit', 2, 0],
    ]),
  )
})

it('callbacks run in the context of their call', async () => {
  const p = pool(1)
  const storage = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  await Promise.all(
    ['a', 'b'].map((name) =>
      storage.run(name, () =>
        p.apply(() => mp.taskContext().progress(1, 2), [], {
          callback: () => seen.push(`${storage.getStore()} callback`),
          onProgress: () => seen.push(`${storage.getStore()} progress`),
        }),
      ),
    ),
  )
  await new Promise((resolve) => setImmediate(resolve))
  expect(seen).toEqual(['a progress', 'a callback', 'b progress', 'b callback'])
})

it('a function is read once, at its first submission, for later workers too', async () => {
  const p = pool(1)
  let captured = 1
  const read = () => captured
  expect(await p.apply(read)).toBe(1)
  captured = 2
  expect(await p.apply(read)).toBe(1)
  await errorOf(() => p.apply(() => process.exit(1)))
  expect(await p.apply(read)).toBe(1)
})

it('stdout and stderr of workers are those of the program', async () => {
  const ended = await program('../pool/output.mjs')
  expect(ended).toMatchObject({ code: 0, stdout: 'out sync\nout async\n' })
  expect(ended.stderr.length).toBe(300_000 * 2)
})

it('taskContext tells who works', async () => {
  const p = pool(1)
  expect(await p.apply(() => [mp.taskContext().workerId, mp.taskContext().attempt])).toEqual([1, 1])
})

it('what a task knows of itself is an object like any other', async () => {
  const p = pool(1)
  const seen: unknown[] = []
  const task = () => {
    const { progress, signal, workerId, attempt } = mp.taskContext()
    progress(1, 2)
    return [Object.keys({ ...mp.taskContext() }).sort(), signal.aborted, typeof workerId, attempt]
  }
  expect(await p.apply(task, [], { onProgress: (...told) => seen.push(told) })).toEqual([
    ['attempt', 'progress', 'signal', 'workerId'],
    false,
    'number',
    1,
  ])
  expect(seen).toEqual([[1, 2]])
})
