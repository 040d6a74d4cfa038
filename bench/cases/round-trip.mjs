// µs for an asynchronous round trip of a small object, both event loops free: `pipe`: our Pipe to another process; `port`: a
// MessagePort to another thread; `fork`: child_process.fork with advanced serialisation.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { Pipe, Process } from 'multiproc'

const what = process.argv[2]
const N = 4000
const ROUNDS = 5

async function pipe() {
  const [here, there] = Pipe()
  new Process({
    target: async (c) => {
      for await (const m of c) await c.send(m)
    },
    args: [there],
    daemon: true,
  }).start()
  there.close()
  return async (m) => {
    await here.send(m)
    return await here.recv()
  }
}

function port() {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
     parentPort.on('message', (m) => parentPort.postMessage(m))`,
    { eval: true },
  )
  let arrived
  worker.on('message', (m) => arrived(m))
  return (m) =>
    new Promise((resolve) => {
      arrived = resolve
      worker.postMessage(m)
    })
}

function forked() {
  const child = fork(fileURLToPath(import.meta.url), ['echo'], { serialization: 'advanced' })
  let arrived
  child.on('message', (m) => arrived(m))
  return (m) =>
    new Promise((resolve) => {
      arrived = resolve
      child.send(m)
    })
}

if (what === 'echo') process.on('message', (m) => process.send(m))
else {
  const trip = await { pipe, port, fork: forked }[what]()
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now()
    for (let i = 0; i < N; i++) await trip({ id: i, op: 'add', args: [1, 2, 3] })
    best = Math.min(best, ((performance.now() - start) * 1000) / N)
  }
  console.log(best)
  process.exit()
}
