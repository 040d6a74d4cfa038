// A Queue into which x small objects are put before one is taken: µs for a put and for a get, bytes of memory for a message.
import { Queue } from 'multiproc'
import { budget, points, resident, say } from './points.mjs'

for (const x of points) {
  const queue = new Queue()
  let [put, get, rounds, memory] = [0, 0, 0, null]
  do {
    const before = resident()
    let begun = performance.now()
    for (let i = 0; i < x; i++) queue.putSync({ id: i, op: 'add', args: [1, 2, 3] })
    put += performance.now() - begun
    // Fewer are lost in what the process takes for itself.
    if (rounds === 0 && x >= 100_000) memory = (resident() - before) / x
    begun = performance.now()
    for (let i = 0; i < x; i++) if (queue.getSync().id !== i) throw new Error('out of order')
    get += performance.now() - begun
    rounds++
  } while (put + get < budget)
  queue.close()
  say(x, { put: (put * 1000) / rounds / x, get: (get * 1000) / rounds / x, memory })
}
