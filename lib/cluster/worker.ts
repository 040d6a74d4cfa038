// `npx multiproc worker`: a node of a cluster, as a command. It says what it does on standard error, drains on SIGTERM and SIGINT
// (a second one ends it at once), and answers health checks over HTTP.
import { createServer, type Server } from 'node:http'
import { parseArgs } from 'node:util'
import { cpuCount } from './core'
import { checkName, Names } from './names'
import { Node } from './node'

export const HELP = `multiproc worker: runs tasks of a ClusterPool on this machine

  --servers URL          a NATS server with JetStream; may be given several times
  --pool NAME            which pool's tasks (default: default)
  --processes N          worker processes (default: as many as there are processors)
  --preload FILE         a module whose functions may be called, or NAME=FILE; may be given several times
  --allow-functions      also run functions that come by value: whoever can reach the server runs code here
  --credentials FILE     NATS credentials;  --nkey FILE: the seed of an nkey;  --user NAME --password-file FILE
  --tls-ca FILE  --tls-cert FILE  --tls-key FILE
  --health PORT          GET / answers 200 and what the node does, or 503; on 127.0.0.1, or --health HOST:PORT
  --max-tasks-per-child N  --max-memory-per-child BYTES    when a worker process is replaced
  --replicas N  --storage file|memory  --keep MS  --lost-after MS    how the pool's streams are made, if they are not there
`

/** Resolves with the exit code. */
export async function runWorker(args: readonly string[]): Promise<number> {
  let options: ReturnType<typeof read>
  try {
    options = read(args)
  } catch (error) {
    process.stderr.write(`multiproc worker: ${(error as Error).message}\n\n${HELP}`)
    return 2
  }
  if (options === undefined) {
    process.stdout.write(HELP)
    return 0
  }
  const say = (line: string): void => void process.stderr.write(`multiproc worker: ${line}\n`)
  return await new Promise((resolve) => {
    const node = new Node(options.node)
    let health: Server | undefined
    let leaving = false
    const end = (code: number): void => {
      health?.close()
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

function read(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: 'boolean', short: 'h' },
      servers: { type: 'string', multiple: true },
      pool: { type: 'string', default: 'default' },
      processes: { type: 'string' },
      preload: { type: 'string', multiple: true, default: [] },
      'allow-functions': { type: 'boolean', default: false },
      credentials: { type: 'string' },
      nkey: { type: 'string' },
      user: { type: 'string' },
      'password-file': { type: 'string' },
      'tls-ca': { type: 'string' },
      'tls-cert': { type: 'string' },
      'tls-key': { type: 'string' },
      health: { type: 'string' },
      'max-tasks-per-child': { type: 'string' },
      'max-memory-per-child': { type: 'string' },
      replicas: { type: 'string' },
      storage: { type: 'string' },
      keep: { type: 'string' },
      'lost-after': { type: 'string' },
    },
  })
  if (values.help) return undefined
  const servers = (values.servers ?? []).flatMap((list) => list.split(','))
  if (servers.length === 0) throw new Error('--servers is missing')
  checkName('--pool', values.pool)
  const tls = {
    ...(values['tls-ca'] !== undefined && { caFile: values['tls-ca'] }),
    ...(values['tls-cert'] !== undefined && { certFile: values['tls-cert'] }),
    ...(values['tls-key'] !== undefined && { keyFile: values['tls-key'] }),
  }
  const password = values['password-file']
  return {
    health: values.health === undefined ? undefined : address(values.health),
    node: {
      names: new Names(values.pool),
      servers,
      credentials: values.credentials,
      nkey: values.nkey,
      ...(Object.keys(tls).length > 0 && { tls }),
      ...(values.user !== undefined && {
        connection: {
          user: values.user,
          pass: password === undefined ? '' : process.getBuiltinModule('node:fs').readFileSync(password, 'utf8').trim(),
        },
      }),
      pool: {
        processes: number('processes', values.processes) ?? cpuCount(),
        maxTasksPerChild: number('max-tasks-per-child', values['max-tasks-per-child']),
        maxMemoryPerChild: number('max-memory-per-child', values['max-memory-per-child']),
      },
      preload: values.preload,
      allowFunctions: values['allow-functions'],
      replicas: number('replicas', values.replicas),
      storage: values.storage as 'file' | 'memory' | undefined,
      keep: number('keep', values.keep),
      lostAfter: number('lost-after', values['lost-after']),
    },
  }
}
function number(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d+$/.test(text)) throw new Error(`--${name} must be a whole number, not ${text}`)
  return Number(text)
}
function address(text: string): { host: string; port: number } {
  const [, host = '127.0.0.1', port] = /^(?:(.+):)?(\d+)$/.exec(text) ?? []
  if (port === undefined) throw new Error(`--health must be PORT or HOST:PORT, not ${text}`)
  return { host, port: Number(port) }
}
