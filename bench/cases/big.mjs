// ms for a large array one way, with a word back: `array`: 16 MB, copied; `transfer`: moved. `buffer`: µs for 1 MiB there and
// back; `port`: the same by a MessagePort to another thread.
import { Worker } from 'node:worker_threads'
import { Pipe, Process, RawArray, transfer } from 'multiproc'

const what = process.argv[2]
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1]

function answer(c) {
  for (;;) {
    const array = c.recvSync()
    if (array === null) return
    c.sendSync(array[1])
  }
}
function echo(c) {
  for (;;) {
    const buffer = c.recvSync()
    c.sendSync(buffer)
    if (buffer === null) return
  }
}

async function pipe(target, rounds, make) {
  const [here, there] = Pipe()
  const other = new Process({ target, args: [there] })
  other.start()
  const times = []
  for (let i = 0; i < rounds; i++) {
    const value = make()
    const start = performance.now()
    here.sendSync(value)
    here.recvSync()
    times.push(performance.now() - start)
  }
  here.sendSync(null)
  await other.join()
  return median(times)
}

async function port() {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
     parentPort.on('message', (m) => parentPort.postMessage(m))`,
    { eval: true },
  )
  const buffer = Buffer.alloc(1 << 20, 1)
  const times = []
  for (let i = 0; i < 300; i++) {
    const start = performance.now()
    await new Promise((resolve) => {
      worker.once('message', resolve)
      worker.postMessage(buffer)
    })
    times.push(performance.now() - start)
  }
  await worker.terminate()
  return median(times)
}

const array = new Float64Array(2_000_000).fill(3)
const buffer = Buffer.alloc(1 << 20, 1)
const cases = {
  array: () => pipe(answer, 60, () => array),
  transfer: () => pipe(answer, 40, () => transfer(new RawArray('d', 2_000_000))),
  buffer: () => pipe(echo, 300, () => buffer),
  port,
}
console.log(await cases[what]())
