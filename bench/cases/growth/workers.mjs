// A pool of x workers: no-op tasks a second in bulk, and how many times as fast as a plain loop it computes. `multiproc`, `piscina`.
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pool } from 'multiproc'
import { budget, eachTakes, points, say, what } from './points.mjs'

/** Something for a processor to do. */
const compute = (iterations) => {
  let x = 1
  for (let i = 0; i < iterations; i++) x = (x * 1103515245 + 12345) % 2147483648
  return x
}
const noop = () => {}

const MAKE = {
  multiproc(n) {
    const pool = new Pool(n)
    return {
      warm: () => pool.broadcast(noop),
      run: () => pool.apply(noop),
      compute: (iterations) => pool.apply(compute, [iterations]),
      async end() {
        pool.terminate()
        await pool.join()
      },
    }
  },
  piscina(n) {
    const file = join(tmpdir(), 'piscina.cjs')
    writeFileSync(
      file,
      `const compute = ${compute}\nmodule.exports = (n) => (n === undefined ? undefined : compute(n))`,
    )
    const { Piscina } = createRequire(import.meta.url)('piscina')
    const pool = new Piscina({ filename: file, minThreads: n, maxThreads: n })
    return {
      warm: () => Promise.all(Array.from({ length: 4 * n }, () => pool.run(1e6))),
      run: () => pool.run(),
      compute: (iterations) => pool.run(iterations),
      end: () => pool.destroy(),
    }
  },
}

// As much as fills the budget on all processors, in 16 parts for each worker of the largest pool.
compute(1e6)
let begun = performance.now()
compute(1e7)
const parts = 48
const iterations = Math.ceil(((1e7 / (performance.now() - begun)) * budget * availableParallelism()) / parts)
begun = performance.now()
for (let k = 0; k < parts; k++) compute(iterations)
const alone = performance.now() - begun

for (const x of points) {
  const pool = await MAKE[what](x)
  await pool.warm()
  await pool.compute(1e6)
  const ms = await eachTakes((n) => Promise.all(Array.from({ length: n }, pool.run)))
  begun = performance.now()
  await Promise.all(Array.from({ length: parts }, () => pool.compute(iterations)))
  say(x, { tasks: 1000 / ms, speed: alone / (performance.now() - begun) })
  await pool.end()
}
process.exit()
