// µs one way, half of a round trip: `lock`: a release in one process to the continuation of `await acquire()` in another;
// `message`: postMessage of worker_threads to the listener of the other thread.
import { Worker } from 'node:worker_threads'
import { Lock, Process } from 'multiproc'

const N = 5000
const ROUNDS = 4

async function locks() {
  const [there, back] = [new Lock(), new Lock()]
  there.acquireSync()
  back.acquireSync()
  const other = new Process({
    target: async (n) => {
      for (let i = 0; i < n; i++) {
        await there.acquire()
        back.release()
      }
    },
    args: [N * ROUNDS],
  })
  other.start()
  return async () => {
    there.release()
    await back.acquire()
  }
}

async function messages() {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
     parentPort.on('message', (m) => parentPort.postMessage(m))`,
    { eval: true },
  )
  worker.unref()
  let arrived
  worker.on('message', () => arrived())
  return () =>
    new Promise((resolve) => {
      arrived = resolve
      worker.postMessage(1)
    })
}

const trip = await (process.argv[2] === 'message' ? messages() : locks())
let best = Number.POSITIVE_INFINITY
for (let round = 0; round < ROUNDS; round++) {
  const start = performance.now()
  for (let i = 0; i < N; i++) await trip()
  best = Math.min(best, ((performance.now() - start) * 1000) / N / 2)
}
console.log(best)
process.exit()
