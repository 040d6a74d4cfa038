// ms from start() to the first line of a plain target, at the Nth start of this program.
import { Process, Value } from 'multiproc'

const clock = new Value('q', 0n)
function target(clock) {
  clock.value = process.hrtime.bigint()
}
let ms = 0
for (let i = 0; i < Number(process.argv[2]); i++) {
  const start = process.hrtime.bigint()
  const p = new Process({ target, args: [clock] })
  p.start()
  await p.join()
  ms = Number(clock.value - start) / 1e6
}
console.log(ms)
