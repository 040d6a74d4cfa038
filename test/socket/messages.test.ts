// Messages over sockets: framing, what is there and what is not, backpressure, and ends of all kinds. After CPython's _TestPoll.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createConnection, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { connect, errorOf, FORMS, framed, PATIENCE, Peer, pair, recvBytes, STREAM, sendBytes } from './tools'

const root = fileURLToPath(new URL('../..', import.meta.url))

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})
async function ends(options?: mp.ConnectionOptions, address?: mp.Address): Promise<[mp.Connection, mp.Connection]> {
  const both = await pair(options, address)
  open.push(...both)
  return both
}
/** A connection whose other end is bytes. */
async function raw(options?: mp.ListenerOptions): Promise<[mp.Connection, Peer]> {
  const listener = new mp.Listener(STREAM, options)
  const peer = await Peer.connect(listener.address)
  const connection = await listener.accept()
  listener.close()
  open.push(peer, connection)
  return [connection, peer]
}
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe.each(FORMS)('%s', (form) => {
  describe.each([
    ['unix', undefined],
    ['TCP', ['127.0.0.1', 0]],
  ] as [string, mp.Address | undefined][])('%s', (_, address) => {
    it('messages of any size arrive as they were, in their order', async () => {
      const [a, b] = await ends({}, address)
      for (const size of [0, 1, 3, 4, 5, 4096, 4097, 65_535, 65_536, 65_537, 200_000]) {
        const message = randomBytes(size)
        // A Sync send of more than the system buffers needs somebody who reads meanwhile.
        if (size > 100_000) void a.sendBytes(message)
        else await sendBytes(form, a, message)
        expect(Buffer.compare(await recvBytes(form === 'sync' && size > 100_000 ? 'async' : form, b), message)).toBe(0)
      }
      const messages = Array.from({ length: 50 }, (_, i) => randomBytes((i * i) % 1000))
      for (const message of messages) void a.sendBytes(message)
      for (const message of messages) expect(Buffer.compare(await recvBytes(form, b), message)).toBe(0)
    })
  })

  it('poll: an empty message is one; polling takes nothing', async () => {
    const [a, b] = await ends()
    const poll = async (timeout?: number) => {
      const options = timeout === undefined ? undefined : { timeout }
      return form === 'sync' ? a.pollSync(options) : a.poll(options)
    }
    expect(await poll()).toBe(false)
    expect(await poll(20)).toBe(false)
    for (const bytes of ['', 'a', 'b', 'cd']) b.sendBytesSync(Buffer.from(bytes))
    for (const bytes of ['', 'a', 'b', 'cd']) {
      expect(await poll(PATIENCE)).toBe(true)
      expect(await poll()).toBe(true)
      expect(text(await recvBytes(form, a))).toBe(bytes)
    }
    expect(await poll()).toBe(false)
    b.close()
    expect(await poll(PATIENCE)).toBe(true) // the end is something
    expect(await errorOf(() => recvBytes(form, a))).toBeInstanceOf(mp.EOFError)
    expect(await poll()).toBe(true)
  })

  it('a wait for a message ends at its time-out, and takes nothing', async () => {
    const [a, peer] = await raw()
    const message = framed('hello')
    for (const byte of message.subarray(0, 7)) {
      await peer.write(Buffer.of(byte))
      const late = { timeout: 1 }
      expect(await errorOf(() => (form === 'sync' ? a.recvBytesSync(late) : a.recvBytes(late)))).toBeInstanceOf(
        mp.TimeoutError,
      )
      expect(form === 'sync' ? a.pollSync() : await a.poll()).toBe(false) // half a message is none
    }
    await peer.write(message.subarray(7))
    expect(text(await recvBytes(form, a))).toBe('hello')
  })

  it('a message longer than maxLength: nothing can be received any more, sending goes on', async () => {
    const [a, peer] = await raw()
    await peer.frame('hello')
    const long = { maxLength: 4 }
    const receive = () => (form === 'sync' ? a.recvBytesSync(long) : a.recvBytes(long))
    for (let i = 0; i < 2; i++)
      expect(await errorOf(receive)).toMatchObject({ name: 'MultiprocError', code: 'ERR_MP_MESSAGE_TOO_LONG' })
    await sendBytes(form, a, Buffer.from('still'))
    expect(String(await peer.read())).toBe('still')
    // The same for one that poll() has looked at.
    const [b, other] = await raw()
    await other.frame('hello')
    expect(await b.poll({ timeout: PATIENCE })).toBe(true)
    expect(await errorOf(() => b.recvBytes(long))).toMatchObject({ code: 'ERR_MP_MESSAGE_TOO_LONG' })
    expect(await errorOf(() => b.recvBytes())).toMatchObject({ code: 'ERR_MP_MESSAGE_TOO_LONG' })
  })

  it('recvBytesInto, with an offset and too little room', async () => {
    const [a, b] = await ends()
    const into = (buffer: ArrayBufferView, options?: object) =>
      form === 'sync' ? b.recvBytesIntoSync(buffer, options) : b.recvBytesInto(buffer, options)
    const buffer = new Uint8Array(8)
    a.sendBytesSync(Buffer.from([1, 2, 3]))
    expect(await into(buffer)).toBe(3)
    a.sendBytesSync(Buffer.from([4, 5, 6]))
    expect(await into(buffer, { offset: 5 })).toBe(3)
    expect([...buffer]).toEqual([1, 2, 3, 0, 0, 4, 5, 6])
    a.sendBytesSync(Buffer.from([7, 8]))
    expect(await errorOf(() => into(buffer, { offset: 7 }))).toBeInstanceOf(mp.BufferTooShortError)
  })

  it('the other end was closed: EOFError for receiving and for sending', async () => {
    for (const address of [undefined, ['127.0.0.1', 0]] as (mp.Address | undefined)[]) {
      const [a, b] = await ends({}, address)
      a.sendSync('last')
      a.close()
      a.close()
      expect(a.closed).toBe(true)
      expect(await errorOf(() => recvBytes(form, a))).toBeInstanceOf(mp.ClosedError)
      expect(await errorOf(() => sendBytes(form, a, Buffer.of(1)))).toBeInstanceOf(mp.ClosedError)
      expect(form === 'sync' ? b.recvSync() : await b.recv()).toBe('last')
      expect(await errorOf(() => recvBytes(form, b))).toMatchObject({ name: 'EOFError', code: 'ERR_MP_EOF' })
      let error: any
      while (error === undefined) error = await errorOf(() => sendBytes(form, b, Buffer.alloc(1000)))
      expect(error).toBeInstanceOf(mp.EOFError)
    }
  })

  it('sending ends at its time-out when nobody reads', async () => {
    const [a, b] = await ends()
    const message = Buffer.alloc(100_000, 1)
    let error: any
    let sent = -1
    const options = { timeout: 20 }
    for (; error === undefined; sent++)
      error = await errorOf(() => (form === 'sync' ? a.sendBytesSync(message, options) : a.sendBytes(message, options)))
    expect(error).toBeInstanceOf(mp.TimeoutError)
    expect(sent).toBeLessThan(100) // it does not pile up here
    for (let i = 0; i < sent; i++) expect(Buffer.compare(await b.recvBytes(), message)).toBe(0)
    expect(await b.poll({ timeout: 20 })).toBe(false) // nothing of the one that was given up
    await a.sendBytes(Buffer.of(7))
    expect([...(await b.recvBytes())]).toEqual([7])
  })
})

it('is on the wire what CPython writes: four bytes of length, and the message, in one piece', async () => {
  const chunks: Buffer[] = []
  const server = createServer((socket) => socket.on('data', (chunk) => chunks.push(chunk)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connection = await mp.connect(['127.0.0.1', (server.address() as any).port])
  for (const message of ['', 'x', 'hello', 'y'.repeat(1000)]) {
    const before = chunks.length
    await connection.sendBytes(Buffer.from(message))
    while (chunks.length === before) await turn()
    expect(Buffer.concat(chunks.splice(before))).toEqual(framed(message))
  }
  connection.close()
  server.close()
})

it('a length of 64 bits is understood, whatever it is', async () => {
  const [a, peer] = await raw({ maxMessageLength: 5 })
  const head = Buffer.alloc(12, 255)
  head.writeBigUInt64BE(5n, 4)
  await peer.write(Buffer.concat([head, Buffer.from('hello')]))
  expect(text(await a.recvBytes())).toBe('hello')
  head.writeBigUInt64BE(6n, 4)
  await peer.write(head)
  expect(await errorOf(() => a.recvBytes())).toMatchObject({ code: 'ERR_MP_MESSAGE_TOO_LONG' })
  await peer.closed()
})

it.each([
  ['a negative length', [255, 255, 255, 254], 'ERR_MP_PROTOCOL'],
  ['the least length', [128, 0, 0, 0], 'ERR_MP_PROTOCOL'],
  ['2 GiB', [127, 255, 255, 255], 'ERR_MP_MESSAGE_TOO_LONG'],
  ['2 ** 64 bytes', Array(12).fill(255), 'ERR_MP_MESSAGE_TOO_LONG'],
])('%s ends the connection, both ways', async (_, bytes, code) => {
  const [a, peer] = await raw()
  const waiting = errorOf(() => a.recvBytes())
  await peer.write(Buffer.from(bytes))
  expect(await waiting).toMatchObject({ name: 'MultiprocError', code })
  expect(await errorOf(() => a.recvBytesSync())).toMatchObject({ code })
  expect(await errorOf(() => a.sendBytes(Buffer.of(1)))).toMatchObject({ code })
  await peer.closed()
})

it('memory is taken for what has come, not for what is announced', async () => {
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 50; i++) {
    const [a, peer] = await raw()
    await peer.write(Buffer.from([0x3f, 0xff, 0xff, 0xff, 1, 2, 3])) // nearly 1 GiB
    while (!(await errorOf(() => a.recvBytes({ timeout: 1 }))));
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50 * (1 << 20))
})

it('the end in the middle of a message is no end', async () => {
  for (const part of [1, 4, 7]) {
    const [a, peer] = await raw()
    await peer.write(framed('hello').subarray(0, part))
    peer.close()
    expect(await errorOf(() => a.recvBytes())).toMatchObject({ name: 'MultiprocError', code: 'ERR_MP_TRUNCATED' })
    const seen: unknown[] = []
    expect(
      await errorOf(async () => {
        for await (const value of a) seen.push(value)
      }),
    ).toMatchObject({ code: 'ERR_MP_TRUNCATED' })
    expect(seen).toEqual([])
  }
})

it('random bytes: an error or a message, and nothing else', async () => {
  for (let i = 0; i < 200; i++) {
    const [a, peer] = await raw()
    await peer.write(randomBytes(1 + (i % 40)))
    peer.close()
    let error: any
    while (error === undefined) error = await errorOf(() => a.recv({ timeout: PATIENCE }))
    expect(error).toBeInstanceOf(mp.MultiprocError)
    expect(error).not.toBeInstanceOf(mp.TimeoutError)
    a.close()
  }
})

it('iteration takes every value, and ends when the other end closes', async () => {
  const [a, b] = await ends()
  const sending = (async () => {
    for (let i = 0; i < 100; i++) await a.send({ i })
    a.close()
  })()
  const seen: unknown[] = []
  for await (const { i } of b) seen.push(i)
  expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => i))
  await sending
})

it('the caller may change its bytes once send has returned', async () => {
  const [a, b] = await ends()
  const bytes = Buffer.alloc(3_000_000, 1)
  const sent = [a.sendBytes(bytes)] // some of it is in the system, the rest is not
  bytes.fill(2)
  sent.push(a.sendBytes(bytes)) // behind it
  bytes.fill(3)
  expect((await b.recvBytes()).every((byte) => byte === 1)).toBe(true)
  expect((await b.recvBytes()).every((byte) => byte === 2)).toBe(true)
  await Promise.all(sent)
})

it('calls that wait keep their order; Sync ones do not overtake them', async () => {
  const [a, b] = await ends()
  const received = [b.recv(), b.recv(), b.recv()]
  expect(await errorOf(() => b.recvSync())).toMatchObject({ name: 'StateError', code: 'ERR_MP_BUSY' })
  for (let i = 0; i < 3; i++) void a.send(i)
  expect(await Promise.all(received)).toEqual([0, 1, 2])

  const big = Buffer.alloc(1_000_000)
  const sent = [a.sendBytes(big), a.sendBytes(Buffer.of(1)), a.sendBytes(Buffer.of(2))]
  expect(await errorOf(() => a.sendBytesSync(Buffer.of(3)))).toMatchObject({ name: 'StateError', code: 'ERR_MP_BUSY' })
  expect((await b.recvBytes()).length).toBe(big.length)
  expect([...(await b.recvBytes()), ...(await b.recvBytes())]).toEqual([1, 2])
  await Promise.all(sent)
})

it('aborting rejects with the reason and has taken nothing', async () => {
  const [a, b] = await ends()
  const reason = new Error('enough')
  const control = new AbortController()
  const aborted = errorOf(() => b.recv({ signal: control.signal }))
  const second = b.recv()
  control.abort(reason)
  expect(await aborted).toBe(reason)
  await a.send('for the second')
  expect(await second).toBe('for the second')

  const other = new AbortController()
  const filling = a.sendBytes(Buffer.alloc(1_000_000))
  const unsent = errorOf(() => a.sendBytes(Buffer.of(1), { signal: other.signal }))
  const last = a.sendBytes(Buffer.of(2))
  other.abort(reason)
  expect(await unsent).toBe(reason)
  await b.recvBytes()
  expect([...(await b.recvBytes())]).toEqual([2])
  await Promise.all([filling, last])
})

it('close() while calls wait rejects them', async () => {
  const [a, b] = await ends()
  const waiting = [errorOf(() => a.recv()), errorOf(() => a.poll({ timeout: PATIENCE }))]
  void errorOf(() => a.sendBytes(Buffer.alloc(1_000_000)))
  waiting.push(errorOf(() => a.sendBytes(Buffer.of(1))))
  a.close()
  for (const error of await Promise.all(waiting)) expect(error).toBeInstanceOf(mp.ClosedError)
  // What was accepted still arrives.
  expect((await b.recvBytes()).length).toBe(1_000_000)
  expect(await errorOf(() => b.recvBytes())).toBeInstanceOf(mp.EOFError)
})

it('both ends send more than the system buffers, and then receive', async () => {
  const [a, b] = await ends()
  const bytes = Buffer.alloc(5_000_000, 5)
  await Promise.all([a.sendBytes(bytes), b.sendBytes(bytes)])
  const [x, y] = await Promise.all([a.recvBytes(), b.recvBytes()])
  expect([x.length, y.length]).toEqual([bytes.length, bytes.length])
})

it('a Sync receive first lets go what is unsent', async () => {
  const listener = new mp.Listener()
  const echo = new mp.Process({
    target: (address: string) => {
      const connection = mp.connectSync(address)
      connection.sendBytesSync(connection.recvBytesSync())
      connection.close()
    },
    args: [listener.address as string],
  })
  echo.start()
  const connection = listener.acceptSync()
  const bytes = randomBytes(5_000_000)
  void connection.sendBytes(bytes) // most of it is still here
  expect(Buffer.compare(connection.recvBytesSync(), bytes)).toBe(0)
  connection.close()
  listener.close()
  await echo.join()
})

describe('what send() has accepted is sent', () => {
  it.each([
    ['the program ends', ''],
    ['it closes the connection', 'connection.close()'],
    ['process.exit()', 'process.exit()'],
    ['an uncaught error', 'process.on("uncaughtException", () => process.exit(1)); throw new Error()'],
    ['process.exit() in another turn', 'setImmediate(() => process.exit())'],
  ])('%s', async (_, end) => {
    const listener = new mp.Listener(['127.0.0.1', 0])
    const child = new mp.Process({
      target: async (address: mp.Address, code: string) => {
        const connection = mp.connectSync(address)
        void connection.send({ first: 'x'.repeat(3_000_000) })
        // biome-ignore lint/security/noGlobalEval: the end is what is tested
        eval(code)
      },
      args: [listener.address, end],
      stdio: 'ignore',
    })
    child.start()
    const connection = await listener.accept()
    expect((await connection.recv()).first.length).toBe(3_000_000)
    expect(await errorOf(() => connection.recv())).toBeInstanceOf(mp.EOFError)
    connection.close()
    listener.close()
    await child.join()
  })
})

it('a killed process is an end', async () => {
  for (const form of FORMS) {
    const listener = new mp.Listener()
    const child = new mp.Process({
      target: async (address: mp.Address) => {
        const connection = mp.connectSync(address)
        connection.sendSync('here')
        await connection.recv()
        await connection.recv()
      },
      args: [listener.address],
    })
    child.start()
    const connection = await listener.accept()
    expect(await connection.recv()).toBe('here')
    for (let i = 0; i < 10; i++) connection.sendSync('unread')
    child.kill()
    expect(await errorOf(() => recvBytes(form, connection))).toBeInstanceOf(mp.EOFError)
    connection.close()
    listener.close()
    await child.join()
  }
})

it('a shared object cannot go over a socket', async () => {
  const [a] = await ends()
  const error = await errorOf(() => a.send({ deep: [new mp.Lock()] }))
  expect(error).toBeInstanceOf(mp.SerializationError)
  expect(error.message).toContain('socket')
  expect(await errorOf(() => a.sendSync(new mp.SharedArray('d', 4)))).toBeInstanceOf(mp.SerializationError)
})

it('functions and classes go', async () => {
  const [a, b] = await ends()
  const factor = 3
  await a.send((n: number) => n * factor)
  expect((await b.recv())(14)).toBe(42)
})

it('a pending receive keeps the process alive, an open connection does not', () => {
  const run = (code: string) =>
    execFileSync(
      process.execPath,
      [
        '-e',
        `const mp = require('multiproc')
         const listener = new mp.Listener()
         const a = mp.connectSync(listener.address)
         const b = listener.acceptSync()
         ${code}`,
      ],
      { cwd: root, encoding: 'utf8', timeout: PATIENCE },
    )
  run('')
  run('a.sendSync(1); b.poll().then(() => b.recv())')
  expect(run('b.recv({ timeout: 50 }).catch((error) => console.log(error.code))')).toBe('ERR_MP_TIMEOUT\n')
})

it('connect to one that is no Listener at all, and talk', async () => {
  const listener = new mp.Listener(['127.0.0.1', 0])
  const socket = createConnection(listener.address[1] as number, '127.0.0.1')
  const server = await listener.accept()
  socket.write(framed('from node:net'))
  expect(text(await server.recvBytes())).toBe('from node:net')
  socket.destroy()
  server.close()
  const other = await connect('async', listener.address)
  ;(await listener.accept()).close()
  other.close()
  listener.close()
})
