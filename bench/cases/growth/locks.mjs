// A Lock that x processes want all the time: acquisitions a second of all, and what the one that got least has of its fair share, %.
import { setTimeout as sleep } from 'node:timers/promises'
import { getContext, Lock, SharedArray, Value } from 'multiproc'
import { budget, points, say } from './points.mjs'

function contend(lock, ready, go, counts, me) {
  ready.add(1)
  go.waitSync()
  let n = 0
  for (;;) {
    for (let i = 0; i < 100; i++) {
      lock.acquireSync()
      lock.release()
    }
    n += 100
    if (!go.isSet()) break
  }
  counts[me] = n
}

// Copies of a started process: 64 of them would take seconds otherwise. They contend as all others do.
const { Process, Event } = getContext('forkserver')
for (const x of points) {
  const lock = new Lock()
  const [ready, go, counts] = [new Value('i', 0), new Event(), new SharedArray('d', x, { lock: false })]
  const all = Array.from(
    { length: x },
    (_, me) => new Process({ target: contend, args: [lock, ready, go, counts, me] }),
  )
  for (const p of all) p.start()
  while (ready.value < x) await sleep(2)
  const begun = performance.now()
  go.set()
  await sleep(budget)
  go.clear()
  for (const p of all) await p.join()
  const took = performance.now() - begun
  const total = counts.reduce((a, b) => a + b)
  say(x, { rate: (total / took) * 1000, share: (Math.min(...counts) / (total / x)) * 100 })
}
