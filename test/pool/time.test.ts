// Time-outs, cancelling, and workers that are stopped.
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { until } from '../until'
import { all, errorOf, KINDS, pool as make, range, withWorkers } from './pools'

const forever = () => {
  for (;;);
}

describe.each(KINDS)('%s', (kind) => {
  const pool = (options?: Parameters<typeof make>[0]) => make(options, kind)

  it('a task out of time rejects, and its worker is replaced after the grace', async () => {
    const p = pool(1)
    const id = await p.apply(() => mp.taskContext().workerId)
    const error = await errorOf(() => p.apply(forever, [], { timeout: 50, grace: 10 }))
    expect(error).toBeInstanceOf(mp.TimeoutError)
    expect(error.code).toBe('ERR_MP_TIMEOUT')
    expect(await p.apply(() => mp.taskContext().workerId)).not.toBe(id)
    expect(p.stats()).toMatchObject({ timedOut: 1, lost: 0 })
  })

  it('the time counts from the start of the task', async () => {
    const p = pool(1)
    const gate = new mp.Event()
    const first = p.apply((g: mp.Event) => g.waitSync(), [gate])
    const second = p.apply(() => 2, [], { timeout: 100 })
    expect(await second.wait({ timeout: 300 })).toBe(false)
    gate.set()
    expect(await first).toBe(true)
    expect(await second).toBe(2)
  })

  it('of the pool: taskTimeout', async () => {
    const p = pool({ processes: 1, taskTimeout: 50 })
    expect(await errorOf(() => p.apply(forever, [], { grace: 0 }))).toBeInstanceOf(mp.TimeoutError)
    await withWorkers(p, kind)
    expect(() => p.applySync(forever, [], { grace: 0 })).toThrow(mp.TimeoutError)
    await withWorkers(p, kind)
    expect(p.applySync(() => 1)).toBe(1)
  })

  it('a task that listens to its signal keeps its worker', async () => {
    const p = pool(1)
    const id = await p.apply(() => mp.taskContext().workerId)
    const polite = () => {
      const { signal } = mp.taskContext()
      while (!signal.aborted);
      signal.throwIfAborted()
    }
    expect(await errorOf(() => p.apply(polite, [], { timeout: 50, grace: 20_000 }))).toBeInstanceOf(mp.TimeoutError)
    const polite2 = () =>
      new Promise<void>((resolve) => {
        const { signal } = mp.taskContext()
        if (signal.aborted) resolve()
        else signal.addEventListener('abort', () => resolve())
      })
    expect(await errorOf(() => p.apply(polite2, [], { timeout: 50, grace: 20_000 }))).toBeInstanceOf(mp.TimeoutError)
    expect(await p.apply(() => mp.taskContext().workerId)).toBe(id)
  })

  it('of a chunk only the item that is out of time fails', async () => {
    const p = pool(1)
    for (const listens of [false, true]) {
      const results = await all(
        p.imap(
          (i: number) => {
            if (i === 4) while (!(mp.taskContext().signal.aborted && listens));
            return i
          },
          range(10),
          { chunkSize: 10, timeout: 1000, grace: listens ? 20_000 : 0, settle: true },
        ),
      )
      expect(results.map((r) => (r.status === 'fulfilled' ? r.value : r.reason.code))).toEqual([
        0,
        1,
        2,
        3,
        'ERR_MP_TIMEOUT',
        5,
        6,
        7,
        8,
        9,
      ])
    }
  })

  it('cancel: of a queued task costs nothing, of a running one its worker unless it stops by itself', async () => {
    const p = pool(1)
    const gate = new mp.Event()
    const started = new mp.Event()
    const running = p.apply(
      (s: mp.Event, g: mp.Event) => {
        s.set()
        return g.waitSync()
      },
      [started, gate],
      { grace: 10 },
    )
    await started.wait()
    const same = (x: number) => x
    const queued = range(5000).map((i) => p.apply(same, [i]))
    for (const task of queued) expect(task.cancel('why')).toBe(true)
    const error = await errorOf(() => queued[0])
    expect(error).toBeInstanceOf(mp.CancelledError)
    expect(error.cause).toBe('why')
    expect(running.cancel()).toBe(true)
    expect(running.cancel()).toBe(false)
    expect(await errorOf(() => running)).toBeInstanceOf(mp.CancelledError)
    expect(await p.apply(() => mp.taskContext().workerId)).toBe(2)
    expect(p.stats().completed).toBe(1)
  })

  it('cancel of a running task: the answer of the one before it has not been read yet', async () => {
    const p = pool(1)
    const same = (x: number) => x
    // Quick ones are sent ahead of need.
    await Promise.all(range(100).map((i) => p.apply(same, [i])))
    const started = new mp.Event()
    const hang = (e: mp.Event) => {
      e.set()
      return new Promise(() => {})
    }
    const before = p.apply(same, [1])
    const hangs = p.apply(hang, [started], { grace: 1 })
    await new Promise((resolve) => process.nextTick(resolve))
    started.waitSync({ timeout: 5000 }) // the event loop does not turn
    hangs.cancel()
    expect(await errorOf(() => hangs)).toBeInstanceOf(mp.CancelledError)
    expect(await before).toBe(1)
    expect(await p.apply(same, [2])).toBe(2)
  })

  it('a signal cancels with its reason', async () => {
    const p = pool(1)
    expect(await errorOf(() => p.apply(() => 1, [], { signal: AbortSignal.abort('no') }))).toBe('no')
    const controller = new AbortController()
    const task = p.map(forever, [1, 2, 3], { signal: controller.signal, grace: 0 })
    await task.wait({ timeout: 20 })
    controller.abort('enough')
    expect(await errorOf(() => task)).toBe('enough')
    expect(await p.apply(() => 5)).toBe(5)
    const controller2 = new AbortController()
    const it = p.imap(forever, [1, 2, 3], { signal: controller2.signal, grace: 0 })
    setTimeout(() => controller2.abort('enough'), 10)
    expect(await errorOf(() => it.next())).toBe('enough')
    expect((await it.next()).done).toBe(true)
  })

  it('cancelling a map takes back what has not been started', async () => {
    const p = pool(2)
    const ran = new mp.Value('int32', 0)
    const task = p.map(
      (r: mp.Value) => {
        r.add(1)
        mp.taskContext().signal.aborted
        return new Promise((resolve) => mp.taskContext().signal.addEventListener('abort', resolve))
      },
      Array(50).fill(ran),
      { chunkSize: 5, grace: 20_000 },
    )
    await until(() => ran.value === 2, 'two that run')
    task.cancel()
    expect(await p.apply(() => 'free')).toBe('free')
    expect(await p.apply(() => 'free')).toBe('free')
    expect(ran.value).toBe(2)
  })

  it('leaving an imap cancels the rest', async () => {
    const p = pool(2)
    const ran = new mp.Value('int32', 0)
    let pulled = 0
    let returned = false
    const source = {
      *[Symbol.iterator]() {
        try {
          for (;;) {
            pulled++
            yield ran
          }
        } finally {
          returned = true
        }
      },
    }
    let got = 0
    for await (const _ of p.imap((r: mp.Value) => r.add(1), source)) if (++got === 10) break
    expect(returned).toBe(true)
    expect(pulled).toBeLessThan(100)
    expect(await p.apply(() => 1)).toBe(1)
  })

  it('progress', async () => {
    const p = pool(1)
    const seen: [number, number][] = []
    await p.apply(
      () => {
        for (let k = 1; k <= 3; k++) mp.taskContext().progress(k, 3)
      },
      [],
      { onProgress: (done, total) => seen.push([done, total]) },
    )
    await until(() => seen.length === 3, 'three calls')
    expect(seen).toEqual([
      [1, 3],
      [2, 3],
      [3, 3],
    ])
    expect(() => mp.taskContext()).toThrow(mp.StateError)
  })
})

it('a stopped worker: its task is out of time, and the next one goes to another', async () => {
  const p = make(1)
  const pid = await p.apply(() => process.pid)
  const stopped = p.apply(() => void process.kill(process.pid, 'SIGSTOP'), [], { timeout: 100, grace: 10 })
  expect(await errorOf(() => stopped)).toBeInstanceOf(mp.TimeoutError)
  expect(await p.apply(() => process.pid)).not.toBe(pid)
})

it('a worker that was stopped while it was idle does not keep a task', async () => {
  const p = make(1)
  const pid = await p.apply(() => process.pid)
  process.kill(pid, 'SIGSTOP')
  expect(await p.apply(() => process.pid, [], { timeout: 200 })).not.toBe(pid)
})
