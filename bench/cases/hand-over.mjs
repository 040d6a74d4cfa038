// µs for a round trip of two processes that hand each other locks: each blocks until the other releases for it.
import { Lock, Process } from 'multiproc'

const [there, back] = [new Lock(), new Lock()]
const N = 10_000
const ROUNDS = 4

function answer(there, back, n) {
  for (let i = 0; i < n; i++) {
    there.acquireSync()
    back.release()
  }
}

there.acquireSync()
back.acquireSync()
const other = new Process({ target: answer, args: [there, back, N * ROUNDS] })
other.start()
let best = Number.POSITIVE_INFINITY
for (let round = 0; round < ROUNDS; round++) {
  const start = performance.now()
  for (let i = 0; i < N; i++) {
    there.release()
    back.acquireSync()
  }
  best = Math.min(best, ((performance.now() - start) * 1000) / N)
}
await other.join()
console.log(best)
