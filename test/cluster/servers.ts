// Real servers and nodes for the tests of clusters: each server on a free port with its store in a temporary folder, each node a
// process. All are ended by their pids, with nothing left behind.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type * as Cluster from 'multiproc/cluster'
import { afterAll, afterEach } from 'vitest'
import { until } from '../until'

export const { ClusterPool } = createRequire(import.meta.url)('multiproc/cluster') as typeof Cluster
export type ClusterPool = Cluster.ClusterPool
export const WORK = fileURLToPath(new URL('../fixtures/cluster/work.mjs', import.meta.url))
const COMMAND = fileURLToPath(new URL('../../dist/cli.cjs', import.meta.url))

/** Where there is no nats-server only CI fails. */
export const noServer = !process.env.CI && !hasServer()
function hasServer(): boolean {
  try {
    execFileSync('nats-server', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const servers: Server[] = []
const nodes = new Set<WorkerNode>()
const pools: ClusterPool[] = []
const folders: string[] = []

export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'multiproc-cluster-'))
  folders.push(path)
  return path
}

export class Server {
  readonly #folder = folder()
  readonly #args: readonly string[]
  #process!: ChildProcess
  #monitor: string | undefined
  url!: string

  private constructor(args: readonly string[]) {
    this.#args = args
  }
  static async start(args: readonly string[] = []): Promise<Server> {
    const server = new Server(args)
    servers.push(server)
    await server.#run('-1')
    return server
  }
  async #run(port: string): Promise<void> {
    const own = ['-a', '127.0.0.1', '-p', port, '-js', '-sd', join(this.#folder, 'store')]
    this.#process = spawn('nats-server', [...own, '--ports_file_dir', this.#folder, ...this.#args], { stdio: 'ignore' })
    await once(this.#process, 'spawn')
    const ports = join(this.#folder, `nats-server_${this.#process.pid}.ports`)
    let said: { nats?: string[]; monitoring?: string[] } = {}
    await until(() => {
      try {
        said = existsSync(ports) ? JSON.parse(readFileSync(ports, 'utf8')) : {}
      } catch {
        // It is being written.
      }
      return said.nats !== undefined
    }, 'the server listens')
    this.#monitor = said.monitoring?.[0]
    this.url = said.nats![0]!.replace(/^.*:\/\/.*:/, 'nats://127.0.0.1:')
  }
  /** How many clients are connected: of a server with '-m'. */
  async connections(): Promise<number> {
    const answer = await fetch(`${this.#monitor}/connz`)
    return ((await answer.json()) as { num_connections: number }).num_connections
  }
  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = once(this.#process, 'exit')
    this.#process.kill(signal)
    await ended
  }
  /** At the same port, with what it had stored. */
  async restart(): Promise<void> {
    await this.#run(this.url.split(':').at(-1)!)
  }
}

export class WorkerNode {
  readonly process: ChildProcess
  readonly lines: string[] = []
  readonly ready: Promise<void>
  readonly #ended: Promise<unknown>

  constructor(args: readonly string[], wrap: readonly string[] = []) {
    const [command, ...rest] = [...wrap, process.execPath, COMMAND, 'worker', ...args]
    this.process = spawn(command!, rest, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#ended = once(this.process, 'exit')
    nodes.add(this)
    this.ready = new Promise((resolve, reject) => {
      createInterface({ input: this.process.stderr! }).on('line', (line) => {
        this.lines.push(line)
        if (line.includes('takes tasks')) resolve()
      })
      this.process.once('exit', () => reject(new Error(`the node has ended: ${this.lines.join('\n')}`)))
    })
    this.ready.catch(() => {})
  }
  /** Its exit code, after this signal. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.process.kill(signal)
    await this.#ended
    nodes.delete(this)
    return this.process.exitCode
  }
  async ended(): Promise<number | null> {
    await this.#ended
    nodes.delete(this)
    return this.process.exitCode
  }
}
/** Quick to find out who is lost. */
export const QUICK = ['--lost-after', '1000']
export async function worker(server: Server, ...args: string[]): Promise<WorkerNode> {
  const node = new WorkerNode(['--servers', server.url, '--processes', '2', ...QUICK, ...args])
  await node.ready
  return node
}

let count = 0
/** A name that no other test has. */
export function poolName(): string {
  return `pool-${process.pid}-${++count}`
}
export function clusterPool(server: Server, options: Cluster.ClusterPoolOptions = {}): ClusterPool {
  const pool = new ClusterPool({ servers: server.url, lostAfter: 1000, allowFunctions: true, ...options })
  pools.push(pool)
  return pool
}

afterEach(async () => {
  for (const pool of pools.splice(0)) {
    pool.terminate()
    await pool.join()
  }
})
afterAll(async () => {
  for (const node of nodes) await node.end('SIGKILL')
  for (const server of servers.splice(0)) await server.stop()
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true })
})
