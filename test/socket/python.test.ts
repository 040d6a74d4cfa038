// CPython's Client connects to our Listener, and connect() to CPython's Listener.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { accept, connect, errorOf, FORMS, recvBytes, sendBytes } from './tools'

const script = fileURLToPath(new URL('../fixtures/socket/peer.py', import.meta.url))

/** CPythons of this machine: '3.13' → its path. */
function pythons(): Map<string, string> {
  const versions = join(homedir(), '.pyenv/versions')
  const candidates = existsSync(versions)
    ? readdirSync(versions).map((name) => join(versions, name, 'bin/python3'))
    : []
  const found = new Map<string, string>()
  for (const path of [...candidates, 'python3'])
    try {
      const version = execFileSync(path, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim()
      if (!found.has(version)) found.set(version, path)
    } catch {
      // Not there, or not for this machine.
    }
  return found
}

const all = [...pythons()].map(([version, path]) => ({ version, path, minor: Number(version.split('.')[1]) }))
const modern = all.filter(({ version, minor }) => version.startsWith('3.') && minor >= 12)
const legacy = all.filter(({ version, minor }) => version.startsWith('3.') && minor >= 8 && minor < 12).slice(-1)
if (legacy.length === 0) console.log('skipped: this machine has no CPython from 3.8 to 3.11')

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** Starts a peer; `next` is the next thing that it says. */
function start(python: string, role: string, address: mp.Address, key: string) {
  const child = spawn(python, [script, role, JSON.stringify(address), key], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    next: async (): Promise<any> => JSON.parse((await lines.next()).value ?? 'null'),
    ended: once(child, 'exit'),
  }
}

const SIZES = [0, 1, 65_536, 20_000_000]
const ADDRESSES: [string, mp.Address | undefined][] = [
  ['unix', undefined],
  ['TCP', ['127.0.0.1', 0]],
]

for (const { version, path } of modern)
  describe(`CPython ${version}`, () => {
    describe.each(FORMS)('%s', (form) => {
      async function echoes(connection: mp.Connection): Promise<void> {
        for (const size of SIZES) {
          const bytes = Buffer.alloc(size, `${size} bytes `)
          await sendBytes(form, connection, bytes)
          const echo = await recvBytes(form, connection)
          expect(bytes.equals(echo), `${size} bytes`).toBe(true)
        }
        connection.close()
      }

      it.each(ADDRESSES)('its Client and our Listener (%s)', async (_, address) => {
        for (const key of [undefined, 'a key', 'schlüssel']) {
          const listener = new mp.Listener(address, { authKey: key })
          const peer = start(path, 'client', listener.address, key ?? '-')
          await echoes(await accept(form, listener))
          expect(await peer.next()).toEqual(['end'])
          await peer.ended
          listener.close()
        }
      })

      it.each(['unix', 'TCP'])('its Listener and our connect (%s)', async (kind) => {
        for (const key of [undefined, 'a key']) {
          const peer = start(
            path,
            'listener',
            kind === 'unix' ? `/tmp/${process.pid}-python` : ['localhost', 0],
            key ?? '-',
          )
          const [, address] = await peer.next()
          await echoes(await connect(form, address, { authKey: key }))
          expect(await peer.next()).toEqual(['end'])
          await peer.ended
        }
      })

      it('a wrong key: both ends are told', async () => {
        const listener = new mp.Listener(undefined, { authKey: 'ours' })
        const client = start(path, 'client', listener.address, 'theirs')
        expect(await errorOf(() => accept(form, listener))).toBeInstanceOf(mp.AuthenticationError)
        expect(await client.next()).toEqual(['AuthenticationError'])
        listener.close()

        const server = start(path, 'listener', ['localhost', 0], 'theirs')
        const [, address] = await server.next()
        expect(await errorOf(() => connect(form, address, { authKey: 'ours' }))).toBeInstanceOf(mp.AuthenticationError)
        expect(await server.next()).toEqual(['AuthenticationError'])
      })
    })
  })

for (const { version, path } of legacy)
  it(`CPython ${version} has MD5 only: refused, unless it is allowed`, async () => {
    const listener = new mp.Listener(undefined, { authKey: 'a key' })
    const refused = start(path, 'client', listener.address, 'a key')
    const error = await errorOf(() => accept('async', listener))
    expect(error).toBeInstanceOf(mp.AuthenticationError)
    expect(error.message).toMatch(/MD5.*allowMd5/)
    expect(await refused.next()).toEqual(['AuthenticationError'])
    listener.close()

    const lenient = new mp.Listener(undefined, { authKey: 'a key', allowMd5: true })
    const client = start(path, 'client', lenient.address, 'a key')
    const connection = await accept('async', lenient)
    await connection.sendBytes(Buffer.from('hello'))
    expect(String(Buffer.from(await connection.recvBytes()))).toBe('hello')
    connection.close()
    expect(await client.next()).toEqual(['end'])
    lenient.close()

    const server = start(path, 'listener', ['localhost', 0], 'a key')
    const [, address] = await server.next()
    const back = await connect('sync', address, { authKey: 'a key', allowMd5: true })
    back.sendBytesSync(Buffer.from('hello'))
    expect(String(Buffer.from(back.recvBytesSync()))).toBe('hello')
    back.close()
    expect(await server.next()).toEqual(['end'])
  })

if (modern.length === 0) it.skip('this machine has no CPython 3.12 or later', () => {})
