// Rounds per second of a Barrier of 4 processes: the best of four runs, as the peer's.
import { Barrier, Process } from 'multiproc'

const PARTIES = 4
const N = 5000
const RUNS = 4

const barrier = new Barrier(PARTIES)
function rounds(barrier, n) {
  for (let i = 0; i < n; i++) barrier.waitSync()
}
const children = Array.from(
  { length: PARTIES - 1 },
  () => new Process({ target: rounds, args: [barrier, N * RUNS + 1] }),
)
for (const child of children) child.start()
barrier.waitSync() // all are there
let best = 0
for (let run = 0; run < RUNS; run++) {
  const start = performance.now()
  rounds(barrier, N)
  best = Math.max(best, N / ((performance.now() - start) / 1000))
}
for (const child of children) await child.join()
console.log(best)
