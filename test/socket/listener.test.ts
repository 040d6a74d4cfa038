// Listener: where it is bound, what is refused, what it leaves behind. After CPython's _TestListener and TestInvalidFamily.
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, lstatSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import * as mp from 'multiproc'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { accept, connect, errorOf, FORMS, NOWHERE, Peer, recv, send } from './tools'

const root = fileURLToPath(new URL('../..', import.meta.url))
const linux = process.platform === 'linux'
const windows = process.platform === 'win32'

// The first start of a process opens what stays open.
beforeAll(async () => {
  const child = new mp.Process({ target: () => {} })
  child.start()
  await child.join()
})

let folder: string
let descriptors: number
const open = (): number => readdirSync('/proc/self/fd').length
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'listener-test-'))
  if (linux) descriptors = open()
})
afterEach(() => {
  expect(readdirSync(folder)).toEqual([])
  rmSync(folder, { recursive: true })
  if (linux) expect(open()).toBe(descriptors)
})

const kinds: [string, () => mp.Address | undefined][] = [
  ['default', () => undefined],
  ...(windows ? [] : [['path', () => join(folder, 'socket')] as [string, () => mp.Address]]),
  ['localhost', () => ['localhost', 0]],
  ['127.0.0.1', () => ['127.0.0.1', 0]],
  ['::1', () => ['::1', 0]],
  ...(linux ? [['abstract', () => `\0multiproc test ${process.pid}`] as [string, () => mp.Address]] : []),
]

describe.each(FORMS)('%s', (form) => {
  describe.each(kinds)('%s', (kind, make) => {
    it('connects, carries values both ways, and refuses accept() after close()', async () => {
      const listener = new mp.Listener(make())
      expect(listener.lastAccepted).toBe(null)
      const client = await connect(form, listener.address)
      const server = await accept(form, listener)
      await send(form, client, 1729)
      expect(await recv(form, server)).toBe(1729)
      await send(form, server, { back: [1n, new Date(0)] })
      expect(await recv(form, client)).toEqual({ back: [1n, new Date(0)] })
      if (typeof listener.address === 'string') expect(listener.lastAccepted).toBe('')
      else {
        expect(listener.address).toEqual([kind === '::1' ? '::1' : '127.0.0.1', expect.any(Number)])
        expect(listener.address[1]).toBeGreaterThan(0)
        expect(listener.lastAccepted).toEqual([listener.address[0], expect.any(Number)])
      }
      client.close()
      server.close()
      listener.close()
      listener.close()
      expect(await errorOf(() => accept(form, listener))).toMatchObject({ code: 'ERR_MP_CLOSED' })
    })

    it('a second one on the same address is refused', async () => {
      const listener = new mp.Listener(make())
      const error = await errorOf(() => new mp.Listener(listener.address))
      expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'bind', errno: expect.any(Number) })
      expect(error.message).toContain('EADDRINUSE')
      // The first one is as it was.
      const client = await connect(form, listener.address)
      ;(await accept(form, listener)).close()
      client.close()
      listener.close()
    })
  })

  it('an empty key is a key: who has it gets in, who has none does not', async () => {
    const listener = new mp.Listener(undefined, { authKey: new Uint8Array(0) })
    const without = await mp.connect(listener.address)
    without.close()
    expect(await errorOf(() => accept(form, listener))).toBeInstanceOf(mp.EOFError)
    const child = new mp.Process({
      target: (address: string) => {
        const client = mp.connectSync(address, { authKey: '' })
        client.sendSync(1729)
        client.close()
      },
      args: [listener.address as string],
    })
    child.start()
    const server = await accept(form, listener)
    expect(await recv(form, server)).toBe(1729)
    server.close()
    listener.close()
    await child.join()
    expect(child.exitCode).toBe(0)
  })
})

it('the default address is a socket in a directory that only this user can enter, and close() removes both', () => {
  const listener = new mp.Listener()
  const path = listener.address as string
  expect(lstatSync(path).isSocket()).toBe(true)
  expect(statSync(dirname(path)).mode & 0o777).toBe(0o700)
  expect(inspect(listener)).toBe(`<Listener ${JSON.stringify(path)}>`)
  listener[Symbol.dispose]()
  expect(existsSync(dirname(path))).toBe(false)
  expect(inspect(listener)).toBe(`<Listener ${JSON.stringify(path)} closed>`)
})

it('a path that exists is refused, even if nobody listens there, and is left as it is', () => {
  const path = join(folder, 'file')
  writeFileSync(path, 'mine')
  expect(() => new mp.Listener(path)).toThrowError(expect.objectContaining({ code: 'EADDRINUSE', address: path }))
  expect(lstatSync(path).isFile()).toBe(true)
  rmSync(path)
})

it('close() does not remove what somebody else has put in the place of its file', () => {
  const path = join(folder, 'socket')
  const first = new mp.Listener(path)
  rmSync(path)
  const second = new mp.Listener(path)
  first.close()
  expect(existsSync(path)).toBe(true)
  second.close()
  expect(existsSync(path)).toBe(false)
})

it('the end of the process removes what close() would have', () => {
  const code = `
    const mp = require('multiproc')
    const folder = require('node:path').dirname(new mp.Listener().address)
    new mp.Listener(${JSON.stringify(join(folder, 'left'))})
    console.log(folder)`
  for (const end of ['', 'process.exit(3)', 'throw new Error()']) {
    const { stdout } = spawnSync(process.execPath, ['-e', `${code}\n${end}`], { cwd: root, encoding: 'utf8' })
    expect(stdout).not.toBe('')
    expect(existsSync(stdout.trim())).toBe(false)
  }
})

it('a Listener that is dropped without close() is closed by the garbage collector', async () => {
  const code = `
    const mp = require('multiproc')
    const { existsSync, readdirSync } = require('node:fs')
    const { dirname } = require('node:path')
    const before = readdirSync('/proc/self/fd').length
    const folders = []
    for (let i = 0; i < 20; i++) {
      const listener = new mp.Listener()
      folders.push(dirname(listener.address))
      const client = mp.connectSync(listener.address)
      const server = listener.acceptSync()
      client.sendSync(i)
      server.recvSync()
    }
    const look = () => {
      gc()
      if (folders.some((each) => existsSync(each)) || readdirSync('/proc/self/fd').length > before + 2) setTimeout(look, 1)
      else console.log('gone')
    }
    look()`
  if (linux)
    expect(
      execFileSync(process.execPath, ['--expose-gc', '-e', code], { cwd: root, encoding: 'utf8', timeout: 20_000 }),
    ).toBe('gone\n')
})

it('a pending accept() keeps the process alive; an idle Listener does not, nor one after unref()', () => {
  const run = (code: string) =>
    spawnSync(process.execPath, ['-e', `const mp = require('multiproc')\n${code}`], {
      cwd: root,
      encoding: 'utf8',
      timeout: 20_000,
    })
  for (const idle of [
    `new mp.Listener()`,
    `new mp.Listener(undefined, { authKey: 'x' })`,
    `new mp.Listener().unref().accept()`,
    `new mp.Listener(undefined, { authKey: 'x' }).unref().accept()`,
    // A peer that says nothing is no reason either.
    `const l = new mp.Listener(undefined, { authKey: 'x' })
     require('node:net').connect(l.address).unref()
     require('node:timers/promises').setTimeout(50)`,
  ])
    expect(run(idle), idle).toMatchObject({ status: 0, signal: null, stderr: '' })
  const { stdout } = run(`
    for (const authKey of [undefined, 'x']) {
      const listener = new mp.Listener(undefined, { authKey })
      listener.unref().ref().accept({ timeout: 60 }).catch((error) => console.log(error.code))
    }`)
  expect(stdout).toBe('ERR_MP_TIMEOUT\nERR_MP_TIMEOUT\n')
})

it('sockets of a worker thread that is terminated are closed', async () => {
  if (!linux) return
  const worker = new Worker(
    `const mp = require('multiproc')
     const { parentPort } = require('node:worker_threads')
     const listener = new mp.Listener(undefined, { authKey: 'x' })
     const open = new mp.Listener(['localhost', 0])
     const client = mp.connectSync(open.address)
     const server = open.acceptSync()
     open.accept().catch(() => {})
     server.recv().catch(() => {})
     parentPort.postMessage([listener.address, open.address])`,
    { eval: true },
  )
  const [[path, address]] = await once(worker, 'message')
  const peer = await Peer.connect(path) // a handshake is under way
  await peer.read()
  await worker.terminate()
  await peer.closed()
  expect(await errorOf(() => mp.connect(address))).toMatchObject({ code: 'ECONNREFUSED' })
  rmSync(dirname(path), { recursive: true }) // as after a kill
})

it('a worker thread that blocks in acceptSync() can be terminated', async () => {
  const worker = new Worker(
    `const mp = require('multiproc')
     const listener = new mp.Listener(['localhost', 0])
     require('node:worker_threads').parentPort.postMessage('blocks')
     listener.acceptSync()`,
    { eval: true },
  )
  await once(worker, 'message')
  await worker.terminate()
})

it('listen() takes host names, and everything else', async () => {
  const named = await mp.listen(['localhost', 0])
  expect(named.address).toEqual(['127.0.0.1', expect.any(Number)])
  named.close()
  const { hostname } = await import('node:os')
  const { lookup } = await import('node:dns/promises')
  if ((await lookup(hostname()).catch(() => undefined)) !== undefined) {
    expect(() => new mp.Listener([hostname(), 0])).toThrowError(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE', message: expect.stringContaining('await listen') }),
    )
    const listener = await mp.listen([hostname(), 0], { backlog: 3 })
    for (const form of FORMS) {
      const client = await connect(form, [hostname(), listener.address[1] as number])
      ;(await accept(form, listener)).close()
      client.close()
    }
    listener.close()
  }
  const unnamed = await mp.listen()
  unnamed.close()
  if (!windows) (await mp.listen(join(folder, 'socket'))).close()
  for (const form of FORMS)
    expect(await errorOf(() => connect(form, ['no such host.invalid', 1]))).toMatchObject({ code: 'ENOTFOUND' })
  expect(await errorOf(() => mp.listen(['no such host.invalid', 1]))).toMatchObject({ code: 'ENOTFOUND' })
})

it('family says where, when there is no address', () => {
  const tcp = new mp.Listener(undefined, { family: 'AF_INET' })
  expect(tcp.address).toEqual(['127.0.0.1', expect.any(Number)])
  tcp.close()
  const family = windows ? 'AF_PIPE' : 'AF_UNIX'
  const local = new mp.Listener(undefined, { family })
  expect(local.address).toEqual(expect.any(String))
  local.close()
  expect(() => new mp.Listener(['localhost', 0], { family })).toThrowError(/AF_INET or absent/)
})

describe('wrong arguments', () => {
  const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
  const VALUE = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' }
  const RANGE = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }
  const addresses: [unknown, object, string][] = [
    [1, TYPE, 'address'],
    [null, TYPE, 'address'],
    [{}, TYPE, 'address'],
    ['', VALUE, 'address'],
    ['a\0b', VALUE, 'address'],
    [[], VALUE, 'address'],
    [['localhost'], VALUE, 'address'],
    [['localhost', 0, 0], VALUE, 'address'],
    [[1, 1], TYPE, 'address[0]'],
    [['a\0b', 1], VALUE, 'address[0]'],
    [['localhost', '1'], TYPE, 'address[1]'],
    [['localhost', -1], RANGE, 'address[1]'],
    [['localhost', 65_536], RANGE, 'address[1]'],
    [['localhost', 0.5], RANGE, 'address[1]'],
    // CPython's TestInvalidFamily
    ['\\\\.\\test', VALUE, 'address'],
    ...(windows ? [] : [['\\\\.\\pipe\\name', VALUE, 'address'] as [string, object, string]]),
  ]
  it.each(addresses)('address %j', async (address: any, expected, name) => {
    const all = { ...expected, message: expect.stringContaining(`argument "${name}"`) }
    expect(() => new mp.Listener(address)).toThrowError(expect.objectContaining(all))
    expect(() => mp.connectSync(address)).toThrowError(expect.objectContaining(all))
    await expect(mp.connect(address)).rejects.toMatchObject(all)
    await expect(mp.listen(address)).rejects.toMatchObject(all)
  })

  const options: [any, object, string][] = [
    [1, TYPE, 'options'],
    [null, TYPE, 'options'],
    [{ authKey: 1 }, TYPE, 'options.authKey'],
    [{ authKey: null }, TYPE, 'options.authKey'],
    [{ allowMd5: 1 }, TYPE, 'options.allowMd5'],
    [{ maxMessageLength: -1 }, RANGE, 'options.maxMessageLength'],
    [{ maxMessageLength: '1' }, TYPE, 'options.maxMessageLength'],
  ]
  it.each(options)('options %j', async (given, expected, name) => {
    const all = { ...expected, message: expect.stringContaining(`argument "${name}"`) }
    expect(() => new mp.Listener(undefined, given)).toThrowError(expect.objectContaining(all))
    expect(() => mp.connectSync(NOWHERE, given)).toThrowError(expect.objectContaining(all))
    await expect(mp.connect(NOWHERE, given)).rejects.toMatchObject(all)
  })
  it.each([
    [{ backlog: 0 }, RANGE, 'options.backlog'],
    [{ backlog: '1' }, TYPE, 'options.backlog'],
    [{ handshakeTimeout: 0 }, RANGE, 'options.handshakeTimeout'],
    [{ family: 2 }, TYPE, 'options.family'],
    [{ family: 'unix' }, VALUE, 'options.family'],
    ...(windows ? [] : [[{ family: 'AF_PIPE' }, VALUE, 'options.family']]),
  ] as [any, object, string][])('options of a Listener %j', (given, expected, name) => {
    const all = { ...expected, message: expect.stringContaining(`argument "${name}"`) }
    expect(() => new mp.Listener(undefined, given)).toThrowError(expect.objectContaining(all))
  })

  it('a path that is too long', async () => {
    const path = `/tmp/${'x'.repeat(200)}`
    expect(() => new mp.Listener(path)).toThrowError(expect.objectContaining({ code: 'ENAMETOOLONG' }))
    expect(() => new mp.Listener(path + path)).toThrowError(expect.objectContaining({ code: 'ENAMETOOLONG' }))
    await expect(mp.connect(path)).rejects.toMatchObject({ code: 'ENAMETOOLONG' })
  })

  it('an address of another machine', () => {
    expect(() => new mp.Listener(['192.0.2.1', 0])).toThrowError(expect.objectContaining({ code: 'EADDRNOTAVAIL' }))
  })

  it('waits', async () => {
    const listener = new mp.Listener()
    await expect(listener.accept({ timeout: 'x' } as any)).rejects.toMatchObject(TYPE)
    await expect(listener.accept({ signal: 1 } as any)).rejects.toMatchObject(TYPE)
    expect(() => listener.acceptSync({ signal: AbortSignal.abort() } as any)).toThrowError(
      expect.objectContaining(TYPE),
    )
    expect(() => mp.connectSync(listener.address, { signal: AbortSignal.abort() } as any)).toThrowError(
      expect.objectContaining(TYPE),
    )
    listener.close()
  })

  it('a Listener does not travel', () => {
    const listener = new mp.Listener()
    const child = new mp.Process({ target: (l: any) => l, args: [listener] })
    expect(() => child.start()).toThrowError(expect.objectContaining({ code: 'ERR_MP_SERIALIZATION' }))
    listener.close()
  })
})
