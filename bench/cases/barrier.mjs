// Rounds per second of a Barrier of 4 processes.
import { Barrier, Process } from 'multiproc'

const PARTIES = 4
const N = 5000

const barrier = new Barrier(PARTIES)
function rounds(barrier, n) {
  for (let i = 0; i < n; i++) barrier.waitSync()
}
const children = Array.from({ length: PARTIES - 1 }, () => new Process({ target: rounds, args: [barrier, N + 1] }))
for (const child of children) child.start()
barrier.waitSync() // all are there
const start = performance.now()
rounds(barrier, N)
const seconds = (performance.now() - start) / 1000
for (const child of children) await child.join()
console.log(N / seconds)
