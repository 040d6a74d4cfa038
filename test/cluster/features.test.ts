// What a cluster has beyond the Pool: functions by reference, what is refused, namespaces, priorities, leaving and coming back,
// nodes that say how they are and drain, and the local pool in its place.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as mp from 'multiproc'
import { beforeAll, describe, expect, it } from 'vitest'
import { errorOf, range } from '../pool/pools'
import { until } from '../until'
import { ClusterPool, clusterPool, folder, noServer, poolName, Server, WORK, WorkerNode, worker } from './servers'

const root = fileURLToPath(new URL('../..', import.meta.url))
const ref = (name: string) => mp.fnRef(WORK, name)

let server: Server
let node: WorkerNode
beforeAll(async () => {
  if (noServer) return
  server = await Server.start()
  node = await worker(server, '--preload', WORK)
})

describe.skipIf(noServer)('functions', () => {
  it('of preloaded modules, by reference', async () => {
    const pool = clusterPool(server, { allowFunctions: false })
    expect(await pool.apply(ref('add'), [1, 2])).toBe(3)
    expect(await pool.map(ref('square'), range(10), { chunkSize: 3 })).toEqual(range(10).map((x) => x * x))
    expect(await pool.apply(ref('Job.run'), [5])).toBe(15)
    expect(await pool.apply(ref('attempt'))).toBe(1)
    expect(await errorOf(() => pool.apply(ref('none')))).toMatchObject({ code: 'ERR_MP_UNSUPPORTED' })
    expect((await errorOf(() => pool.apply(mp.fnRef(join(root, 'other.mjs'), 'f')))).message).toMatch(
      /not preloaded the module multiproc\/other\.mjs.*multiproc\/test\/fixtures\/cluster\/work\.mjs/,
    )
    for (const inner of [
      'constructor',
      'add.constructor',
      '__proto__.constructor',
      'Job.prototype.constructor.constructor',
    ])
      expect(await errorOf(() => pool.apply(ref(inner), ['return 1']))).toMatchObject({ code: 'ERR_MP_UNSUPPORTED' })
    const failed = await errorOf(() => pool.apply(ref('fail'), ['why']))
    expect(failed).toBeInstanceOf(mp.RemoteError)
    expect(failed).toMatchObject({ message: 'why', remoteName: 'Error' })
    expect(failed.remoteStack).toMatch(/work\.mjs/)
  })

  it('by value are refused by the submitter, and by a node that was not started for them', async () => {
    const careful = clusterPool(server, { allowFunctions: false })
    const error = await errorOf(() => careful.apply((x: number) => x, [1]))
    expect(error).toBeInstanceOf(mp.SerializationError)
    expect(error.message).toMatch(/allow-functions/)
    const instance = await errorOf(() => careful.apply(ref('add'), [new (class Point {})(), 1]))
    expect(instance).toBeInstanceOf(mp.SerializationError)
    const free = clusterPool(server)
    const refused = await errorOf(() => free.apply((x: number) => x, [1]))
    expect(refused).toBeInstanceOf(mp.UnsupportedError)
    expect(refused.message).toMatch(/--allow-functions/)
    // Code in arguments is not run either.
    const inside = await errorOf(() => free.apply(ref('add'), [() => 1, 1]))
    expect(inside).toBeInstanceOf(mp.SerializationError)
    const shared = await errorOf(() => free.apply(ref('add'), [new mp.Value('int32'), 1]))
    expect(shared).toBeInstanceOf(mp.SerializationError)
    expect(shared.path).toBe('args[0]')
  })

  it('are named as modules says, on both sides', async () => {
    const pool = poolName()
    const named = await worker(server, '--pool', pool, '--preload', `the-work=${WORK}`)
    const submitter = clusterPool(server, { pool, allowFunctions: false, modules: { 'the-work': WORK } })
    expect(await submitter.apply(ref('add'), [3, 4])).toBe(7)
    expect(await named.end('SIGTERM')).toBe(0)
  })

  it('a task of another pool is not run', async () => {
    const pool = poolName()
    const other = clusterPool(server, { pool, allowFunctions: false })
    const task = other.apply(ref('add'), [1, 2])
    const { nc, jsm } = await client()
    try {
      await other.ready()
      const stream = `multiproc_${pool}_tasks`
      let stored: { data: Uint8Array } | null = null
      while (stored === null) stored = await jsm.streams.getMessage(stream, { seq: 1 }).catch(() => null)
      nc.publish('multiproc.default.task.normal.x', stored.data)
      nc.publish('multiproc.default.task.normal.x', 'nonsense')
    } finally {
      await nc.drain()
    }
    await until(() => node.lines.filter((line) => line.includes('refused')).length >= 2, 'two are refused')
    expect(node.lines.join()).toMatch(/a task of another pool/)
    expect(node.lines.join()).toMatch(/malformed/)
    expect(task.ready()).toBe(false)
    expect(await clusterPool(server).apply(ref('add'), [1, 2])).toBe(3)
  })
})

describe.skipIf(noServer)('submitting', () => {
  it('higher priorities first', async () => {
    const pool = poolName()
    const submitter = clusterPool(server, { pool })
    const done: number[] = []
    // Of short tasks a node takes many at once, of any level.
    const slowly = (p: number): number => {
      for (const end = performance.now() + 10; performance.now() < end; );
      return p
    }
    const levels = range(90).map((k) => (k % 3) - 1)
    const tasks = levels.map((priority) => submitter.apply(slowly, [priority], { priority }).then((p) => done.push(p)))
    const { nc, jsm } = await client()
    await submitter.ready()
    try {
      let messages = 0
      while (messages < 90) ({ messages } = (await jsm.streams.info(`multiproc_${pool}_tasks`)).state)
    } finally {
      await nc.close()
    }
    const late = await worker(server, '--pool', pool, '--processes', '1', '--allow-functions')
    await Promise.all(tasks)
    // On the whole: what a node has taken already is not given back when something of a higher level comes.
    const place = (priority: number): number =>
      done.reduce((sum, p, index) => sum + (p === priority ? index / 10 : 0), 0)
    expect(place(1)).toBeLessThan(place(0))
    expect(place(0)).toBeLessThan(place(-1))
    await late.end('SIGTERM')
  })

  it('what is cancelled leaves the queue, also while it is on its way there', async () => {
    const pool = poolName()
    const submitter = clusterPool(server, { pool, allowFunctions: false })
    await submitter.ready()
    const [first, second, third] = range(3).map((k) => submitter.apply(ref('add'), [k, k]))
    await new Promise((resolve) => setImmediate(resolve))
    expect(second!.cancel()).toBe(true)
    const { nc, jsm } = await client()
    try {
      for (;;) {
        const { state } = await jsm.streams.info(`multiproc_${pool}_tasks`)
        if (state.messages === 2 && state.last_seq >= 2) break
      }
    } finally {
      await nc.close()
    }
    const late = await worker(server, '--pool', pool, '--preload', WORK)
    expect(await Promise.all([first, third])).toEqual([0, 4])
    await late.end('SIGTERM')
  })

  it('one that leaves: another one gets the results by the id', async () => {
    const pool = poolName()
    const begun = join(folder(), 'begun')
    const go = `${begun}-go`
    const here = await worker(server, '--pool', pool, '--preload', WORK)
    const first = clusterPool(server, { pool, allowFunctions: false })
    const kept = first.apply(ref('wait'), [begun, go], { id: 'slow' })
    const failing = first.apply(ref('fail'), ['left'])
    const handled = failing.catch(() => {})
    const mapped = first.map(ref('square'), range(40), { chunkSize: 5 })
    await until(() => existsSync(begun), 'it has begun')
    const id = await first.detach()
    expect(id).toBe(first.id)
    expect(await errorOf(() => kept)).toBeInstanceOf(mp.CancelledError)
    await Promise.all([handled, mapped.catch(() => {})])
    expect(await first.join({ timeout: 20_000 })).toBe(true)
    expect(await errorOf(() => first.apply(ref('add'), [1, 1]))).toBeInstanceOf(mp.ClosedError)

    const options = { servers: server.url, pool }
    const second = await ClusterPool.attach(id, options)
    const slow = second.tasks.get('slow')!
    expect(slow.ready()).toBe(false)
    writeFileSync(go, '')
    expect(await slow).toBe(1)
    // What had ended before it left is not among them.
    expect(['slow', '#1', '#2']).toEqual(expect.arrayContaining([...second.tasks.keys()]))
    if (second.tasks.has('#2')) expect(await second.tasks.get('#2')).toEqual(range(40).map((x) => x * x))
    expect(await second.apply(ref('add'), [2, 2])).toBe(4)
    second.close()
    await second.join()
    expect(await errorOf(() => ClusterPool.attach(id, options))).toBeInstanceOf(mp.StateError)
    await here.end('SIGTERM')
  })

  it('the same task from two submitters runs once, and both have its result', async () => {
    const ran = join(folder(), 'ran')
    const go = `${ran}-go`
    const submitters = [0, 1].map(() =>
      clusterPool(server, { id: poolName().replace(/-\d+$/, ''), allowFunctions: false }),
    )
    await Promise.all(submitters.map((submitter) => submitter.ready()))
    const tasks = submitters.map((submitter) => submitter.apply(ref('wait'), [ran, go], { id: 'once' }))
    await until(() => existsSync(ran), 'it has begun')
    writeFileSync(go, '')
    expect(await Promise.all(tasks)).toEqual([1, 1])
    expect(readFileSync(ran, 'utf8')).toMatch(/^\d+$/)
    expect(readFileSync(ran, 'utf8').length).toBeLessThan(9)
  })

  it('without a server the tasks reject', async () => {
    const pool = new ClusterPool({ servers: 'nats://127.0.0.1:9', connection: { reconnect: false } })
    const said = new Promise((resolve) => pool.once('error', resolve))
    const error = await errorOf(() => pool.apply(ref('add'), [1, 2]))
    expect(error).toBeInstanceOf(Error)
    expect(await said).toBe(error)
    expect(await errorOf(() => pool.apply(ref('add'), [1, 2]))).toBe(error)
    pool.terminate()
    expect(await pool.join()).toBe(true)
  })
})

describe.skipIf(noServer)('the event loop', () => {
  it('is kept alive by pending tasks, not by an open pool', () => {
    const cluster = join(root, 'dist', 'cluster.cjs')
    const code = `
      const { ClusterPool } = require(${JSON.stringify(cluster)})
      const { fnRef } = require(${JSON.stringify(join(root, 'dist', 'index.cjs'))})
      const pool = new ClusterPool({ servers: '${server.url}' })
      pool.apply(fnRef(${JSON.stringify(WORK)}, 'add'), [1, 2]).then((sum) => {
        console.log(sum)
        process.on('exit', () => console.log('open', pool))
      })`
    const ended = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8', timeout: 60_000 })
    expect(ended).toMatchObject({ status: 0, stdout: '3\nopen <ClusterPool open pool=default>\n', stderr: '' })
  })

  it('may be blocked while results come', async () => {
    const pool = clusterPool(server, { allowFunctions: false })
    await pool.ready()
    const tasks = range(20).map((k) => pool.apply(ref('add'), [k, 1]))
    tasks.push(pool.apply(ref('add'), [20, 1], { id: 'named' }))
    await tasks[0]
    // Longer than a node waits to be told that an answer has come: it stores it.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600)
    expect(await Promise.all(tasks)).toEqual(range(21).map((k) => k + 1))
    const later = await Promise.all(range(20).map((k) => pool.apply(ref('add'), [k, 2])))
    expect(later).toEqual(range(20).map((k) => k + 2))
    expect(pool.stats()).toMatchObject({ completed: 41, failed: 0, queued: 0 })
    // Somebody else may ask for what has a name.
    const other = clusterPool(server, { allowFunctions: false, id: pool.id! })
    expect(await other.apply(ref('add'), [20, 1], { id: 'named' })).toBe(21)
  })
})

describe.skipIf(noServer)('nodes', () => {
  it('say how they are, drain, and are gone', async () => {
    const pool = poolName()
    const begun = join(folder(), 'begun')
    const go = `${begun}-go`
    const leaving = await worker(server, '--pool', pool, '--preload', WORK)
    const submitter = clusterPool(server, { pool, allowFunctions: false })
    const task = submitter.apply(ref('wait'), [begun, go])
    await until(() => existsSync(begun), 'it has begun')
    await until(() => submitter.stats().nodes[0]?.held === 1, 'the node says so')
    const [info] = submitter.stats().nodes
    expect(info).toMatchObject({ processes: 2, draining: false, allowFunctions: false, pid: leaving.process.pid })
    expect(info!.modules).toEqual(['multiproc/test/fixtures/cluster/work.mjs'])
    const ended = leaving.end('SIGTERM')
    await until(() => leaving.lines.some((line) => line.includes('draining')), 'it drains')
    // Which node does it is open: what was on its way to the leaving one is done there.
    const meanwhile = submitter.apply(ref('add'), [1, 1])
    writeFileSync(go, '')
    expect(await task).toBe(1)
    expect(await ended).toBe(0)
    // What comes from now on waits for the next node.
    const next = submitter.apply(ref('add'), [2, 2])
    expect(await next.wait({ timeout: 50 })).toBe(false)
    const other = await worker(server, '--pool', pool, '--preload', WORK)
    expect(await meanwhile).toBe(2)
    expect(await next).toBe(4)
    await other.end('SIGTERM')
  })

  it('answer health checks', async () => {
    const { createServer } = await import('node:net')
    const probe = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => probe.once('listening', resolve))
    const { port } = probe.address() as { port: number }
    await new Promise((resolve) => probe.close(resolve))
    const healthy = await worker(server, '--pool', poolName(), '--health', String(port))
    const answer = await fetch(`http://127.0.0.1:${port}/`)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ connected: true, processes: 2, draining: false })
    await healthy.end('SIGTERM')
  })

  it('say what is wrong with their arguments, and what they cannot load', async () => {
    const wrong = new WorkerNode(['--pool', 'a b', '--servers', server.url])
    expect(await wrong.ended()).toBe(2)
    expect(wrong.lines.join()).toMatch(/--pool/)
    const none = new WorkerNode(['--servers', server.url, '--preload', '/nowhere/at-all.mjs'])
    expect(await none.ended()).toBe(1)
    expect(none.lines.join()).toMatch(/at-all/)
  })
})

describe('without a server', () => {
  it('local: a Pool of this machine, by the same calls', async () => {
    const pool = new ClusterPool({ local: true, processes: 1 })
    expect(await pool.apply((x: number) => x + 1, [1])).toBe(2)
    expect(await pool.map((x: number) => -x, [1, 2])).toEqual([-1, -2])
    expect(pool.stats()).toMatchObject({ processes: 1, nodes: [] })
    expect(await errorOf(() => pool.detach())).toBeInstanceOf(mp.UnsupportedError)
    const local = { local: true } as object
    expect(await errorOf(() => ClusterPool.attach('x', local))).toBeInstanceOf(mp.UnsupportedError)
    expect((await errorOf(() => ClusterPool.attach('x y', local))).message).toMatch(/"id"/)
    for (const call of [
      () => pool.apply(() => 1, [], { id: 5 as never }),
      () => pool.map((x: number) => x, [1], { id: 5 as never }),
      () => pool.starmap((x: number) => x, [[1]], { id: 5 as never }),
    ])
      expect(await errorOf(call)).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    pool.close()
    expect(await pool.join()).toBe(true)
    expect(() => new ClusterPool()).toThrow(/options\.servers/)
    expect(() => new ClusterPool({ servers: [], pool: 'x.y', local: true })).toThrow(TypeError)
  })

  it('a program without the client of NATS is told what to install', () => {
    // The package alone, where nothing of node_modules can be found.
    const home = join(folder(), 'node_modules', 'multiproc')
    mkdirSync(home, { recursive: true })
    for (const part of ['package.json', 'dist', 'build/Release', 'binding.d.ts'])
      cpSync(join(root, part), join(home, part), { recursive: true })
    const loader = createRequire(import.meta.url).resolve('node-gyp-build/package.json')
    cpSync(join(loader, '..'), join(home, '..', 'node-gyp-build'), { recursive: true })
    const code = `
      const { ClusterPool } = require('multiproc/cluster')
      try { new ClusterPool({ servers: 'nats://127.0.0.1:9' }) } catch (error) { console.log(error.code, error.message) }`
    const ended = spawnSync(process.execPath, ['-e', code], { cwd: join(home, '..', '..'), encoding: 'utf8' })
    expect(ended.stdout).toMatch(/^ERR_MP_NO_NATS .*npm install @nats-io\/transport-node/)
  })

  it('import and require give the same objects', () => {
    const code = `
      const { ClusterPool } = require('multiproc/cluster')
      import('multiproc/cluster').then((esm) => console.log(esm.ClusterPool === ClusterPool, Object.keys(esm).join()))`
    expect(execFileSync(process.execPath, ['-e', code], { cwd: root, encoding: 'utf8' })).toBe(
      'true ClusterPool,default\n',
    )
  })
})

async function client() {
  const require = createRequire(import.meta.url)
  const { connect } = require('@nats-io/transport-node') as typeof import('@nats-io/transport-node')
  const { jetstreamManager } = require('@nats-io/jetstream') as typeof import('@nats-io/jetstream')
  const nc = await connect({ servers: server.url })
  return { nc, jsm: await jetstreamManager(nc) }
}
