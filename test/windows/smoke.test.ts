// The shortest look at everything that stands on the platform interface: run under wine by `.ci/run`, and on Windows.
import { Lock, Pool, Process, Queue, Value } from 'multiproc'
import { expect, it } from 'vitest'

it('processes, values, locks, queues, and a killed owner', async () => {
  const [value, lock, queue] = [new Value('i', 0), new Lock(), new Queue()]
  const adds = (v: Value<number>, l: Lock, q: Queue) => {
    for (let i = 0; i < 1000; i++) l.withSync(() => v.add(1))
    q.putSync(process.pid)
  }
  const children = [1, 2].map(() => new Process({ target: adds, args: [value, lock, queue] as const }))
  for (const child of children) child.start()
  const pids = [await queue.get(), await queue.get()]
  for (const child of children) expect(await child.join()).toBe(true)
  expect(children.map((child) => child.exitCode)).toEqual([0, 0])
  expect(pids.sort()).toEqual(children.map((child) => child.pid).sort())
  expect(value.value).toBe(2000)

  const owner = new Process({
    target: async (l: Lock, q: Queue) => {
      l.acquireSync()
      q.putSync('held')
      await new Promise((resolve) => setTimeout(resolve, 60_000))
    },
    args: [lock, queue] as const,
  })
  owner.start()
  expect(await queue.get()).toBe('held')
  const waiting = lock.acquire()
  owner.kill()
  const held = await waiting
  expect(held!.abandoned).toBe(true)
  held!.release()
  expect(await owner.join()).toBe(true)
  expect(owner.exitSignal).toBe('SIGKILL')
})

it('a pool', async () => {
  const pool = new Pool(2)
  expect(await pool.map((n: number) => n * n, [1, 2, 3, 4])).toEqual([1, 4, 9, 16])
  await pool.close()
  await pool.join()
})
