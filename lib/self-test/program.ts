// dist/self-test.cjs: memory, locks, messages and the deaths of their holders between two processes. Exits with 0 and says
// 'all good', or tells what was wrong.
import type * as multiproc from '../index'

const { Lock, Process, Queue, SharedArray, Value } = require('./index.cjs') as typeof multiproc
const ROUNDS = 500
const PATIENCE_MS = 20_000

function check(good: boolean, what: string): void {
  if (!good) throw new Error(what)
}

async function main(): Promise<void> {
  const counter = new Value('i', 0, { lock: false })
  const numbers = new SharedArray('float64', ROUNDS)
  const lock = new Lock()
  const queue = new Queue<number>()
  const add = (): void => {
    for (let i = 0; i < ROUNDS; i++)
      lock.withSync(() => {
        counter.value += 1
      })
  }
  const child = new Process({
    target: async () => {
      for (let i = 0; i < ROUNDS; i++) numbers[i] = i
      add()
      for (let i = 0; i < ROUNDS; i++) await queue.put(i)
    },
  })
  child.start()
  add()
  for (let i = 0; i < ROUNDS; i++)
    check((await queue.get({ timeout: PATIENCE_MS })) === i, 'a message is not what was put')
  await child.join()
  check(child.exitCode === 0, `a child ended with ${child.exitCode}`)
  check(counter.value === 2 * ROUNDS, `a lock let two in: ${counter.value} of ${2 * ROUNDS}`)
  check(
    numbers.every((n, i) => n === i),
    'an array is not what was written',
  )

  const has = new Value('i', 0, { lock: false })
  const holder = new Process({
    target: () => {
      lock.acquireSync()
      has.value = 1
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    },
  })
  holder.start()
  for (const end = performance.now() + PATIENCE_MS; has.value === 0; ) {
    check(performance.now() < end, 'a child does not start')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  holder.kill()
  const held = lock.acquireSync({ timeout: PATIENCE_MS })
  check(held?.abandoned === true, 'the lock of a killed process is not given on')
  held!.release()
  await holder.join()
  console.log('all good')
}

main().catch((error) => {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
})
