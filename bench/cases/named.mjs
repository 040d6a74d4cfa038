// named.mjs make: µs to make, close and unlink a segment of 4 KB; sum: ms to attach one of 64 MB and sum its doubles.
import { SharedMemory } from 'multiproc'

const what = process.argv[2]
const big = what === 'sum' ? new SharedMemory({ create: true, size: 64 << 20 }) : undefined
big?.as('float64').fill(1.5)

function once() {
  if (big === undefined) {
    const memory = new SharedMemory({ create: true, size: 4096 })
    memory.close()
    memory.unlink()
    return
  }
  const memory = new SharedMemory({ name: big.name })
  const doubles = memory.as('float64')
  let sum = 0
  for (let i = 0; i < doubles.length; i++) sum += doubles[i]
  memory.close()
  if (sum !== 1.5 * (8 << 20)) throw new Error('a wrong sum')
}

const [N, unit] = big === undefined ? [3000, 1000] : [3, 1]
let best = Number.POSITIVE_INFINITY
for (let round = 0; round < 5; round++) {
  const start = performance.now()
  for (let i = 0; i < N; i++) once()
  best = Math.min(best, ((performance.now() - start) * unit) / N)
}
big?.close()
console.log(best)
