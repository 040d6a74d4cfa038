// ns for value.add(1).
import { Value } from 'multiproc'

const value = new Value('i', 0)
const N = 5_000_000
let best = Number.POSITIVE_INFINITY
for (let round = 0; round < 5; round++) {
  const start = process.hrtime.bigint()
  for (let i = 0; i < N; i++) value.add(1)
  best = Math.min(best, Number(process.hrtime.bigint() - start) / N)
}
if (value.value !== 5 * N) throw new Error('additions were lost')
console.log(best)
