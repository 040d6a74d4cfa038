// Messages of x bytes one way, with a word back after each batch: time for one, µs, and GB/s. `pipe`, `queue`: ours; `port`:
// postMessage to a worker; `fork`: child_process.fork with advanced serialisation.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { Pipe, Process, Queue } from 'multiproc'
import { eachTakes, points, say, what } from './points.mjs'

function readPipe(c) {
  for (;;) {
    const n = c.recvSync()
    if (n === 0) return
    for (let i = 0; i < n; i++) c.recvBytesSync()
    c.sendSync(n)
  }
}
function readQueue(q, back) {
  for (;;) {
    const n = q.getSync()
    if (n === 0) return
    for (let i = 0; i < n; i++) q.getSync()
    back.putSync(n)
  }
}

// Each gives how to send a batch, and how to end.
const MAKE = {
  pipe() {
    const [here, there] = Pipe()
    const other = new Process({ target: readPipe, args: [there] })
    other.start()
    return {
      batch(n, message) {
        here.sendSync(n)
        for (let i = 0; i < n; i++) here.sendBytesSync(message)
        here.recvSync()
      },
      end() {
        here.sendSync(0)
        return other.join()
      },
    }
  },
  queue() {
    const [queue, back] = [new Queue(), new Queue()]
    const other = new Process({ target: readQueue, args: [queue, back] })
    other.start()
    return {
      batch(n, message) {
        queue.putSync(n)
        for (let i = 0; i < n; i++) queue.putSync(message)
        back.getSync()
      },
      end() {
        queue.putSync(0)
        return other.join()
      },
    }
  },
  port() {
    const worker = new Worker(
      `const { parentPort } = require('node:worker_threads')
       let left = 0
       parentPort.on('message', (m) => {
         if (typeof m === 'number') left = m
         else if (--left === 0) parentPort.postMessage(0)
       })`,
      { eval: true },
    )
    return {
      async batch(n, message) {
        const done = once(worker, 'message')
        worker.postMessage(n)
        for (let i = 0; i < n; i++) worker.postMessage(message)
        await done
      },
      end: () => worker.terminate(),
    }
  },
  fork() {
    const child = fork(fileURLToPath(import.meta.url), ['child', '0'], { serialization: 'advanced' })
    return {
      async batch(n, message) {
        const done = once(child, 'message')
        child.send(n)
        for (let i = 0; i < n; i++) if (!child.send(message)) await new Promise((resolve) => child.send(null, resolve))
        await done
      },
      async end() {
        child.disconnect()
        await once(child, 'exit')
      },
    }
  },
}

if (what === 'child') {
  let left = 0
  process.on('message', (m) => {
    if (typeof m === 'number') left = m
    else if (m !== null && --left === 0) process.send(0)
  })
} else {
  const { batch, end } = await MAKE[what]()
  for (const x of points) {
    const message = new Uint8Array(x).fill(7)
    const ms = await eachTakes((n) => batch(n, message))
    say(x, { time: ms * 1000, rate: x / ms / 1e6 })
  }
  await end()
}
