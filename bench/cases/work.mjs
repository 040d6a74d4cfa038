// ms of CPU-bound work: argv is the start method of the child that does it (or plain: this process), and the kind of work.
import { getContext, Value } from 'multiproc'

const [how, kind] = [process.argv[2], process.argv[3]]
const work = {
  nbody() {
    let [x, y, vx, vy] = [0, 1, 0.1, 0.2]
    for (let i = 0; i < 2e7; i++) {
      const r = Math.sqrt(x * x + y * y) + 1e-9
      vx -= (x / (r * r * r)) * 1e-3
      vy -= (y / (r * r * r)) * 1e-3
      x += vx * 1e-3
      y += vy * 1e-3
    }
    return x + y
  },
  garbage() {
    const kept = []
    for (let i = 0; i < 6e6; i++) kept[i % 200000] = { i, a: [i] }
    return kept.length
  },
}[kind]
const ms = new Value('d', 0)
const measured = () => {
  const start = performance.now()
  work()
  ms.value = performance.now() - start
}
if (how === 'plain') measured()
else {
  const { Process } = getContext(how)
  const p = new Process({ target: measured })
  p.start()
  await p.started
  await p.join()
}
console.log(ms.value)
