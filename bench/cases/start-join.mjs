// ms for start() and join() of a child that does nothing.
import { Process } from 'multiproc'

const times = []
for (let i = 0; i < 10; i++) {
  const start = performance.now()
  const p = new Process({ target: () => {} })
  p.start()
  await p.join()
  times.push(performance.now() - start)
}
times.sort((a, b) => a - b)
console.log(times[5])
