// SharedDict and SharedList between processes, worker threads and forked children, nested, while others write.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import * as mp from 'multiproc'
import { afterEach, expect, it } from 'vitest'
import { memoryStats, settledMemory } from '../memory-use'
import { until } from '../until'

const require = createRequire(import.meta.url)

afterEach(() => expect(mp.activeChildren()).toEqual([]))

async function runMany<T extends (...args: any[]) => unknown>(
  n: number,
  target: T,
  ...args: Parameters<T>
): Promise<void> {
  const children = Array.from({ length: n }, () => new mp.Process({ target, args } as any))
  for (const child of children) child.start()
  for (const child of children) {
    await child.join()
    expect(child.exitCode).toBe(0)
  }
}

it('processes write at once, and nothing is lost', async () => {
  const dict = new mp.SharedDict<string, any>({ sum: 0 })
  const list = new mp.SharedList<number>()
  const TURNS = 2000
  await runMany(
    3,
    (d: mp.SharedDict, l: mp.SharedList<number>, turns: number) => {
      for (let i = 0; i < turns; i++) {
        d.update('sum', (n) => n + 1)
        d.set(`${process.pid} ${i % 300}`, { i, text: 'x'.repeat(i % 200) })
        if (d.get(`${process.pid} ${i % 300}`).i !== i) throw new Error('not what was set')
        l.push(process.pid)
      }
    },
    dict,
    list,
    TURNS,
  )
  expect([dict.get('sum'), dict.size, list.length]).toEqual([3 * TURNS, 901, 3 * TURNS])
  const counts = new Map<number, number>()
  for (const pid of list) counts.set(pid, (counts.get(pid) ?? 0) + 1)
  expect([...counts.values()]).toEqual([TURNS, TURNS, TURNS])
  dict.close()
  list.close()
})

it('each item goes to one taker, in order', async () => {
  const tasks = new mp.SharedList<number>(Array(3000).keys())
  const done = new mp.SharedDict<number, number[]>()
  await runMany(
    3,
    (from: mp.SharedList<number>, to: mp.SharedDict) => {
      const mine: number[] = []
      for (let n = from.shift(); n !== undefined; n = from.shift()) mine.push(n)
      to.set(process.pid, mine)
    },
    tasks,
    done,
  )
  const taken = [...done.values()]
  for (const mine of taken) expect(mine).toEqual([...mine].sort((a, b) => a - b))
  expect(taken.flat().sort((a, b) => a - b)).toEqual([...Array(3000).keys()])
  tasks.close()
  done.close()
})

it('who iterates while another writes meets what was there, once', async () => {
  const dict = new mp.SharedDict<string, number>(
    Array.from({ length: 500 }, (_, i) => [`stays ${i}`, i] as [string, number]),
  )
  const [ready, stop] = [new mp.Event(), new mp.Value('bool')]
  const writer = new mp.Process({
    target: (d: mp.SharedDict<string, number>, r: mp.Event, s: mp.Value<boolean>) => {
      for (let i = 0; !s.value; i++) {
        d.set(`new ${i}`, i)
        if (i >= 200) d.delete(`new ${i - 200}`)
        d.update(`stays ${i % 500}`, (n) => n! + 500)
        if (i === 1000) r.set()
      }
    },
    args: [dict, ready, stop] as any,
  })
  writer.start()
  await ready.wait()
  for (let round = 0; round < 20; round++) {
    const met: string[] = []
    for (const [key, value] of dict) {
      if (!key.startsWith('stays')) continue
      met.push(key)
      if (value % 500 !== Number(key.slice(6))) throw new Error(`${key}: ${value}`)
    }
    expect(met).toEqual(Array.from({ length: 500 }, (_, i) => `stays ${i}`))
    const copy = dict.copy()
    expect(copy.size).toBeGreaterThanOrEqual(500)
  }
  stop.value = true
  await writer.join()
  expect(writer.exitCode).toBe(0)
  dict.close()
})

it('getLock() keeps others out of several operations', async () => {
  const dict = new mp.SharedDict<string, number>({ a: 500, b: 500 })
  const seen = new mp.Value('i', 0)
  const move = (d: mp.SharedDict<string, number>, wrong: mp.Value<number>) => {
    for (let i = 0; i < 500; i++)
      d.getLock().withSync(() => {
        const a = d.get('a')!
        if (a + d.get('b')! !== 1000) wrong.add(1)
        d.set('a', a - 1)
        d.set('b', 1001 - a)
      })
  }
  await runMany(2, move, dict, seen)
  expect([dict.get('a'), dict.get('b'), seen.value]).toEqual([-500, 1500, 0])
  const held = await dict.getLock().acquire()
  dict.set('a', 1) // this thread has it
  held.release()
  dict.close()
})

it('a worker thread uses it by handle', async () => {
  const dict = new mp.SharedDict<string, any>({ from: 'main' })
  const list = new mp.SharedList<string>()
  const worker = new Worker(
    `const { workerData } = require('node:worker_threads')
     const { fromHandle } = require(${JSON.stringify(require.resolve('multiproc'))})
     const [dict, list] = workerData.map(fromHandle)
     for (let i = 0; i < 2000; i++) { dict.update('n', (n = 0) => n + 1); list.push(dict.get('from')) }`,
    { eval: true, workerData: [mp.toHandle(dict), mp.toHandle(list)] },
  )
  for (let i = 0; i < 2000; i++) dict.update('n', (n = 0) => n + 1)
  const [code] = await once(worker, 'exit')
  expect([code, dict.get('n'), list.length, list.get(-1)]).toEqual([0, 4000, 2000, 'main'])
  dict.close()
  list.close()
})

it('it goes through queues, pools and itself nested, and lives as long as anybody holds it', async () => {
  const before = (await settledMemory()).blocks
  const outer = new mp.SharedDict<string, any>()
  const queue = new mp.Queue<any>()
  const inner = new mp.SharedList<number>([1])
  outer.set('inner', inner)
  queue.putSync({ at: [outer] })
  inner.close()
  outer.close()
  const answer = new mp.Queue<any>()
  await runMany(
    1,
    (from: mp.Queue<any>, to: mp.Queue<any>) => {
      const [dict] = from.getSync().at
      dict.get('inner').push(process.pid)
      to.putSync(dict)
    },
    queue,
    answer,
  )
  const back = answer.getSync()
  const list = back.get('inner')
  expect(list.length).toBe(2)
  list.close()
  back.close()
  queue.close()
  answer.close()
  await until(() => memoryStats().blocks <= before, 'all is given back', memoryStats)
})

it('what a killed process had alone is given back', async () => {
  const before = (await settledMemory()).blocks
  const ready = new mp.Event()
  const child = new mp.Process({
    target: (r: mp.Event) => {
      const dict = new mp.SharedDict<number, any>()
      for (let i = 0; i < 200; i++) dict.set(i, { list: new mp.SharedList([i]), bytes: new Uint8Array(20_000) })
      ;(globalThis as any).kept = dict
      r.set()
      setInterval(() => {}, 1000)
    },
    args: [ready],
  })
  child.start()
  await ready.wait()
  expect(memoryStats().blocks).toBeGreaterThan(before + 600)
  child.kill()
  await child.join()
  ready.close()
  await until(() => memoryStats().blocks <= before, 'all is given back', memoryStats)
})

it.skipIf(!mp.getAllStartMethods().includes('fork'))('a forked child has what its parent had', async () => {
  const program = fileURLToPath(new URL('../fixtures/collections/fork.mjs', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [program], { timeout: 60_000 })
  expect(stdout.trim()).toBe('ended with 0, 2, 1001, { own: true }')
})

it('two processes that wait for each other are told', async () => {
  const [a, b] = [new mp.SharedDict({ n: 1 }, { name: 'a' }), new mp.SharedDict({ n: 1 }, { name: 'b' })]
  const barrier = new mp.Barrier(2)
  const cross = (first: mp.SharedDict, second: mp.SharedDict, both: mp.Barrier, told: mp.SharedList) => {
    first.getLock().withSync(() => {
      both.waitSync()
      try {
        second.get('n')
      } catch (error) {
        told.push((error as { code: string }).code)
      }
    })
  }
  const told = new mp.SharedList<string>()
  const one = new mp.Process({ target: cross, args: [a, b, barrier, told] as any })
  const two = new mp.Process({ target: cross, args: [b, a, barrier, told] as any })
  one.start()
  two.start()
  await one.join()
  await two.join()
  expect([one.exitCode, two.exitCode, told.copy()]).toEqual([0, 0, ['ERR_MP_DEADLOCK']])
  for (const shared of [a, b, barrier, told]) shared.close()
})
