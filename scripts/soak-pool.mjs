// soak-pool.mjs SECONDS: pools of processes and of threads at work without end. Tasks end well, throw, run out of time, are cancelled
// and kill their workers, from many callers at once; workers are replaced, and the pool resized. Each call must settle as it should,
// and memory, shared and own, must not grow. Prints what was done; exit code 1 if anything was wrong.
import { readdirSync } from 'node:fs'
import * as mp from 'multiproc'

const seconds = Number(process.argv[2] ?? 600)
const { __memoryStats: memoryStats } = mp.default
const counts = { calls: 0, wrong: 0, lost: 0, timedOut: 0, cancelled: 0, threw: 0 }

const square = (x) => x * x
const end = (threads) => (threads ? process.exit(3) : process.kill(process.pid, 'SIGKILL'))
const fail = (x) => {
  throw new RangeError(`no ${x}`)
}
const late = () => {
  for (;;);
}
const asleep = () => new Promise(() => {})
const head = (array) => array.fill(array[0] + 1)
const sometimes = (threads, x) => {
  if (x % 50 === 49) threads ? process.exit(3) : process.kill(process.pid, 'SIGKILL')
  return -x
}

/** The error of a promise; undefined: none. */
const errorOf = (promise) =>
  promise.then(
    () => undefined,
    (error) => error ?? null,
  )
function check(right, what, detail) {
  counts.calls++
  if (right) return
  counts.wrong++
  console.log('WRONG', what, detail)
}

const ACTIONS = [
  async (pool, n) => check((await pool.apply(square, [n])) === n * n, 'apply'),
  async (pool, n) => {
    const items = Array.from({ length: 100 }, (_, i) => i + n)
    const got = await pool.map(square, items)
    check(got.every((x, i) => x === items[i] ** 2) && got.length === 100, 'map')
  },
  async (pool, n) => {
    const error = await errorOf(pool.apply(fail, [n]))
    counts.threw++
    check(error instanceof RangeError && error.message === `no ${n}`, 'throw', error)
  },
  async (pool, _n, threads) => {
    const error = await errorOf(pool.apply(end, [threads]))
    counts.lost++
    check(error instanceof mp.WorkerLostError, 'loss', error)
  },
  async (pool) => {
    const error = await errorOf(pool.apply(late, [], { timeout: 20, grace: 5 }))
    counts.timedOut++
    check(error instanceof mp.TimeoutError, 'time', error)
  },
  async (pool) => {
    const task = pool.apply(asleep, [], { grace: 1 })
    await task.wait({ timeout: Math.random() * 10 })
    task.cancel()
    const error = await errorOf(task)
    counts.cancelled++
    check(error instanceof mp.CancelledError, 'cancel', error)
  },
  async (pool, n) => {
    const array = new Float64Array(1 << 16).fill(n)
    const options = Math.random() < 0.5 ? { transfer: [array] } : {}
    const got = await pool.apply(head, [array], options)
    check(got.length === 1 << 16 && got[5] === n + 1, 'array')
  },
  async (pool) => {
    let taken = 0
    function* endless() {
      for (let k = 0; ; k++) yield k
    }
    for await (const x of pool.imap(square, endless(), { chunkSize: 3 })) {
      if (x !== taken ** 2) check(false, 'imap', x)
      if (++taken === 50) break
    }
    check(true, 'imap')
  },
  async (pool, _n, threads) => {
    const results = []
    for await (const x of pool.imap(one[threads], Array(60).keys(), {
      settle: true,
      chunkSize: 7,
    }))
      results.push(x)
    const right = results.every((r, i) => (i === 49 ? r.reason instanceof mp.WorkerLostError : r.value === -i))
    counts.lost++
    check(right && results.length === 60, 'chunks', results)
  },
  async (pool, n) => {
    pool.resize(1 + (n % 3))
  },
]
const one = { true: (x) => sometimes(true, x), false: (x) => sometimes(false, x) }

async function caller(pool, threads, until) {
  for (let n = 0; performance.now() < until; n++) {
    const action = ACTIONS[Math.floor(Math.random() * ACTIONS.length)]
    await action(pool, n, threads)
  }
}

/** What is in use when those that were killed have been cleaned up after, and garbage is gone. */
const settle = async () => {
  for (let k = 0; k < 20; k++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 500))
    const { blocks, slots } = memoryStats()
    if (blocks === 0 && slots <= 2) break
  }
  const { rss, heapUsed } = process.memoryUsage()
  return { ...memoryStats(), rss, heapUsed, fds: readdirSync('/proc/self/fd').length }
}

if (mp.isMain(import.meta)) {
  const SLICE_MS = Math.min(30_000, seconds * 200)
  const until = performance.now() + seconds * 1000
  let first
  let last
  for (let round = 0; performance.now() < until || round < 2; round++) {
    const slice = performance.now() + SLICE_MS
    const pools = [
      [new mp.Pool({ processes: 2, crashBudget: Number.POSITIVE_INFINITY, maxTasksPerChild: 500 }), false],
      [new mp.ThreadPool({ processes: 2, crashBudget: Number.POSITIVE_INFINITY }), true],
    ]
    await Promise.all(pools.flatMap(([pool, threads]) => [1, 2, 3, 4].map(() => caller(pool, threads, slice))))
    for (const [pool] of pools) {
      pool.close()
      if (!(await pool.join({ timeout: 60_000 }))) check(false, 'join', pool.stats())
    }
    last = await settle()
    // The first round fills caches.
    if (round === 0) first = last
    console.log(JSON.stringify({ round, ...counts, ...last }))
  }
  check(last.blocks <= first.blocks + 4 && last.slots <= first.slots, 'shared memory', { first, last })
  check(last.rss < first.rss * 1.5 + (50 << 20), 'memory', { first, last })
  check(last.fds <= first.fds + 4, 'descriptors', { first, last })
  process.exit(counts.wrong === 0 ? 0 : 1)
}
