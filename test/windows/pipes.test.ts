// Listener and connect() over named pipes: names, whom they are for, and what goes over them as CPython has it.
import { once } from 'node:events'
import net from 'node:net'
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { accept, connect, errorOf, FORMS, pair, recv, recvBytes, send, sendBytes } from '../socket/tools'

let made = 0
const newName = () => `\\\\.\\pipe\\multiproc-test-${process.pid}-${made++}`
const bytesOf = (length: number) => Uint8Array.from({ length }, (_, i) => i * 31 + (i >> 8))

describe.skipIf(process.platform !== 'win32')('pipes', () => {
  it('are what a Listener has if nothing else is asked for', async () => {
    const listener = new mp.Listener()
    const { address } = listener
    expect(address).toMatch(/^\\\\\.\\pipe\\multiproc-\d+-[0-9a-f]{32}$/)
    const other = new mp.Listener(undefined, { family: 'AF_PIPE' })
    expect(other.address).not.toBe(address)
    other.close()
    listener.close()
    expect(await errorOf(() => mp.connect(address))).toMatchObject({ code: 'ENOENT', syscall: 'connect', address })
  })

  it('have names of their own kind', async () => {
    const VALUE = { code: 'ERR_INVALID_ARG_VALUE' }
    for (const name of ['\\\\.\\pipe\\', '\\\\.\\file\\x', '\\\\.\\pipe\\a\\b', `\\\\.\\pipe\\${'x'.repeat(300)}`])
      expect(await errorOf(() => new mp.Listener(name))).toMatchObject(VALUE)
    for (const path of ['C:\\x.sock', '/tmp/x.sock'])
      expect(await errorOf(() => new mp.Listener(path))).toBeInstanceOf(mp.UnsupportedError)
    expect(await errorOf(() => new mp.Listener(undefined, { family: 'AF_UNIX' }))).toBeInstanceOf(mp.UnsupportedError)
    expect(await errorOf(() => new mp.Listener(['localhost', 0], { family: 'AF_PIPE' }))).toMatchObject(VALUE)
  })

  it('belong to the first who takes the name', async () => {
    const name = newName()
    const listener = new mp.Listener(name)
    const taken = { code: 'EADDRINUSE', syscall: 'bind', address: name }
    expect(await errorOf(() => new mp.Listener(name))).toMatchObject(taken)
    listener.close()
    const server = net.createServer().listen(name)
    await once(server, 'listening')
    expect(await errorOf(() => new mp.Listener(name))).toMatchObject(taken)
    server.close()
    await once(server, 'close')
    new mp.Listener(name).close()
  })

  it('without messages are none of a Listener', async () => {
    const name = newName()
    const server = net.createServer().listen(name)
    await once(server, 'listening')
    expect(await errorOf(() => mp.connect(name))).toMatchObject({ code: 'EPROTO', syscall: 'connect' })
    server.close()
  })

  it('carry a message as one of the pipe: without a head, as in CPython', async () => {
    const listener = new mp.Listener(newName())
    const socket = net.connect(listener.address as string)
    await once(socket, 'connect')
    const server = await listener.accept()
    socket.write('raw')
    expect(Buffer.from(await server.recvBytes()).toString()).toBe('raw')
    await server.sendBytes(Buffer.from('back'))
    const [came] = await once(socket, 'data')
    expect(String(came)).toBe('back')
    socket.destroy()
    expect(await errorOf(() => server.recvBytes())).toBeInstanceOf(mp.EOFError)
    server.close()
    listener.close()
  })

  describe.each(FORMS)('%s', (form) => {
    it('messages of all lengths arrive as they were', async () => {
      const [client, server] = await pair()
      for (const length of [0, 1, 127, 128, 65_535, 65_536, 65_537, 1_000_000]) {
        const sent = bytesOf(length)
        const received = recvBytes('async', server)
        await sendBytes(length > 60_000 ? 'async' : form, client, sent)
        expect(Buffer.compare(await received, sent)).toBe(0)
      }
      for (let i = 0; i < 50; i++) await send(form, client, i)
      for (let i = 0; i < 50; i++) expect(await recv(form, server)).toBe(i)
      client.close()
      expect(await errorOf(() => recv(form, server))).toBeInstanceOf(mp.EOFError)
      server.close()
    })

    it('both ends prove their key, or neither gets anything', async () => {
      const listener = new mp.Listener(undefined, { authKey: 'right' })
      const refused = listener.accept().catch((error) => error)
      expect(await errorOf(() => mp.connect(listener.address, { authKey: 'wrong' }))).toBeInstanceOf(
        mp.AuthenticationError,
      )
      expect(await refused).toBeInstanceOf(mp.AuthenticationError)
      const child = new mp.Process({
        target: (address: string) => {
          const client = mp.connectSync(address, { authKey: 'right' })
          client.sendSync(client.recvSync() + 1)
          client.close()
        },
        args: [listener.address as string],
      })
      child.start()
      const server = await accept(form, listener, { timeout: 100_000 })
      await send(form, server, 41)
      expect(form === 'sync' ? server.recvSync() : await server.recv()).toBe(42)
      await child.join()
      server.close()
      listener.close()
    })
  })

  it('more clients than the system keeps wait for their turn', async () => {
    const listener = new mp.Listener(newName(), { backlog: 2 })
    const clients = Array.from({ length: 8 }, async (_, i) => {
      const client = await mp.connect(listener.address)
      await client.send(i)
      return client
    })
    const seen = new Set<number>()
    for (let i = 0; i < clients.length; i++) {
      const server = await listener.accept()
      seen.add(await server.recv())
      server.close()
    }
    expect(seen.size).toBe(clients.length)
    for (const client of await Promise.all(clients)) client.close()
    listener.close()
  })

  it('end with the process that has them', async () => {
    const listener = new mp.Listener()
    const child = new mp.Process({
      target: async (address: string) => {
        const client = await mp.connect(address)
        await client.send('here')
        await new Promise((resolve) => setTimeout(resolve, 600_000))
      },
      args: [listener.address as string],
    })
    child.start()
    const server = await listener.accept()
    expect(await server.recv()).toBe('here')
    const end = errorOf(() => server.recv())
    child.kill()
    expect(await end).toBeInstanceOf(mp.EOFError)
    expect(
      await errorOf(async () => {
        for (;;) await server.send('x')
      }),
    ).toBeInstanceOf(mp.EOFError)
    await child.join()
    server.close()
    listener.close()
  })

  it('TCP has them beside it', async () => {
    const [client, server] = await pair({}, ['localhost', 0])
    await client.send(bytesOf(300_000))
    expect(await server.recv()).toEqual(bytesOf(300_000))
    server.close()
    expect(await connect('async', ['127.0.0.1', 1]).catch((error) => error.code)).toBe('ECONNREFUSED')
    client.close()
  })
})
