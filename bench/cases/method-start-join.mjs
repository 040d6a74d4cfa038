// ms for start() and join() of a child that does nothing, with a start method: the median of 30, after a first one.
import { getContext } from 'multiproc'

const { Process } = getContext(process.argv[2])
const times = []
for (let i = 0; i < 31; i++) {
  const start = performance.now()
  const p = new Process({ target: () => {} })
  p.start()
  await p.started
  await p.join()
  times.push(performance.now() - start)
}
times.shift()
times.sort((a, b) => a - b)
console.log(times[15])
