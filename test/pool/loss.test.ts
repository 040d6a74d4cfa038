// Workers that die: only the running task fails, nothing is lost, nothing hangs.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { KILLED } from '../killed'
import { program } from '../process/program'
import { until } from '../until'
import { all, errorOf, KINDS, pool as make, range, withWorkers } from './pools'

const WINDOWS = process.platform === 'win32'
const ENDS: [how: string, end: () => unknown, exitCode: number, signal: string | null, thread?: false][] = [
  ['SIGKILL', () => void process.kill(process.pid, 'SIGKILL'), KILLED, WINDOWS ? null : 'SIGKILL', false],
  ['exit', () => process.exit(7), 7, null],
  ['abort', () => process.abort(), WINDOWS ? expect.any(Number) : -6, WINDOWS ? null : 'SIGABRT', false],
  [
    'an error in a timer',
    () =>
      new Promise(() =>
        setTimeout(() => {
          throw new Error('in a timer')
        }),
      ),
    1,
    null,
  ],
  ['an unhandled rejection', () => new Promise(() => void Promise.reject(new Error('unhandled'))), 1, null],
]

describe.each(KINDS)('%s', (kind) => {
  const pool = (options?: Parameters<typeof make>[0]) => make(options, kind)
  /** The sudden end of a worker. */
  const end = kind === 'threads' ? (): unknown => process.exit(1) : (): unknown => process.kill(process.pid, 'SIGKILL')

  it.each(ENDS.filter((end) => end[4] !== false || kind !== 'threads'))(
    'the end of a worker by %s fails its own task only',
    async (name, how, exitCode, signal) => {
      const p = pool(2)
      const others = range(20).map((i) => p.apply((x: number) => x * 2, [i]))
      const pid = p.apply(() => process.pid)
      const error = await errorOf(() => p.apply(how as () => void))
      expect(error).toBeInstanceOf(mp.WorkerLostError)
      expect(error).toMatchObject({ code: 'ERR_MP_WORKER_LOST', exitCode, signal, likelyOutOfMemory: false })
      expect(error.pid).toBeTypeOf('number')
      if (/^an /.test(name)) expect(error.stderr).toMatch(/in a timer|unhandled/) // errors are told there
      expect(await Promise.all(others)).toEqual(range(20).map((i) => i * 2))
      expect(await pid).toBeTypeOf('number')
      expect(await p.apply((x: number) => x + 1, [1])).toBe(2)
    },
  )

  it('a Sync call learns of the end of its worker', async () => {
    const p = pool(1)
    await withWorkers(p, kind)
    expect(() => p.applySync(end)).toThrow(mp.WorkerLostError)
    await withWorkers(p, kind)
    expect(p.applySync(() => 3)).toBe(3)
    // A forked worker cannot be replaced in the midst of a Sync call.
    expect(() => p.mapSync((i: number) => (i === 3 ? end() : i), range(6))).toThrow(
      kind === 'fork' ? mp.StateError : mp.WorkerLostError,
    )
  })

  it('a worker out of memory is told as such', async () => {
    const options = { processes: 1, resourceLimits: { maxOldGenerationSizeMb: 30 } }
    if (kind === 'forkserver' || kind === 'fork') {
      expect(() => pool(options)).toThrow(/must be absent with start method/) // copies share their original's flags
      return
    }
    const p = pool(options)
    const error = await errorOf(() =>
      p.apply(() => {
        const hoard: number[][] = []
        for (;;) hoard.push(Array.from({ length: 10_000 }, (_, i) => i))
      }),
    )
    expect(error).toBeInstanceOf(mp.WorkerLostError)
    expect(error.likelyOutOfMemory).toBe(true)
    expect(error.stderr).toMatch(/heap/)
  })

  it('of a chunk only the running item fails, and each item runs once', async () => {
    const p = pool(2)
    const ran = new mp.SharedArray('int32', 30)
    const work = (i: number) => {
      Atomics.add(ran, i, 1)
      if (i === 13) end()
      return i * 10
    }
    const results = await all(p.imap(work, range(30), { chunkSize: 15, settle: true }))
    expect(results.map((r) => r.status)).toEqual(range(30).map((i) => (i === 13 ? 'rejected' : 'fulfilled')))
    expect(results.map((r) => (r.status === 'fulfilled' ? r.value : -1))).toEqual(
      range(30).map((i) => (i === 13 ? -1 : i * 10)),
    )
    expect([...ran]).toEqual(Array(30).fill(1))
    const error = await errorOf(() => p.map(work, range(30), { chunkSize: 15 }))
    expect(error).toBeInstanceOf(mp.WorkerLostError)
    expect([...ran]).toEqual(Array(30).fill(2))
  })

  it('retries run a lost task again', async () => {
    const p = pool(1)
    const ran = new mp.Value('int32', 0)
    const work = (n: number) => {
      if (ran.add(1) < n) end()
      return mp.taskContext().attempt
    }
    expect(await p.apply(work, [2], { retries: 2 })).toBe(3)
    ran.value = 0
    expect(await errorOf(() => p.apply(work, [2], { retries: 1 }))).toBeInstanceOf(mp.WorkerLostError)
    ran.value = 0
    expect(await p.map(work, [1, 1, 1], { retries: 1, chunkSize: 3 })).toEqual([2, 1, 1])
    expect(p.stats().retried).toBe(4)
  })

  it('one in a hundred of many tasks kills its worker: every other one has its result', {
    timeout: 180_000,
  }, async () => {
    const n = Number(process.env.MULTIPROC_POOL_TASKS ?? 1000)
    const p = pool(2)
    const work = (x: number) => {
      if (x % 100 === 50) end()
      return x
    }
    const settled = await Promise.allSettled(range(n).map((i) => p.apply(work, [i])))
    const wrong = settled.filter((s, i) =>
      i % 100 === 50
        ? !(s.status === 'rejected' && s.reason instanceof mp.WorkerLostError)
        : !(s.status === 'fulfilled' && s.value === i),
    )
    expect(wrong).toEqual([])
  })

  it('too many losses in a row break the pool', async () => {
    const p = pool({ processes: 1, crashBudget: 3 })
    const told = new Promise((resolve) => p.once('error', resolve))
    for (let k = 0; k < 2; k++) expect(await errorOf(() => p.apply(end))).toBeInstanceOf(mp.WorkerLostError)
    expect(await p.apply(() => 1)).toBe(1)
    for (let k = 0; k < 3; k++) expect(await errorOf(() => p.apply(end))).toBeInstanceOf(mp.WorkerLostError)
    const error: any = await told
    expect(error).toBeInstanceOf(mp.PoolBrokenError)
    expect(error.cause).toBeInstanceOf(mp.WorkerLostError)
    expect(await errorOf(() => p.apply(() => 1))).toMatchObject({ code: 'ERR_MP_POOL_BROKEN' })
    expect(await p.join()).toBe(true)
  })

  it('the first loss breaks a pool without a budget, and with it all that waits', async () => {
    const p = pool({ processes: 1, crashBudget: 0 })
    const first = p.apply(end)
    const second = p.apply(() => 2)
    expect(await errorOf(() => first)).toBeInstanceOf(mp.WorkerLostError)
    expect(await errorOf(() => second)).toBeInstanceOf(mp.PoolBrokenError)
  })

  it('tasks that wait for each other are not put behind one another', async () => {
    const p = pool(2)
    // Quick ones first: the pool sends such ahead of need.
    const same = (x: number) => x
    await Promise.all(range(500).map((i) => p.apply(same, [i])))
    const gate = new mp.Event()
    const waits = p.apply((g: mp.Event) => g.waitSync({ timeout: 20_000 }), [gate])
    const quick = range(20).map(() => p.apply(() => 1))
    const opens = p.apply((g: mp.Event) => g.set(), [gate])
    expect(await waits).toBe(true)
    await Promise.all([...quick, opens])
  })

  it('a worker that ends while it is idle is replaced', async () => {
    const p = pool(1)
    const exited = new Promise<any>((resolve) => p.once('workerExit', resolve))
    const id = await p.apply(() => {
      setTimeout(() => process.exit(4), 1)
      return mp.taskContext().workerId
    })
    expect(await exited).toMatchObject({ id, exitCode: 4 })
    expect(await p.apply(() => mp.taskContext().workerId)).not.toBe(id)
    expect(p.stats().lost).toBe(1)
  })
})

it('workers that cannot even start break the pool', async () => {
  const p = make({ processes: 1, execArgv: ['--no-such-flag-of-node'] })
  expect(await errorOf(() => p.apply(() => 1))).toBeInstanceOf(mp.PoolBrokenError)
})

it.runIf(KINDS.includes('fork'))('a process that cannot be forked now says so', async () => {
  const thread = new Worker('setInterval(() => {}, 1000)', { eval: true })
  await once(thread, 'online')
  try {
    const error = await errorOf(() => make({ processes: 1, crashBudget: 1 }, 'fork').apply(() => 1))
    expect(error).toBeInstanceOf(mp.PoolBrokenError)
    expect(error.message).toMatch(/cannot be forked now: .*worker_threads/)
  } finally {
    await thread.terminate()
  }
})

it('options that the start method cannot fulfil are refused', () => {
  for (const kind of KINDS.filter((kind) => kind !== 'spawn' && kind !== 'threads'))
    expect(() => make({ resourceLimits: { maxOldGenerationSizeMb: 100 } }, kind)).toThrow(
      expect.objectContaining({
        code: 'ERR_INVALID_ARG_VALUE',
        message: expect.stringMatching(/options\.resourceLimits/),
      }),
    )
  for (const kind of KINDS)
    expect(() => make({ execArgv: [5] as never }, kind)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    )
})

it('a killed idle worker is replaced', async () => {
  const p = make(2)
  await p.broadcast(() => {})
  const [pid] = p.pids
  const exited = new Promise<any>((resolve) => p.once('workerExit', resolve))
  process.kill(pid!, 'SIGKILL')
  expect(await exited).toMatchObject({ pid, signal: WINDOWS ? null : 'SIGKILL' })
  await until(() => p.pids.length === 2 && !p.pids.includes(pid!), 'a replacement')
  expect(await p.map((x: number) => x, range(10))).toEqual(range(10))
})

it('a pool whose parent is killed leaves no process behind', async () => {
  let worker = 0
  const ended = await program('../pool/orphans.mjs', [], {
    onLine: (line, pid) => {
      worker = Number(line)
      process.kill(pid, 'SIGKILL')
    },
  })
  expect(ended.signal).toBe('SIGKILL')
  expect(worker).toBeGreaterThan(0)
})

it('Ctrl-C ends the pool in order and then the program', async () => {
  const ended = await program('../pool/interrupted.mjs', [], {
    onLine: (line, pid) => {
      if (line === 'ready') process.kill(-pid, 'SIGINT')
    },
  })
  expect(ended).toMatchObject({ signal: 'SIGINT', stderr: '' })
})

it('a handler of the program decides what Ctrl-C does', async () => {
  const ended = await program('../pool/interrupted.mjs', ['handler'], {
    onLine: (line, pid) => {
      if (line === 'ready') process.kill(-pid, 'SIGINT')
    },
  })
  expect(ended).toMatchObject({ code: 0, stderr: '', lines: ['ready', 'handled', 'done'] })
})
