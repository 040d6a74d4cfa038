// ms from start() to the first line of a plain target, with a start method: the median of 20, after a first one.
import { getContext, Value } from 'multiproc'

const { Process } = getContext(process.argv[2])
const clock = new Value('q', 0n)
function target(clock) {
  clock.value = process.hrtime.bigint()
}
const times = []
for (let i = 0; i < 21; i++) {
  const start = process.hrtime.bigint()
  const p = new Process({ target, args: [clock] })
  p.start()
  await p.started
  await p.join()
  times.push(Number(clock.value - start) / 1e6)
}
times.shift()
times.sort((a, b) => a - b)
console.log(times[10])
