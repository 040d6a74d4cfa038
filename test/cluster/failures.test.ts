// What breaks: workers, nodes, the server, links. Nothing hangs, no task with retries is lost, none without them runs twice.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { errorOf, range } from '../pool/pools'
import { until } from '../until'
import { clusterPool, folder, noServer, poolName, QUICK, Server, WORK, WorkerNode, worker } from './servers'

const SUBMITTER = fileURLToPath(new URL('../fixtures/cluster/submitter.mjs', import.meta.url))
const LONG = process.env.MULTIPROC_LONG !== undefined
const ref = (name: string) => mp.fnRef(WORK, name)
const careful = { allowFunctions: false }

/** A test with a link that it may cut, where this process may make one. */
function withLink(name: string, test: (link: Link) => Promise<void>): void {
  it.skipIf(!hasNamespaces())(name, { timeout: 60_000 }, async () => {
    const link = new Link()
    try {
      await test(link)
    } finally {
      link.close()
    }
  })
}

describe.skipIf(noServer)('failures', () => {
  it('a node is killed: a task with retries runs elsewhere, one without is told as lost', async () => {
    const server = await Server.start()
    const first = await worker(server, '--preload', WORK)
    const pool = clusterPool(server, careful)
    const at = folder()
    const [begun, go] = [join(at, 'begun'), join(at, 'go')]
    const [begun2, never] = [join(at, 'begun2'), join(at, 'never')]
    const again = pool.apply(ref('wait'), [begun, go], { retries: 1 })
    const once = pool.apply(ref('wait'), [begun2, never])
    await until(() => existsSync(begun) && existsSync(begun2), 'both have begun')
    const second = await worker(server, '--preload', WORK)
    await first.end('SIGKILL')
    const lost = await errorOf(() => once)
    expect(lost).toBeInstanceOf(mp.WorkerLostError)
    expect(lost.message).toMatch(/node/)
    writeFileSync(go, '')
    // It was the second attempt.
    expect(await again).toBe(2)
    expect(readFileSync(begun2, 'utf8')).toMatch(/^\d{1,7}$/)
    expect(await pool.apply(ref('add'), [1, 2])).toBe(3)
    await second.end('SIGTERM')
    await server.stop()
  })

  it('the server is gone for a while: nothing is lost, and nothing runs twice', { timeout: 60_000 }, async () => {
    const server = await Server.start()
    const nodes = await Promise.all([0, 1].map(() => worker(server, '--preload', WORK)))
    const pool = clusterPool(server, careful)
    const at = folder()
    const held = range(3).map((k) => [join(at, `begun-${k}`), join(at, `go-${k}`)] as const)
    const running = held.map((files) => pool.apply(ref('wait'), [...files]))
    await until(() => held.every(([begun]) => existsSync(begun)), 'they have begun')
    await server.stop()
    // One ends while there is no server; others are submitted.
    writeFileSync(held[0]![1], '')
    const meanwhile = pool.map(ref('square'), range(50), { chunkSize: 5 })
    await new Promise((resolve) => setTimeout(resolve, LONG ? 5000 : 2000))
    await server.restart()
    expect(await running[0]).toBe(1)
    expect(await meanwhile).toEqual(range(50).map((x) => x * x))
    for (const [, go] of held) writeFileSync(go, '')
    expect(await Promise.all(running)).toEqual([1, 1, 1])
    for (const [begun] of held) expect(readFileSync(begun, 'utf8')).toMatch(/^\d{1,7}$/)
    expect(await Promise.all(nodes.map((node) => node.end('SIGTERM')))).toEqual([0, 0])
    await server.stop()
  })

  it('without its server a pool ends all the same', async () => {
    const server = await Server.start()
    const [closed, terminated] = [clusterPool(server, careful), clusterPool(server, careful)]
    const tasks = [closed, terminated].map((pool) => pool.apply(ref('add'), [1, 2]))
    await Promise.all([closed.ready(), terminated.ready()])
    await server.stop()
    terminated.terminate()
    expect(await terminated.join({ timeout: 20_000 })).toBe(true)
    expect(await errorOf(() => tasks[1])).toBeInstanceOf(mp.CancelledError)
    closed.close()
    expect(await closed.join({ timeout: 100 })).toBe(false)
    tasks[0]!.cancel()
    expect(await closed.join({ timeout: 20_000 })).toBe(true)
  })

  withLink('a link is cut: the others run its tasks, and it comes back', async (link) => {
    const server = await Server.start(['-a', link.here])
    const node = new WorkerNode(
      ['--servers', server.url.replace('127.0.0.1', link.here), '--processes', '2', '--preload', WORK, ...QUICK],
      link.inside,
    )
    await node.ready
    const pool = clusterPool(server, { ...careful, servers: server.url.replace('127.0.0.1', link.here) })
    const at = folder()
    const [begun, go] = [join(at, 'begun'), join(at, 'go')]
    const task = pool.apply(ref('wait'), [begun, go], { retries: 1 })
    await until(() => existsSync(begun), 'it has begun')
    link.cut()
    const other = new WorkerNode([
      '--servers',
      server.url.replace('127.0.0.1', link.here),
      '--processes',
      '2',
      '--preload',
      WORK,
      ...QUICK,
    ])
    await other.ready
    await until(() => readFileSync(begun, 'utf8').length > String(node.process.pid).length + 1, 'it has begun again')
    writeFileSync(go, '')
    expect(await task).toBe(2)
    link.mend()
    await other.end('SIGTERM')
    // The one that was cut off serves again.
    expect(await pool.apply(ref('add'), [20, 3])).toBe(23)
    await node.end('SIGKILL')
    await server.stop()
  })

  withLink(
    "a submitter's link is cut until the server has given it up: it gets all results, and nothing runs twice",
    async (link) => {
      const at = folder()
      const config = join(at, 'server.conf')
      writeFileSync(config, 'ping_interval: "500ms"\nping_max: 1\n')
      const server = await Server.start(['-a', link.here, '-m', '-1', '-c', config])
      const servers = server.url.replace('127.0.0.1', link.here)
      const name = poolName()
      const node = new WorkerNode(['--servers', servers, '--pool', name, '--processes', '3', '--preload', WORK])
      await node.ready
      const [ip, ...inside] = link.inside
      const submitter = spawn(ip!, [...inside, process.execPath, SUBMITTER, servers, name, at], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      try {
        const lines = createInterface({ input: submitter.stdout })[Symbol.asyncIterator]()
        const begun = range(3).map((k) => join(at, `begun-${k}`))
        await until(() => begun.every(existsSync), 'they have begun')
        expect(await server.connections()).toBe(2)
        link.cut()
        submitter.stdin.write('more\n')
        expect((await lines.next()).value).toBe('submitted')
        for (const k of range(3)) writeFileSync(join(at, `go-${k}`), '')
        await until(async () => (await server.connections()) === 1, 'the server has given it up')
        link.mend()
        expect(JSON.parse((await lines.next()).value)).toEqual({ held: [1, 1, 1], more: range(50).map((x) => x * x) })
        expect(begun.map((file) => readFileSync(file, 'utf8').match(/^\d{1,7}$/))).not.toContain(null)
        if (submitter.exitCode === null) await once(submitter, 'exit')
        expect(submitter.exitCode).toBe(0)
      } finally {
        submitter.kill('SIGKILL')
      }
      await node.end('SIGKILL')
      await server.stop()
    },
  )

  const count = LONG ? 50_000 : 2000
  it(`${count} tasks while workers and nodes are killed`, { timeout: LONG ? 1_800_000 : 60_000 }, async () => {
    const server = await Server.start()
    const name = poolName()
    const start = () => worker(server, '--pool', name, '--preload', WORK)
    const nodes = await Promise.all(range(3).map(start))
    const pool = clusterPool(server, { ...careful, pool: name, retries: 50 })
    let ended = 0
    const tenths = range(9).map(() => signal())
    const failures: unknown[] = []
    const all = range(count).map((k) =>
      pool
        .apply(ref('square'), [k])
        .then((result) => {
          if (result !== k * k) failures.push([k, result])
        })
        .catch((error) => failures.push([k, error]))
        .finally(() => {
          ended++
          if (ended % (count / 10) === 0) tenths[ended / (count / 10) - 1]?.come()
        }),
    )
    // Each tenth of the tasks something dies: a worker, or a node, which is replaced.
    const random = seeded(7)
    for (let tenth = 1; tenth < 10; tenth++) {
      await tenths[tenth - 1]!.came
      const victim = Math.floor(random() * nodes.length)
      if (tenth % 3 === 0) {
        await nodes[victim]!.end('SIGKILL')
        nodes[victim] = await start()
      } else {
        const [worker] = workersOf(nodes[victim]!.process.pid!)
        if (worker !== undefined) kill(worker)
      }
    }
    await Promise.all(all)
    expect(failures).toEqual([])
    expect(ended).toBe(count)
    await Promise.all(nodes.map((node) => node.end('SIGTERM')))
    await server.stop()
  })
})

function signal(): { came: Promise<void>; come: () => void } {
  let come = (): void => {}
  const came = new Promise<void>((resolve) => (come = resolve))
  return { came, come }
}
function seeded(seed: number): () => number {
  return () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return seed / 2 ** 31
  }
}
/** It may have ended by itself. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
/** The processes that a node has started. */
function workersOf(pid: number): number[] {
  const children: number[] = []
  for (const task of readdirSync(`/proc/${pid}/task`))
    try {
      const list = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim()
      if (list !== '') children.push(...list.split(' ').map(Number))
    } catch {
      // That thread has ended.
    }
  return children
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' })
}
/** May this process make network namespaces, with links between them? */
function hasNamespaces(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false
  try {
    new Link().close()
    return true
  } catch {
    return false
  }
}
/** A network namespace with one link to here, which can be cut. */
class Link {
  static #count = 0
  readonly #name = `mp${process.pid % 10_000}n${++Link.#count}`
  readonly #net = freeNet()
  readonly here = `${this.#net}.1`
  readonly inside: readonly string[] = ['ip', 'netns', 'exec', this.#name]

  constructor() {
    ip('netns', 'add', this.#name)
    try {
      ip('link', 'add', `${this.#name}a`, 'type', 'veth', 'peer', 'name', `${this.#name}b`, 'netns', this.#name)
      ip('addr', 'add', `${this.here}/30`, 'dev', `${this.#name}a`)
      ip('link', 'set', `${this.#name}a`, 'up')
      ip('-n', this.#name, 'addr', 'add', `${this.#net}.2/30`, 'dev', `${this.#name}b`)
      ip('-n', this.#name, 'link', 'set', `${this.#name}b`, 'up')
      ip('-n', this.#name, 'link', 'set', 'lo', 'up')
    } catch (error) {
      this.close()
      throw error
    }
  }
  cut(): void {
    ip('-n', this.#name, 'link', 'set', `${this.#name}b`, 'down')
  }
  mend(): void {
    ip('-n', this.#name, 'link', 'set', `${this.#name}b`, 'up')
  }
  close(): void {
    ip('netns', 'del', this.#name)
  }
}
/** Of the addresses for documentation (RFC 5737): nobody else has them. */
function freeNet(): string {
  const taken = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))
  for (const net of ['192.0.2', '198.51.100', '203.0.113'])
    if (!taken.some((address) => address.startsWith(`${net}.`))) return net
  throw new Error('no addresses are free')
}
