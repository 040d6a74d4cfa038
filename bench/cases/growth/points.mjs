// What the programs of the curves share: arguments `WHAT MS X…`, and a line of JSON for each x.
import { readFileSync } from 'node:fs'

const [what, ms, ...xs] = process.argv.slice(2)

/** Which line of the chart. */
export { what }
/** How long to measure at each point, ms. */
export const budget = Number(ms)
export const points = xs.map(Number)

export const say = (x, values) => console.log(JSON.stringify({ x, ...values }))

/** Runs `batch(n)` with n doubled until it takes the budget, after a first one. Gives ms for one of the last batch. */
export async function eachTakes(batch) {
  await batch(1)
  for (let n = 4; ; n *= 2) {
    const begun = performance.now()
    await batch(n)
    const took = performance.now() - begun
    if (took >= budget) return took / n
  }
}

/** Memory that this process has in RAM, bytes; shared memory counts. */
export const resident = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))[1]) * 1024
