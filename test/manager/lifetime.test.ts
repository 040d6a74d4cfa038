// Where proxies go, how long objects live, and what is left when clients or the server are killed.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import * as mp from 'multiproc'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../until'
import { inChild } from './tools'

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/manager/${name}`, import.meta.url))
const KILLS = Number(process.env.MP_MANAGER_KILLS ?? 12)

class Garbage {
  collect(): void {
    const gc = process.getBuiltinModule('node:vm').runInNewContext('gc')
    gc()
  }
}
class GcManager extends mp.SyncManager {
  declare Garbage: () => any
}
GcManager.register('Garbage', Garbage)

let m: GcManager
beforeAll(async () => {
  process.getBuiltinModule('node:v8').setFlagsFromString('--expose-gc')
  m = new GcManager({
    initializer: () => process.getBuiltinModule('node:v8').setFlagsFromString('--expose-gc'),
  })
  await m.start()
})
afterAll(async () => {
  await m.shutdown()
  expect(mp.activeChildren()).toEqual([])
})
function collect(): void {
  process.getBuiltinModule('node:vm').runInNewContext('gc')()
}

describe('proxies travel', () => {
  test('into other objects of their manager, and out again', async () => {
    const outer = m.dict<string, any>()
    const inner = m.list<any>([1])
    await outer.set('list', inner)
    const same = (await outer.get('list')) as mp.ListProxy
    await same.push(2)
    expect(await inner.copy()).toEqual([1, 2])
    await inner.push({ deep: m.Namespace({ x: 1 }) })
    const { deep } = (await same.at(2)) as any
    deep.y = 5
    expect(await (await inner.at(2)).deep.y).toBe(5)
    expect((outer.sync.get('list') as any).sync.length).toBe(3)
    await inner.push(outer) // in a circle
    expect(await ((await (await outer.get('list')).at(3)) as any).has('list')).toBe(true)
    expect(await inner.indexOf(outer)).toBe(3)
  })
  test('through queues, pipes, pool tasks and to threads', async () => {
    const d = m.dict<string, any>()
    const q = new mp.Queue<any>()
    await q.put({ nested: [d] })
    const [a, b] = mp.Pipe()
    await a.send(d)
    await inChild(
      async (queue: mp.Queue<any>, pipe: mp.Connection) => {
        await (await queue.get()).nested[0].set('queue', 1)
        await (await pipe.recv()).set('pipe', 2)
      },
      [q, b],
    )
    const pool = new mp.Pool(1)
    await pool.apply(async (p: any) => void (await p.set('pool', 3)), [d])
    const made = await pool.apply((p: any) => ({ back: p }), [d])
    await made.back.set('back', 4)
    pool.close()
    await pool.join()
    const worker = new Worker(
      `const { workerData } = require('node:worker_threads')
       const mp = require(workerData.path)
       mp.fromHandle(workerData.queue).getSync().sync.set('thread', 5)`,
      {
        eval: true,
        workerData: { path: fileURLToPath(new URL('../../dist/index.cjs', import.meta.url)), queue: mp.toHandle(q) },
      },
    )
    await q.put(d)
    await once(worker, 'exit')
    expect(await d.copy()).toEqual(new Map(Object.entries({ queue: 1, pipe: 2, pool: 3, back: 4, thread: 5 })))
  })
  test('to the server of another manager', async () => {
    const other = await mp.Manager()
    const d = m.dict([['a', 1]])
    const l = other.list<any>([d]) as any
    expect(await (await l.at(0)).get('a')).toBe(1)
    // There, it is called by the other server.
    expect(await l.reduce((_: any, p: any) => p.get('a'), 0 as any)).toBe(1)
    await other.shutdown()
  })
  test.skipIf(!mp.startMethodStatus('fork').available)('to forked children, as they are', () => {
    const said = execFileSync(process.execPath, [fixture('fork.mjs')], { encoding: 'utf8', timeout: 50_000 })
    expect(JSON.parse(said)).toEqual([0, [1, 2, 3, [1, 2], 4], 5])
  })
})

describe('objects live', () => {
  test('as long as a client has a proxy of them, or another object', async () => {
    const before = await m.numberOfObjects()
    const outer = m.dict<string, any>()
    await (async () => {
      for (let i = 0; i < 20; i++) await m.list().push(i)
      const inner = m.list<any>(['kept'])
      await outer.set('inner', inner)
      await inner.push(1)
    })()
    const gc = m.Garbage()
    await until(async () => {
      collect()
      await gc.collect()
      return (await m.numberOfObjects()) <= before + 3 // outer, its list, gc
    }, 'the end of 20 lists')
    expect(await (await outer.get('inner')).copy()).toEqual(['kept', 1])
    await outer.clear()
    await until(async () => {
      collect()
      await gc.collect()
      return (await m.numberOfObjects()) <= before + 2
    }, 'the end of the list in the dict')
  })
  test('while a proxy is on its way, although its sender is gone', async () => {
    const q = new mp.Queue<any>()
    await inChild(
      async (queue: mp.Queue<any>, maker: any) => {
        // Made here and sent; nobody else has it.
        const list = maker.sync.get('list')
        await queue.put(list)
      },
      [q, m.dict([['list', m.list(['sent'])]])],
    )
    collect()
    await m.Garbage().collect()
    const list = await q.get()
    expect(await list.copy()).toEqual(['sent'])
  })
  test('no longer than their clients: one that is killed has none', async () => {
    const before = await m.numberOfObjects()
    const q = m.Queue<number>()
    const d = m.dict<string, any>({ list: m.list() })
    const child = new mp.Process({
      target: async (queue: any, dict: any) => {
        const many = []
        for (let i = 0; i < 50; i++) many.push(await dict.get('list'))
        await queue.put(many.length)
        await new Promise(() => setInterval(() => {}, 1000))
      },
      args: [q, d],
    })
    child.start()
    expect(await q.get()).toBe(50)
    child.kill()
    await child.join()
    await until(async () => (await m.numberOfObjects()) <= before + 3, 'the end of a dead client’s references')
  })
})

describe('the death of a client', () => {
  test('releases its locks: the next one is told', async () => {
    const lock = m.Lock()
    const rlock = m.RLock()
    const sem = m.Semaphore(1)
    const ready = m.Queue<number>()
    const child = new mp.Process({
      target: async (l: any, r: any, s: any, q: any) => {
        await l.acquire()
        await r.acquire()
        await r.acquire()
        await s.acquire()
        await q.put(1)
        await l.acquire() // for ever
      },
      args: [lock, rlock, sem, ready],
    })
    child.start()
    await ready.get()
    const waiting = lock.acquire()
    child.kill()
    expect((await waiting).abandoned).toBe(true)
    expect((await rlock.acquire()).abandoned).toBe(true)
    await sem.acquire()
    expect(await sem.value).toBe(0)
    await child.join()
  })
  test('breaks the barrier that it waits at, and takes nothing from a queue', async () => {
    const barrier = m.Barrier(2)
    const q = m.Queue<number>()
    const child = new mp.Process({
      target: async (b: any, queue: any) => {
        queue.get()
        await b.wait()
      },
      args: [barrier, q],
    })
    child.start()
    await until(async () => (await barrier.waiting) === 1, 'the wait')
    child.kill()
    await child.join()
    await until(() => barrier.broken, 'the break')
    await q.put(7)
    expect(await q.get({ timeout: 20_000 })).toBe(7)
  })
  test(`at any moment leaves the others their manager (${KILLS} kills)`, async () => {
    const lock = m.Lock()
    const d = m.dict<string, number>({ a: 0, b: 0 })
    const started = m.Queue<number>()
    for (let i = 0; i < KILLS; i++) {
      const child = new mp.Process({
        target: async (l: any, dict: any, q: any) => {
          await q.put(1)
          for (let n = 0; ; n++) {
            const held = l.sync.acquire()
            if (n % 2) dict.sync.set('a', dict.sync.get('a') + 1)
            else await dict.update('b', (x: number) => x + 1)
            await dict.set('big', 'x'.repeat(100_000))
            held.release()
            await dict.set('self', dict)
          }
        },
        args: [lock, d, started],
      })
      child.start()
      await started.get()
      for (let turn = 0; turn < 1 + (i % 5) * 3; turn++) await d.get('a')
      child.kill()
      await child.join()
      expect(child.exitSignal).toBe('SIGKILL')
      const held = await lock.acquire({ timeout: 20_000 })
      expect(held).not.toBe(null)
      held!.release()
    }
    expect(await d.has('a')).toBe(true)
  })
})

describe('the death of the server', () => {
  test('ends all calls, waits and proxies', async () => {
    for (let i = 0; i < Math.ceil(KILLS / 4); i++) {
      const own = await mp.Manager()
      const q = own.Queue()
      const d = own.dict()
      const server = mp
        .activeChildren()
        .find((c) => c.name.startsWith('SyncManager') && c.pid !== undefined && !known.has(c.pid))!
      const waiting = [
        expect(q.get()).rejects.toThrow(mp.EOFError),
        expect(own.Lock().with(() => q.get())).rejects.toThrow(),
      ]
      const child = new mp.Process({
        target: async (queue: any) => {
          await queue.put(1)
          try {
            for (;;) queue.sync.qsize()
          } catch (error) {
            process.exit((error as any).code === 'ERR_MP_EOF' ? 0 : 3)
          }
        },
        args: [own.Queue()],
      })
      child.start()
      for (let turn = 0; turn < i * 7; turn++) await d.set(`${turn}`, turn)
      server.kill()
      await Promise.all(waiting)
      await expect(d.get('x')).rejects.toThrow(mp.EOFError)
      expect(() => d.sync.get('x')).toThrow(mp.EOFError)
      await child.join()
      expect([0, 1]).toContain(child.exitCode) // 1: its arguments came too late
      await own.shutdown()
    }
  })
  const known = new Set<number>()
  beforeAll(() => {
    for (const child of mp.activeChildren()) known.add(child.pid!)
  })
})

test('a manager that nobody shuts down keeps no program alive, and ends with it', async () => {
  const said = execFileSync(process.execPath, [fixture('idle.mjs')], { encoding: 'utf8', timeout: 50_000 })
  const { server, value } = JSON.parse(said)
  expect(value).toBe(1)
  await until(() => !isAlive(server), 'the end of the server')
})

test('Ctrl-C is the business of whoever started the manager', async () => {
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import * as mp from ${JSON.stringify(new URL('../../dist/index.mjs', import.meta.url).href)}
       const manager = await mp.Manager()
       const d = manager.dict()
       const [server] = mp.activeChildren()
       process.once('SIGINT', async () => {
         await d.set('still', 1)
         console.log(await d.get('still'))
         await manager.shutdown()
         process.exit()
       })
       server.interrupt()
       console.log('ready')
       setInterval(() => {}, 1000)`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
    if (said === 'ready\n') child.kill('SIGINT')
  })
  await once(child, 'close')
  expect(said).toBe('ready\n1\n')
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
