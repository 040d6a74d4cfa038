// Managers over sockets (CPython: _TestRemoteManager, _TestManagerRestart): keys, TLS, what is refused, and who tries to break in.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as mp from 'multiproc'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../until'
import { inChild } from './tools'

const KEY = 'a key for tests'
const VALUES = [
  'hello world',
  null,
  true,
  2.25,
  'hallå världen',
  'привет свет',
  'h€llo',
  { a: [1, new Map([[1, 2]])] },
  10n,
]

class Store {
  #queue: unknown[] = []
  items = 3
  put(value: unknown): void {
    this.#queue.push(value)
  }
  get(): unknown {
    return this.#queue.shift()
  }
  fail(): never {
    throw new RangeError('over there')
  }
  odd(): never {
    throw new (class OddError extends Error {
      override name = 'OddError'
    })('odd')
  }
  code(): () => void {
    return () => {}
  }
  *numbers(n: number): Generator<number> {
    for (let i = 0; i < n; i++) yield i
  }
}
class Server extends mp.SyncManager {
  declare Store: () => any
}
Server.register('Store', Store)
class Client extends mp.SyncManager {
  declare Store: () => any
}
Client.register('Store')

let server: Server
let folder: string
/** An address that only processes of this machine can reach. */
const local = (name: string): string =>
  process.platform === 'win32' ? `\\\\.\\pipe\\managers-${process.pid}-${name}` : join(folder, `${name}.sock`)
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'managers-'))
  server = new Server({ address: ['127.0.0.1', 0], authKey: KEY })
  await server.start()
})
afterAll(async () => {
  await server.shutdown()
  rmSync(folder, { recursive: true })
  expect(mp.activeChildren()).toEqual([])
})
async function client(options: mp.ManagerOptions = {}): Promise<Client> {
  const c = new Client({ address: server.address!, authKey: KEY, ...options })
  await c.connect()
  return c
}

describe('a client over TCP', () => {
  test('uses all that is registered, in both forms', async () => {
    const c = await client()
    const store = c.Store()
    for (const value of VALUES) await store.put(value)
    for (const value of VALUES) expect(await store.get()).toEqual(value)
    for (const value of VALUES) store.sync.put(value)
    for (const value of VALUES) expect(store.sync.get()).toEqual(value)
    expect(await store.items).toBe(3)
    expect(store.sync.items).toBe(3)
    const seen: number[] = []
    for await (const n of await store.numbers(100)) seen.push(n)
    expect(seen.length).toBe(100)
    const d = c.dict<string, any>({ a: 1 })
    const l = c.list<any>([1, 2, 3])
    await d.set('list', l)
    await (await d.get('list')).push(4)
    expect(l.sync.length).toBe(4)
    expect([...(l.sync as any)]).toEqual([1, 2, 3, 4])
    expect(await d.batch().set('b', 2).get('b')).toEqual([undefined, 2])
    const big = 'x'.repeat(5_000_000)
    await d.set('big', big)
    expect(await d.get('big')).toBe(big)
    expect(d.sync.get('big')).toBe(big)
    const pending = Promise.all(Array.from({ length: 200 }, (_, i) => d.set(`${i}`, i)))
    expect(d.sync.get('a')).toBe(1)
    await pending
    expect(await c.Lock().with(() => 5)).toBe(5)
    const q = c.Queue()
    const got = q.get()
    await q.put(new Float64Array([1, 2]))
    expect(await got).toEqual(new Float64Array([1, 2]))
    await c.shutdown()
    await expect(d.get('a')).rejects.toThrow(mp.EOFError)
  })
  test('errors keep their class if that needs no code', async () => {
    const c = await client()
    const error: any = await c
      .Store()
      .fail()
      .catch((e: unknown) => e)
    expect(error).toBeInstanceOf(RangeError)
    expect(error.remoteStack).toMatch(/network\.test/)
    const odd: any = await c
      .Store()
      .odd()
      .catch((e: unknown) => e)
    expect(odd).toBeInstanceOf(mp.RemoteError)
    expect(odd).toMatchObject({ message: 'odd', remoteName: 'OddError' })
    await expect(c.Queue().get({ timeout: 5 })).rejects.toThrow(mp.QueueEmptyError)
    await c.shutdown()
  })
  test('two of them share what a function of the server gives; so does a child', async () => {
    class Shared extends mp.BaseManager {
      declare queue: () => any
    }
    Shared.register('queue', () => {
      const g = globalThis as any
      if (g.queue === undefined) {
        const items: unknown[] = []
        g.queue = { put: (v: unknown) => void items.push(v), get: () => items.shift() }
      }
      return g.queue
    })
    const own = new Shared({ address: ['localhost', 0], authKey: KEY })
    await own.start()
    await inChild(
      async (address: any, key: string, values: unknown[]) => {
        class QueueClient extends mp.BaseManager {
          declare queue: () => any
        }
        QueueClient.register('queue')
        const c = new QueueClient({ address, authKey: key })
        await c.connect()
        const q = c.queue()
        for (const value of values) await q.put(value)
      },
      [own.address, KEY, VALUES],
    )
    class Other extends mp.BaseManager {
      declare queue: () => any
    }
    Other.register('queue')
    const c = new Other({ address: own.address!, authKey: KEY })
    await c.connect()
    const q = c.queue()
    for (const value of VALUES) expect(await q.get()).toEqual(value)
    await own.shutdown()
    await c.shutdown()
  })
  test('over a unix socket or a pipe, with the key that children inherit', async () => {
    const own = new Server({ address: local('manager') })
    await own.start()
    const c = new Client({ address: own.address! })
    await c.connect()
    expect(await c.list([1]).length).toBe(1)
    await inChild(
      async (address: any) => {
        const there = new mp.SyncManager({ address })
        await there.connect()
        if ((await there.list([1, 2]).length) !== 2) throw new Error('no')
      },
      [own.address],
    )
    await c.shutdown()
    await own.shutdown()
  })
})

describe('what has no business there', () => {
  test('a wrong key', async () => {
    await expect(client({ authKey: 'another' })).rejects.toThrow(mp.AuthenticationError)
    await expect(new Client({ address: server.address! }).connect()).rejects.toThrow(mp.AuthenticationError)
    await expect(new Client().connect()).rejects.toThrow(mp.StateError)
  })
  test('random bytes, with and without the key', async () => {
    const [host, port] = server.address as [string, number]
    for (let i = 0; i < 20; i++) {
      const socket = connectSocket(port, host)
      const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
      socket.end(Buffer.from(Array.from({ length: 50 + i * 40 }, (_, n) => (n * 7919 * (i + 3)) % 256)))
      socket.resume()
      await closed
    }
    let random = 12345
    const byte = (): number => {
      random = (Math.imul(random, 1103515245) + 12345) & 0x7fffffff
      return (random >> 16) & 255
    }
    for (let i = 0; i < 60; i++) {
      const connection = await mp.connect(server.address!, { authKey: KEY })
      const hello = i % 2 === 0
      if (hello) await connection.send([0, `hello-of-nobody-${i}-0123456789`])
      const bytes = Uint8Array.from({ length: 1 + (i % 40) }, byte)
      if (i % 3 === 0) bytes[0] = 1 + (i % 5)
      await connection.sendBytes(bytes)
      await connection.recvBytes({ timeout: 30_000 })
      connection.close()
    }
    const c = await client()
    expect(await c.list([1, 2]).length).toBe(2)
    await c.shutdown()
  })
  test('messages that break the protocol get errors, and reach nothing', async () => {
    const connection = await mp.connect(server.address!, { authKey: KEY })
    let number = 0
    const ask = async (message: unknown): Promise<any> => {
      await connection.send(message)
      const answer = (await connection.recv({ timeout: 30_000 })) as any[]
      expect(answer[0]).toBe(number++)
      return answer
    }
    const refused = async (message: unknown): Promise<void> => expect((await ask(message))[1]).toBe(1)
    await refused([1, 2, 'get', 'x']) // no hello
    expect((await ask([0, 'a-client-that-means-no-good']))[1]).toBe(0)
    expect((await ask([4, 2, 'dict', [[['a', 1]]]]))[1]).toBe(0)
    expect((await ask([1, 2, 'get', 'a'])).slice(1)).toEqual([0, 1])
    await refused([0, 'again-again-again'])
    await refused(null)
    await refused([99])
    for (const name of [
      'constructor',
      '__proto__',
      'toString',
      '__defineGetter__',
      'hasOwnProperty',
      'valueOf',
      7,
      null,
    ])
      await refused([1, 2, name])
    await refused([1, 4, 'get']) // no such object
    await refused([1, '2', 'get'])
    await refused([2, 2, 'constructor'])
    await refused([3, 2, '__proto__', {}])
    await refused([4, 3, 'dict', []]) // an index of the server's
    await refused([4, 2, 'dict', []]) // taken
    await refused([4, 6, 'Process', []])
    await refused([4, 8, 'constructor', []])
    await refused([6, 10, 'somebody:2'])
    await refused([7, 2, {}])
    await refused([9, 2, '', 'no array'])
    await refused([10]) // shutdown
    await refused(undefined)
    expect((await ask([1, 2, 'get', 'a'])).slice(1)).toEqual([0, 1])
    connection.close()
  })
  test('code, in any form: the server never runs it', async () => {
    const mark = join(folder, 'broken-into')
    const write = `require('node:fs').writeFileSync(${JSON.stringify(mark)}, 'x')`
    const connection = await mp.connect(server.address!, { authKey: KEY })
    await connection.send([0, 'a-client-that-means-no-good'])
    await connection.recv()
    await connection.send([4, 2, 'list', [[1, 2, 3]]])
    await connection.recv()
    const attack = async (value: unknown): Promise<void> => {
      await connection.send(value)
      const [, status, failure] = (await connection.recv({ timeout: 30_000 })) as any[]
      expect(status).toBe(1)
      expect(failure[0]).toBe('SerializationError')
    }
    class Evil {
      run(): void {}
      [Symbol.for('multiproc.reduce')](): unknown {
        return [Function, [write]]
      }
    }
    await attack([1, 2, 'map', new Function(write)])
    await attack([1, 2, 'push', new Evil()])
    // biome-ignore lint/security/noGlobalEval: it is what must not arrive
    await attack([1, 2, 'map', globalThis.eval])
    await attack([1, 2, 'push', Evil])
    await attack([1, 2, 'map', process.getBuiltinModule('node:child_process').execSync])
    await attack([1, 2, 'push', mp.fnRef(import.meta.url, 'nothing')])
    await attack([1, 2, 'push', mp.Process])
    const graph = (nodes: unknown[], modules: unknown[] = []): Buffer =>
      Buffer.concat([Buffer.from([3]), Buffer.from(JSON.stringify({ root: 0, nodes, modules }))])
    const sendRaw = async (bytes: Uint8Array): Promise<void> => {
      await connection.sendBytes(bytes)
      const [, status] = (await connection.recv({ timeout: 30_000 })) as any[]
      expect(status).toBe(1)
    }
    await sendRaw(graph([{ t: 'cjs', file: '/etc/passwd', path: ['x'] }]))
    await sendRaw(graph([{ t: 'export', url: 'data:text/javascript,process.exit()', path: ['x'] }]))
    await sendRaw(graph([{ t: 'builtin', module: 'child_process', path: ['execSync'] }]))
    await sendRaw(graph([{ t: 'shared', tag: 'Value', data: { offset: 4096, generation: 1 } }]))
    await sendRaw(graph([{ t: 'shared', tag: 'ManagerProxy', data: { c: 'somebody', i: 2 } }]))
    await sendRaw(graph([{ t: 'shared', tag: 'ManagerProxy', data: { m: 'x', ticket: 'y:2', door: {} } }]))
    await sendRaw(graph([{ t: 'sharedBuffer', data: {} }]))
    await sendRaw(graph([{ t: 'object' }], [{ url: 'data:text/javascript,process.exit()', bindings: [] }]))
    await sendRaw(graph([{ t: 'global', path: ['Function'] }]))
    await sendRaw(graph([{ t: 'reduced', how: 'call', by: 1, args: [] }, { t: 'object' }]))
    await sendRaw(Buffer.from([5, 1, 2, 3])) // a serializer of a user's own
    connection.close()
    expect(() => readFileSync(mark)).toThrow()
    // What our own client refuses to send.
    const c = await client()
    const l = c.list<any>()
    await expect(l.push(() => 1)).rejects.toThrow(/over a network/)
    await expect(l.push(new Store())).rejects.toThrow(mp.SerializationError)
    await expect(l.push(new mp.Value('i', 1))).rejects.toThrow(mp.SerializationError)
    await expect(c.Store().code()).rejects.toThrow(mp.SerializationError)
    expect(() => new mp.Queue().putSync(l)).toThrow(mp.SerializationError)
    expect(await l.length).toBe(0)
    await c.shutdown()
  })
  test('messages longer than the limit', async () => {
    const own = new Server({ address: ['127.0.0.1', 0], authKey: KEY, maxMessageLength: 10_000 })
    await own.start()
    const c = new Client({ address: own.address!, authKey: KEY })
    await c.connect()
    const d = c.dict()
    await d.set('a', 'x'.repeat(5000))
    await expect(d.set('b', 'x'.repeat(50_000))).rejects.toThrow()
    const again = new Client({ address: own.address!, authKey: KEY })
    await again.connect()
    expect(await again.list([1]).length).toBe(1)
    await again.shutdown()
    await c.shutdown()
    await own.shutdown()
  })
})

describe('who is gone', () => {
  test('a client that is killed holds nothing', async () => {
    const own = new mp.SyncManager({ address: ['127.0.0.1', 0], authKey: KEY })
    await own.start()
    const before = await own.numberOfObjects()
    const child = new mp.Process({
      target: async (address: any, key: string) => {
        const c = new mp.SyncManager({ address, authKey: key })
        await c.connect()
        const all = [c.list(), c.list(), c.Lock()]
        await c.Lock().acquire()
        await (all[0] as any).length
        process.exit(9)
      },
      args: [own.address, KEY],
    })
    child.start()
    await child.join()
    expect(child.exitCode).toBe(9)
    await until(async () => (await own.numberOfObjects()) === before, 'the end of its objects')
    await own.shutdown()
  })
  test('a client that says nothing for the time of its lease is dropped; one that is idle is not', async () => {
    const own = new Server({ address: ['127.0.0.1', 0], authKey: KEY, lease: 600 })
    await own.start()
    const silent = await mp.connect(own.address!, { authKey: KEY })
    await silent.send([0, 'a-client-that-says-nothing'])
    await silent.recv()
    await silent.send([4, 2, 'list', []])
    await silent.recv()
    const c = new Client({ address: own.address!, authKey: KEY })
    await c.connect()
    const l = c.list([1])
    expect(await l.length).toBe(1)
    await expect(silent.recv({ timeout: 30_000 })).rejects.toThrow(mp.EOFError)
    expect(await l.length).toBe(1)
    await c.shutdown()
    await own.shutdown()
  })
  test('the server restarts on its address at once', async () => {
    let tcp: mp.Address = ['127.0.0.1', 0]
    for (let i = 0; i < 3; i++) {
      const own: mp.SyncManager = new Server({ address: tcp, authKey: KEY })
      await own.start()
      tcp = own.address!
      const c = new Client({ address: tcp, authKey: KEY })
      await c.connect()
      const l = c.list([i])
      expect(await l.at(0)).toBe(i)
      await own.shutdown()
      await expect(l.at(0)).rejects.toThrow(mp.EOFError)
      await c.shutdown()
      await expect(new Client({ address: tcp, authKey: KEY }).connect()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    }
    for (let i = 0; i < 2; i++) {
      const known = new Set(mp.activeChildren().map((p) => p.pid))
      const own = new Server({ address: local('again'), authKey: KEY })
      await own.start()
      mp.activeChildren()
        .find((p) => !known.has(p.pid))!
        .kill() // its socket's file stays
      await own.join()
      await own.shutdown()
    }
    const taken = new Server({ address: tcp, authKey: KEY })
    await taken.start()
    await expect(new Server({ address: tcp, authKey: KEY }).start()).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await taken.shutdown()
  })
})

describe('a server in one’s own process', () => {
  test('serves until it is shut down', async () => {
    const own = new Server({ authKey: KEY }).getServer()
    const served = own.serveForever()
    const address = await own.listen()
    expect(own.address).toEqual(address)
    await inChild(
      async (at: any, key: string) => {
        const c = new mp.SyncManager({ address: at, authKey: key })
        await c.connect()
        const d = c.dict()
        d.sync.set('a', 1)
        if ((await d.get('a')) !== 1) throw new Error('no')
      },
      [address, KEY],
    )
    const c = new Client({ address, authKey: KEY })
    await c.connect()
    expect(await c.list([1, 2]).length).toBe(2)
    await c.shutdown()
    await own.shutdown()
    await served
  })
})

describe('TLS', () => {
  let key: string
  let cert: string
  beforeAll(() => {
    const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const options = '-nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1'
    const kind = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1'
    execFileSync('openssl', ['req', ...kind.split(' '), ...options.split(' '), '-keyout', keyFile, '-out', certFile], {
      stdio: 'ignore',
    })
    key = readFileSync(keyFile, 'utf8')
    cert = readFileSync(certFile, 'utf8')
  })
  test('both forms of calls, and what is refused', async () => {
    const own = new Server({ address: ['127.0.0.1', 0], authKey: KEY, tls: { key, cert } })
    await own.start()
    const address = own.address!
    const c = new Client({ address, authKey: KEY, tls: { ca: cert } })
    await c.connect()
    const d = c.dict({ a: 1 })
    expect(await d.get('a')).toBe(1)
    expect(d.sync.get('a')).toBe(1)
    d.sync.set('big', 'y'.repeat(3_000_000) as any)
    expect(((await d.get('big')) as any).length).toBe(3_000_000)
    expect(await Promise.all(Array.from({ length: 100 }, () => d.get('a')))).toEqual(Array(100).fill(1))
    expect(await own.dict({ b: 2 }).get('b')).toBe(2) // on this machine: through memory
    await expect(new Client({ address, authKey: 'no', tls: { ca: cert } }).connect()).rejects.toThrow(
      mp.AuthenticationError,
    )
    await expect(new Client({ address, authKey: KEY, tls: {} }).connect()).rejects.toMatchObject({
      code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    })
    await expect(new Client({ address, authKey: KEY }).connect({ timeout: 20_000 })).rejects.toThrow()
    await expect(
      new Client({ address: server.address!, authKey: KEY, tls: { ca: cert } }).connect({ timeout: 20_000 }),
    ).rejects.toThrow()
    const pending = expect(c.Queue().get()).rejects.toThrow(mp.EOFError)
    await own.shutdown()
    await pending
    await expect(d.get('a')).rejects.toThrow(mp.EOFError)
    await c.shutdown()
  })
})
