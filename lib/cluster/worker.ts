// `npx multiproc worker`: a node of a cluster, as a command. It says what it does on standard error, drains on SIGTERM and SIGINT
// (a second one ends it at once), and answers health checks over HTTP.
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { cpuCount } from './core'
import { checkName, Names } from './names'
import { Node } from './node'

/** Of the command line, as lib/cli/worker.ts says. */
export type WorkerValues = Readonly<Record<string, unknown>>

/** Resolves with the exit code. */
export async function runWorker(values: WorkerValues): Promise<number> {
  let options: ReturnType<typeof read>
  try {
    options = read(values)
  } catch (error) {
    process.stderr.write(`multiproc worker: ${(error as Error).message}\n`)
    return 2
  }
  const say = (line: string): void => void process.stderr.write(`multiproc worker: ${line}\n`)
  return await new Promise((resolve) => {
    const node = new Node(options.node)
    let health: Server | undefined
    let leaving = false
    const end = (code: number): void => {
      health?.close()
      health?.closeAllConnections()
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.removeListener(signal, leave)
      node.close().then(
        () => resolve(code),
        () => resolve(code),
      )
    }
    const leave = (): void => {
      if (leaving) {
        end(1)
        return
      }
      leaving = true
      say('draining')
      node.drain().then(
        () => end(0),
        (error) => {
          say((error as Error).message)
          end(1)
        },
      )
    }
    process.on('SIGTERM', leave)
    process.on('SIGINT', leave)
    node.on('log', say)
    node.on('end', (error: Error) => {
      say(error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message)
      end(1)
    })
    node.start().then(
      () => {
        if (options.health !== undefined) health = serveHealth(node, options.health)
        say(`node ${node.id} of pool ${options.node.names.pool} takes tasks (${node.processes} processes)`)
      },
      (error) => {
        say((error as Error).message)
        end(1)
      },
    )
  })
}

function serveHealth(node: Node, { host, port }: { host: string; port: number }): Server {
  const server = createServer((_request, response) => {
    const info = node.info()
    response.writeHead(node.connected && !info.draining ? 200 : 503, { 'content-type': 'application/json' })
    response.end(`${JSON.stringify({ connected: node.connected, ...info })}\n`)
  })
  return server.listen(port, host)
}

function read(values: WorkerValues) {
  const text = (name: string): string | undefined => values[name] as string | undefined
  const pool = text('pool') ?? 'default'
  const servers = ((values.servers ?? []) as string[]).flatMap((list) => list.split(','))
  if (servers.length === 0) throw new Error('--servers is missing')
  checkName('--pool', pool)
  const tls = Object.fromEntries(
    (['ca', 'cert', 'key'] as const).flatMap((kind) => {
      const file = text(`tls-${kind}`)
      return file === undefined ? [] : [[`${kind}File`, file]]
    }),
  )
  const health = text('health')
  const user = text('user')
  const password = text('password-file')
  const pass = password === undefined ? '' : readFileSync(password, 'utf8').trim()
  return {
    health: health === undefined ? undefined : address(health),
    node: {
      names: new Names(pool),
      servers,
      credentials: text('credentials'),
      nkey: text('nkey'),
      ...(Object.keys(tls).length > 0 && { tls }),
      ...(user !== undefined && { connection: { user, pass } }),
      pool: {
        processes: number('processes', text('processes')) ?? cpuCount(),
        maxTasksPerChild: number('max-tasks-per-child', text('max-tasks-per-child')),
        maxMemoryPerChild: number('max-memory-per-child', text('max-memory-per-child')),
      },
      preload: (values.preload ?? []) as string[],
      allowFunctions: values['allow-functions'] === true,
      replicas: number('replicas', text('replicas')),
      storage: storageOf(text('storage')),
      keep: number('keep', text('keep')),
      lostAfter: number('lost-after', text('lost-after')),
    },
  }
}
function number(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d*[1-9]\d*$/.test(text)) throw new Error(`--${name} must be a whole number above 0, not ${text}`)
  return Number(text)
}
function storageOf(text: string | undefined): 'file' | 'memory' | undefined {
  if (text === undefined || text === 'file' || text === 'memory') return text
  throw new Error(`--storage must be file or memory, not ${text}`)
}
function address(text: string): { host: string; port: number } {
  const [, host = '127.0.0.1', port] = /^(?:(.+):)?(\d+)$/.exec(text) ?? []
  if (port === undefined) throw new Error(`--health must be PORT or HOST:PORT, not ${text}`)
  return { host, port: Number(port) }
}
