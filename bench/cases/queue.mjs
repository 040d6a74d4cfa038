// Messages per second one way through a Queue: `int`, `object`; or `many`: so many producers and consumers as argued.
import { Barrier, Process, Queue } from 'multiproc'

const [what, producers = 1, consumers = 1] = [
  process.argv[2],
  Number(process.argv[3] ?? 1),
  Number(process.argv[4] ?? 1),
]
const N = 240_000
const ROUNDS = 3

function produce(q, start, n, objects) {
  start.waitSync()
  if (objects) for (let i = 0; i < n; i++) q.putSync({ id: i, op: 'add', args: [1, 2, 3] })
  else for (let i = 0; i < n; i++) q.putSync(i & 127)
}
function consume(q, start, end, n) {
  start.waitSync()
  for (let i = 0; i < n; i++) q.getSync()
  end.waitSync()
}

let best = 0
for (let round = 0; round < ROUNDS; round++) {
  const q = new Queue()
  const start = new Barrier(producers + consumers + 1)
  const end = new Barrier(consumers + 1)
  const all = []
  for (let i = 0; i < producers; i++)
    all.push(new Process({ target: produce, args: [q, start, N / producers, what === 'object'] }))
  for (let i = 0; i < consumers; i++) all.push(new Process({ target: consume, args: [q, start, end, N / consumers] }))
  for (const p of all) p.start()
  start.waitSync()
  const began = performance.now()
  end.waitSync()
  best = Math.max(best, (N * 1000) / (performance.now() - began))
  for (const p of all) p.joinSync()
}
console.log(best)
