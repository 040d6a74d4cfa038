// ms from the SIGKILL of a lock's holder until this process, blocked on it, has the lock: the worst of 100.
import { Lock, Process, Value } from 'multiproc'

const lock = new Lock()
const holds = new Value('bool', false)
const killed = new Value('d', 0)

function holdAndDie() {
  lock.acquireSync()
  holds.value = true
  // It dies in the middle of something; the other has had time to fall asleep.
  const end = performance.now() + 5
  while (performance.now() < end);
  killed.value = Number(process.hrtime.bigint()) / 1e6 // one clock for all processes
  process.kill(process.pid, 'SIGKILL')
}

let worst = 0
for (let i = 0; i < 100; i++) {
  holds.value = false
  const child = new Process({ target: holdAndDie })
  child.start()
  while (!holds.value) await new Promise((resolve) => setImmediate(resolve))
  const held = lock.acquireSync()
  worst = Math.max(worst, Number(process.hrtime.bigint()) / 1e6 - killed.value)
  if (!held.abandoned) throw new Error('acquired from the living')
  held.release()
  await child.join()
}
console.log(worst)
