// Operations (acquireSync + release) per second of two processes that want the same Lock all the time.
import { Lock, Process, Value } from 'multiproc'

const SECONDS = 1.5

function contend(lock, go, stop, total) {
  go.add(1)
  while (go.value < 3) lock.withSync(() => {})
  let n = 0
  while (stop.value === 0) {
    for (let i = 0; i < 1000; i++) {
      lock.acquireSync()
      lock.release()
    }
    n += 1000
  }
  total.add(n)
}

const lock = new Lock()
const [go, stop, total] = [new Value('i', 0), new Value('i', 0), new Value('d', 0)]
const both = [1, 2].map(() => new Process({ target: contend, args: [lock, go, stop, total] }))
for (const p of both) p.start()
while (go.value < 2) await new Promise((resolve) => setTimeout(resolve, 5))
const start = performance.now()
go.add(1)
await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000))
stop.value = 1
for (const p of both) await p.join()
console.log(total.value / ((performance.now() - start) / 1000))
