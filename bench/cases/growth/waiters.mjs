// x promises of one process that wait at once: µs for each until all have gone on, and bytes of heap for one. `lock`: each
// acquires and releases; `queue`: each gets a message; `event`: one set() wakes all; `atomics`: Atomics.waitAsync, one notify each.
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Event, Lock, Queue } from 'multiproc'
import { budget, points, say, what } from './points.mjs'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc')

/** What is in use on the heap, and of it outside, bytes. */
function inUse() {
  gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

// Each gives x promises that wait, and what wakes them.
const MAKE = {
  lock(x) {
    const lock = new Lock()
    lock.acquireSync()
    const wait = async () => {
      await lock.acquire()
      lock.release()
    }
    return [Array.from({ length: x }, wait), () => lock.release()]
  },
  queue(x) {
    const queue = new Queue()
    return [
      Array.from({ length: x }, () => queue.get()),
      () => {
        for (let i = 0; i < x; i++) queue.putSync(i)
      },
    ]
  },
  event(x) {
    const event = new Event()
    return [Array.from({ length: x }, () => event.wait()), () => event.set()]
  },
  atomics(x) {
    const word = new Int32Array(new SharedArrayBuffer(4))
    return [
      Array.from({ length: x }, () => Atomics.waitAsync(word, 0, 0).value),
      () => {
        for (let i = 0; i < x; i++) Atomics.notify(word, 0, 1)
      },
    ]
  },
}

for (const x of points) {
  let [took, rounds, memory] = [0, 0, null]
  do {
    const counts = rounds === 0 && x >= 1000
    const before = counts ? inUse() : 0
    const [promises, wake] = MAKE[what](x)
    for (let k = 0; k < 3; k++) await turn() // all are asleep
    if (counts) memory = (inUse() - before) / x
    const begun = performance.now()
    wake()
    await Promise.all(promises)
    took += performance.now() - begun
    rounds++
  } while (took < budget)
  say(x, { wake: (took * 1000) / rounds / x, memory })
}
process.exit()
