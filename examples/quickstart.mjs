// The README's first screen, run by `npm run quickstart` and by the tests.
import { Lock, Process, SharedArray, Value } from 'multiproc'

// 1. A plain function in a process of its own.
function greet(name, n) {
  console.log(`${n} × hello ${name} from process ${process.pid}`)
}
const child = new Process({ target: greet, args: ['world', 3] })
child.start()
await child.join()
console.log(`${child.name} (pid ${child.pid}) ended with exit code ${child.exitCode}`)

// 2. A subclass, and several processes at once.
class Squares extends Process {
  constructor(from, out) {
    super({ name: `squares-${from}` })
    this.from = from
    this.out = out
  }
  run() {
    for (let i = this.from; i < this.from + 25; i++) this.out[i] = i * i
  }
}
const squares = new SharedArray('float64', 100) // is a Float64Array, on shared memory
const four = [0, 25, 50, 75].map((from) => new Squares(from, squares))
for (const p of four) p.start()
await Promise.all(four.map((p) => p.join()))
console.log(
  'sum of squares, filled by four processes:',
  squares.reduce((a, b) => a + b),
) // no copies

// 3. Ten processes add to one value: under a lock, under the value's own lock, and without any.
function addLocked(counter, lock) {
  lock.withSync(() => {
    counter.value += 1
  })
}
function addOwnLock(counter) {
  counter.getLock().withSync(() => {
    counter.value += 1
  })
}
function addAtomic(counter) {
  counter.add(1)
}
for (const add of [addLocked, addOwnLock, addAtomic]) {
  const counter = new Value('i', 0)
  const lock = new Lock()
  const ten = Array.from({ length: 10 }, () => new Process({ target: add, args: [counter, lock] }))
  for (const p of ten) p.start()
  await Promise.all(ten.map((p) => p.join()))
  console.log(`${add.name}: ${counter.value}`)
}

// 4. A closure.
const k = 3
const out = new SharedArray('i', 1)
const closure = new Process({ target: () => out.set([k]) })
closure.start()
await closure.join()
console.log('the closure says', out[0])
