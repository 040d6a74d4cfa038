// connect and accept: what they wait for, and how a wait ends early.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { accept, connect, errorOf, FORMS, NOWHERE, PATIENCE, Peer, serving } from './tools'

const root = fileURLToPath(new URL('../..', import.meta.url))

describe.each(FORMS)('%s', (form) => {
  it('nobody listens: the error of the system, with the address', async () => {
    expect(await errorOf(() => connect(form, NOWHERE))).toMatchObject({
      code: 'ENOENT',
      syscall: 'connect',
      errno: expect.any(Number),
      address: NOWHERE,
      message: expect.stringContaining(JSON.stringify(NOWHERE)),
    })
    const gone = new mp.Listener(['localhost', 0])
    gone.close()
    const [host, port] = gone.address as [string, number]
    expect(await errorOf(() => connect(form, gone.address))).toMatchObject({
      code: 'ECONNREFUSED',
      address: host,
      port,
      message: expect.stringContaining(`${host}:${port}`),
    })
  })

  it('accept() ends at its time-out, and has taken nothing', async () => {
    for (const authKey of [undefined, 'key']) {
      const listener = new mp.Listener(undefined, { authKey })
      for (const timeout of [0, -1, 20])
        expect(await errorOf(() => accept(form, listener, { timeout }))).toBeInstanceOf(mp.TimeoutError)
      const client = mp.connect(listener.address, { authKey })
      ;(await listener.accept()).close()
      ;(await client).close()
      listener.close()
    }
  })

  it('connect() ends at its time-out, whatever it waits for', async () => {
    // The handshake: this one takes connections, and says nothing.
    const silent = new mp.Listener()
    expect(await errorOf(() => connect(form, silent.address, { authKey: 'key', timeout: 20 }))).toBeInstanceOf(
      mp.TimeoutError,
    )
    ;(await silent.accept()).close()
    silent.close()
    // Room at a listener that accepts nobody.
    const full = new mp.Listener(undefined, { backlog: 1 })
    const waiting: mp.Connection[] = []
    let error: any
    while (error === undefined)
      error = await errorOf(async () => waiting.push(await connect(form, full.address, { timeout: 20 })))
    expect(error).toBeInstanceOf(mp.TimeoutError)
    // Once there is room it connects.
    const late = mp.connect(full.address)
    for (const one of waiting) {
      ;(await accept(form, full)).close()
      one.close()
    }
    ;(await late).close()
    ;(await full.accept()).close()
    full.close()
  })

  it('connect({ timeout: 0 }) tries once', async () => {
    const listener = new mp.Listener()
    const client = await connect(form, listener.address, { timeout: 0 })
    ;(await accept(form, listener, { timeout: 0 })).close()
    client.close()
    listener.close()
  })

  it('connects before accept() is called, and what it sent is there though it has gone (issue 14725)', async () => {
    const listener = new mp.Listener()
    const client = await connect(form, listener.address)
    client.sendSync('hello')
    client.close()
    const server = await accept(form, listener)
    expect(server.recvSync()).toBe('hello')
    expect(await errorOf(() => server.recvSync())).toBeInstanceOf(mp.EOFError)
    server.close()
    listener.close()
  })
})

it('aborting rejects with the reason and takes nothing', async () => {
  const listener = new mp.Listener()
  const reason = new Error('enough')
  expect(await errorOf(() => listener.accept({ signal: AbortSignal.abort(reason) }))).toBe(reason)
  const control = new AbortController()
  const aborted = errorOf(() => listener.accept({ signal: control.signal }))
  const second = listener.accept()
  control.abort(reason)
  expect(await aborted).toBe(reason)
  const client = await mp.connect(listener.address)
  ;(await second).close() // not lost with the first
  client.close()

  expect(await errorOf(() => mp.connect(listener.address, { signal: AbortSignal.abort(reason) }))).toBe(reason)
  const other = new AbortController()
  const connecting = errorOf(() => mp.connect(listener.address, { authKey: 'key', signal: other.signal }))
  const server = await listener.accept()
  other.abort(reason)
  expect(await connecting).toBe(reason)
  expect(await errorOf(() => server.recvBytes())).toBeInstanceOf(mp.EOFError) // it has closed its end
  server.close()
  listener.close()
})

it('accept() calls are served in their order; a Sync one does not overtake them', async () => {
  const listener = new mp.Listener()
  const accepts = [listener.accept(), listener.accept(), listener.accept()]
  expect(() => listener.acceptSync({ timeout: 0 })).toThrowError(expect.objectContaining({ code: 'ERR_MP_BUSY' }))
  const clients: mp.Connection[] = []
  for (let i = 0; i < 3; i++) {
    clients.push(mp.connectSync(listener.address))
    clients[i]!.sendSync(i)
  }
  const servers = await Promise.all(accepts)
  expect(await Promise.all(servers.map((server) => server.recv()))).toEqual([0, 1, 2])
  for (const each of [...clients, ...servers]) each.close()
  listener.close()
})

it('close() rejects pending accept() calls, and closes who has not been accepted', async () => {
  for (const authKey of [undefined, 'key']) {
    const listener = new mp.Listener(undefined, { authKey })
    const pending = errorOf(() => listener.accept())
    listener.close()
    expect(await pending).toMatchObject({ name: 'ClosedError', code: 'ERR_MP_CLOSED' })
  }
  const listener = new mp.Listener(undefined, { authKey: 'key' })
  const client = await mp.connect(listener.address, { authKey: 'key' }) // the handshake needs no accept()
  const examined = await Peer.connect(listener.address)
  await examined.read()
  listener.close()
  await examined.closed()
  expect(await errorOf(() => client.recvBytes())).toBeInstanceOf(mp.EOFError)
  client.close()
})

it('connections live longer than their Listener', async () => {
  const listener = new mp.Listener()
  const client = await mp.connect(listener.address)
  const server = await listener.accept()
  listener.close()
  await client.send('still here')
  expect(await server.recv()).toBe('still here')
  client.close()
  server.close()
})

it('what is no Listener: a server that says something else', async () => {
  const { address, server } = await serving(async (peer) => {
    await peer.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))
  })
  expect(await errorOf(() => mp.connect(address, { authKey: 'key' }))).toBeInstanceOf(mp.AuthenticationError)
  server.close()
})

it('a file that is no socket', async () => {
  expect(await errorOf(() => mp.connect('/dev/null'))).toMatchObject({ code: 'ECONNREFUSED' })
})

it('without a free descriptor accept() rejects with the error of the system, and works again when there is one', async () => {
  const { stdout, stderr } = spawnSync(
    '/bin/sh',
    [
      '-c',
      'ulimit -n 60; exec "$@"',
      'sh',
      process.execPath,
      '-e',
      `const mp = require('multiproc')
       const { openSync, closeSync } = require('node:fs')
       ;(async () => {
         for (const authKey of [undefined, 'key'])
           for (const sync of [false, true]) {
             const listener = new mp.Listener(undefined, { authKey })
             const client = mp.connect(listener.address, { authKey }).catch((error) => error.code)
             for (let i = 0; i < 10; i++) await null // it is in the queue of the system, and nobody has looked there yet
             const taken = []
             try { for (;;) taken.push(openSync('/dev/null')) } catch {}
             const accept = async () => (sync ? listener.acceptSync() : listener.accept())
             console.log(await accept().catch((error) => error.code + ' ' + error.syscall))
             for (const fd of taken) closeSync(fd)
             ;(await listener.accept()).close()
             ;(await client).close()
             listener.close()
           }
       })()`,
    ],
    { cwd: root, encoding: 'utf8', timeout: PATIENCE },
  )
  expect(stderr).toBe('')
  expect(stdout).toBe('EMFILE accept\n'.repeat(4))
})
