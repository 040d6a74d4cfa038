// ms from Event.set() until each of 1,000 promises in 4 processes has gone on.
import { Event, Process, SharedArray, Value } from 'multiproc'

const PROCESSES = 4
const WAITERS = 1000
const ROUNDS = 9

const events = Array.from({ length: ROUNDS }, () => new Event())
const ready = new Value('i', 0)
const woken = new SharedArray('d', PROCESSES, { lock: false })

async function wait(me) {
  const each = WAITERS / PROCESSES
  for (const event of events) {
    const all = Array.from({ length: each }, () => event.wait())
    ready.add(1)
    await Promise.all(all)
    woken[me] = Number(process.hrtime.bigint()) / 1e6 // one clock for all processes
  }
}

const children = Array.from({ length: PROCESSES }, (_, me) => new Process({ target: wait, args: [me] }))
for (const child of children) child.start()
const times = []
for (const [round, event] of events.entries()) {
  while (ready.value < PROCESSES * (round + 1)) await new Promise((resolve) => setTimeout(resolve, 1))
  await new Promise((resolve) => setTimeout(resolve, 20)) // all are asleep
  woken.fill(0)
  const start = Number(process.hrtime.bigint()) / 1e6
  event.set()
  while (woken.some((time) => time === 0)) await new Promise((resolve) => setTimeout(resolve, 1))
  times.push(Math.max(...woken) - start)
}
for (const child of children) await child.join()
times.sort((a, b) => a - b)
console.log(times[ROUNDS >> 1])
