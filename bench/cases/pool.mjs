// pool.mjs WHAT WHO: one figure of one pool with 2 workers. WHO is multiproc, or a peer that does the same in its own way.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { getContext, isMain, Pool, transfer } from '../../dist/index.mjs'

const require = createRequire(import.meta.url)
const noop = () => {}
const MB = 1 << 20
const ITERATIONS = 60_000_000

/** Something for a processor to do. */
const compute = (iterations) => {
  let x = 1
  for (let i = 0; i < iterations; i++) x = (x * 1103515245 + 12345) % 2147483648
  return x
}

const WORKERS = {
  piscina: `const { move } = require(PATH)
module.exports = (a) => (a === undefined ? undefined : move(a))`,
  tinypool: 'export default () => {}',
  workerpool: 'require(PATH).worker({ noop() {} })',
  poolifier:
    'const { ThreadWorker } = require(PATH)\nmodule.exports = new ThreadWorker(() => {}, { maxInactiveTime: 3600000 })',
  cluster:
    'const { ClusterWorker } = require(PATH)\nmodule.exports = new ClusterWorker(() => {}, { maxInactiveTime: 3600000 })',
}

let folder
function workerFile(name, path) {
  folder ??= mkdtempSync(join(tmpdir(), 'bench-pool-'))
  const file = join(folder, `${name}.${name === 'tinypool' ? 'mjs' : 'cjs'}`)
  writeFileSync(file, WORKERS[name].replace('PATH', JSON.stringify(path)))
  return file
}
async function tinypool(options) {
  const manifest = require.resolve('tinypool/package.json')
  const { default: Tinypool } = await import(pathToFileURL(join(dirname(manifest), 'dist/index.js')))
  return new Tinypool({ filename: workerFile('tinypool'), minThreads: 2, maxThreads: 2, ...options })
}

// Each gives how to run a task without arguments, how to send an array there and back, and how to end.
const MAKE = {
  multiproc() {
    const pool = new Pool(2)
    const back = (array) => transfer(array)
    return {
      run: () => pool.apply(noop),
      echo: (array) => pool.apply(back, [array], { transfer: [array] }),
      end: () => pool.terminate(),
    }
  },
  piscina() {
    const { Piscina } = require('piscina')
    const pool = new Piscina({
      filename: workerFile('piscina', require.resolve('piscina')),
      minThreads: 2,
      maxThreads: 2,
    })
    return {
      run: () => pool.run(),
      echo: (array) => pool.run(array, { transferList: [array.buffer] }),
      end: () => pool.destroy(),
    }
  },
  async tinypool() {
    const pool = await tinypool({})
    return { run: () => pool.run(), end: () => pool.destroy() }
  },
  async 'tinypool-processes'() {
    const pool = await tinypool({ runtime: 'child_process' })
    return { run: () => pool.run(), end: () => pool.destroy() }
  },
  workerpool(workerType = 'thread') {
    const file = workerFile('workerpool', require.resolve('workerpool'))
    const pool = require('workerpool').pool(file, { maxWorkers: 2, minWorkers: 2, workerType })
    return { run: () => pool.exec('noop'), end: () => pool.terminate() }
  },
  'workerpool-processes': () => MAKE.workerpool('process'),
  poolifier() {
    const { FixedThreadPool } = require('poolifier')
    const pool = new FixedThreadPool(2, workerFile('poolifier', require.resolve('poolifier')))
    return { run: () => pool.execute(), end: () => pool.destroy() }
  },
  'poolifier-processes'() {
    const { FixedClusterPool } = require('poolifier')
    const pool = new FixedClusterPool(2, workerFile('cluster', require.resolve('poolifier')))
    return { run: () => pool.execute(), end: () => pool.destroy() }
  },
}

async function warm({ run }) {
  for (let k = 0; k < 5; k++) await Promise.all(Array.from({ length: 500 }, run))
}

const MEASURE = {
  /** Tasks per second, submitted in bulk. */
  async bulk(pool) {
    await warm(pool)
    const n = 20_000
    const begun = performance.now()
    await Promise.all(Array.from({ length: n }, pool.run))
    return (n / (performance.now() - begun)) * 1000
  },
  /** µs for a task, one after the other. */
  async serial(pool) {
    await warm(pool)
    const n = 5000
    const begun = performance.now()
    for (let k = 0; k < n; k++) await pool.run()
    return ((performance.now() - begun) * 1000) / n
  },
  /** Arrays of 1 MB per second, there and back. */
  async array(pool) {
    await warm(pool)
    const n = 4000 // fewer would be a measure of the compiler
    const arrays = Array.from({ length: 4 }, () => new Float64Array(MB / 8))
    const begun = performance.now()
    await Promise.all(
      arrays.map(async (array) => {
        for (let k = 0; k < n / 4; k++) array = await pool.echo(array)
      }),
    )
    return (n / (performance.now() - begun)) * 1000
  },
}

const ALONE = {
  /** Items per second of map with default chunks. */
  async map() {
    const pool = new Pool(2)
    const items = Array.from({ length: 200_000 }, (_, i) => i)
    const square = (x) => x * x
    await pool.map(square, items)
    const begun = performance.now()
    await pool.map(square, items)
    const took = performance.now() - begun
    pool.terminate()
    return (items.length / took) * 1000
  },
  /** How many times faster than a plain loop two workers are. */
  async compute() {
    const pool = new Pool(2)
    await pool.map(compute, [1e6, 1e6], { chunkSize: 1 })
    const begun = performance.now()
    await pool.map(compute, [ITERATIONS, ITERATIONS], { chunkSize: 1 })
    const parallel = performance.now() - begun
    pool.terminate()
    compute(1e6)
    const alone = performance.now()
    compute(ITERATIONS)
    compute(ITERATIONS)
    return (performance.now() - alone) / parallel
  },
  /** ms from a pool of the forkserver to its first result, when the server runs: the median of 9. */
  async 'first-forkserver'() {
    const context = getContext('forkserver')
    const times = []
    for (let k = 0; k < 10; k++) {
      const begun = performance.now()
      const pool = new context.Pool(2)
      await pool.apply(noop)
      times.push(performance.now() - begun)
      pool.terminate()
      await pool.join()
    }
    times.shift()
    return times.sort((a, b) => a - b)[4]
  },
  /** Memory of an idle worker (PSS) in that of a bare node. */
  async memory() {
    const { spawn } = await import('node:child_process')
    const pool = new Pool(2)
    await pool.broadcast(noop)
    const bare = [1, 2].map(() =>
      spawn(process.execPath, ['-e', 'process.stdout.write("x");setInterval(noop=>{},1e9)'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    )
    await Promise.all(bare.map((child) => new Promise((resolve) => child.stdout.once('data', resolve))))
    const pss = (pid) => Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))[1])
    const ours = pool.pids.map(pss).reduce((a, b) => a + b)
    const theirs = bare.map(({ pid }) => pss(pid)).reduce((a, b) => a + b)
    for (const child of bare) child.kill()
    pool.terminate()
    return ours / theirs
  },
}

if (isMain(import.meta)) {
  const [what, who = 'multiproc'] = process.argv.slice(2)
  try {
    if (what in ALONE) console.log(await ALONE[what]())
    else if (what === 'first') {
      const begun = performance.now()
      const pool = await MAKE[who]()
      await pool.run()
      console.log(performance.now() - begun)
      await pool.end()
    } else {
      const pool = await MAKE[who]()
      console.log(await MEASURE[what](pool))
      await pool.end()
    }
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true })
  }
  process.exit(0)
}
