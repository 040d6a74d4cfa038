// Listener and connect between processes. After CPython's _TestListenerClient, TestTimeouts, _TestPollEintr and TestIgnoreEINTR.
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { accept, connect, errorOf, FORMS, type Form, PATIENCE, recv } from './tools'

const children: mp.Process[] = []
function start<T extends (...args: any[]) => unknown>(target: T, ...args: Parameters<T>): mp.Process {
  const child = new mp.Process({ target, args } as any)
  child.start()
  children.push(child)
  return child
}
/** All have ended in order. */
async function ended(): Promise<void> {
  for (const child of children.splice(0)) {
    expect(await child.join({ timeout: PATIENCE })).toBe(true)
    expect(child.exitCode).toBe(0)
  }
}
afterEach(async () => {
  for (const child of children) child.kill()
  for (const child of children.splice(0)) await child.join()
})

const ADDRESSES: [string, mp.Address | undefined][] = [
  ['unix', undefined],
  ['TCP', ['127.0.0.1', 0]],
]

describe.each(FORMS)('%s', (form) => {
  const greet = async (address: mp.Address, authKey: string | undefined, how: Form) => {
    const connection = how === 'sync' ? mp.connectSync(address, { authKey }) : await mp.connect(address, { authKey })
    if (how === 'sync') connection.sendSync('hello')
    else await connection.send('hello')
    connection.close()
  }

  describe.each(ADDRESSES)('%s', (_, address) => {
    it('a child connects and sends', async () => {
      for (const authKey of [undefined, 'key']) {
        const listener = new mp.Listener(address, { authKey })
        start(greet, listener.address, authKey, form)
        const connection = await accept(form, listener)
        expect(await recv(form, connection)).toBe('hello')
        await ended()
        connection.close()
        listener.close()
      }
    })

    it('a child listens', async () => {
      const bound = new mp.Event()
      const at = new mp.SharedArray('c', 300)
      start(
        async (place: mp.Address | undefined, how: Form) => {
          const listener = new mp.Listener(place, { authKey: 'key' })
          at.set(Buffer.from(JSON.stringify(listener.address)))
          bound.set()
          const connection = how === 'sync' ? listener.acceptSync() : await listener.accept()
          if (how === 'sync') connection.sendSync(connection.recvSync() + 1)
          else await connection.send((await connection.recv()) + 1)
          connection.close()
          listener.close()
        },
        address,
        form,
      )
      await bound.wait({ timeout: PATIENCE })
      const where = JSON.parse(Buffer.from(at).toString().replace(/\0+$/, ''))
      const connection = await connect(form, where, { authKey: 'key' })
      connection.sendSync(41)
      expect(await recv(form, connection)).toBe(42)
      connection.close()
      await ended()
    })
  })

  it('a connection that was just closed is seen to be (issue 16955)', async () => {
    const listener = new mp.Listener()
    const client = await connect(form, listener.address)
    const server = await accept(form, listener)
    server.sendBytesSync(Buffer.from('hello'))
    expect(form === 'sync' ? client.pollSync({ timeout: PATIENCE }) : await client.poll({ timeout: PATIENCE })).toBe(
      true,
    )
    server.close()
    client.close()
    listener.close()
  })

  it('a default time-out of nothing else matters (TestTimeouts): who comes late is accepted', async () => {
    const listener = new mp.Listener(undefined, { family: 'AF_INET' })
    const go = new mp.Event()
    start(async (address: mp.Address) => {
      await go.wait()
      const connection = await mp.connect(address)
      await connection.send(456)
      connection.close()
    }, listener.address)
    expect(await errorOf(() => accept(form, listener, { timeout: 100 }))).toBeInstanceOf(mp.TimeoutError)
    go.set()
    const connection = await accept(form, listener)
    expect(await recv(form, connection)).toBe(456)
    connection.close()
    listener.close()
    await ended()
  })

  it('signals do not end waits (TestIgnoreEINTR)', async () => {
    const listener = new mp.Listener()
    const MORE_THAN_BUFFERS = 4_000_000
    const child = start(
      async (address: mp.Address, how: Form, size: number) => {
        let signals = 0
        process.on('SIGUSR2', () => signals++)
        const inner = new mp.Listener()
        if (how === 'sync') {
          const connection = mp.connectSync(address)
          connection.sendSync(inner.address)
          const accepted = inner.acceptSync()
          accepted.close()
          connection.sendSync(connection.recvSync())
          connection.sendBytesSync(Buffer.alloc(size, 'x'))
          connection.close()
        } else {
          const connection = await mp.connect(address)
          await connection.send(inner.address)
          const accepted = await inner.accept()
          accepted.close()
          await connection.send(await connection.recv())
          await connection.sendBytes(Buffer.alloc(size, 'x'))
          connection.close()
          if (signals === 0) throw new Error('there were none')
        }
        inner.close()
      },
      listener.address,
      form,
      MORE_THAN_BUFFERS,
    )
    const connection = await listener.accept()
    const inner = await connection.recv()
    const disturb = async () => {
      for (let i = 0; i < 20; i++) {
        process.kill(child.pid!, 'SIGUSR2')
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    }
    await disturb() // it waits in accept
    const client = await mp.connect(inner)
    await disturb() // in recv
    await connection.send(1234)
    expect(await connection.recv()).toBe(1234)
    await disturb() // in sendBytes
    const bytes = await connection.recvBytes()
    expect(bytes.length).toBe(MORE_THAN_BUFFERS)
    client.close()
    connection.close()
    listener.close()
    await ended()
  })

  it('many processes connect at the same time, with a key', async () => {
    const listener = new mp.Listener(undefined, { authKey: 'key' })
    for (let i = 0; i < 4; i++)
      start(
        async (address: mp.Address, me: number, how: Form) => {
          for (let round = 0; round < 10; round++) {
            const connection =
              how === 'sync'
                ? mp.connectSync(address, { authKey: 'key' })
                : await mp.connect(address, { authKey: 'key' })
            connection.sendSync([me, round])
            connection.close()
          }
        },
        listener.address,
        i,
        form,
      )
    const seen = new Set<string>()
    for (let i = 0; i < 40; i++) {
      const connection = await accept(form, listener)
      seen.add(String(await recv(form, connection)))
      connection.close()
    }
    expect(seen.size).toBe(40)
    listener.close()
    await ended()
  })
})

it('with another key both ends are told', async () => {
  for (const form of FORMS) {
    const listener = new mp.Listener(undefined, { authKey: 'ours' })
    start(
      async (address: mp.Address, how: Form) => {
        try {
          if (how === 'sync') mp.connectSync(address, { authKey: 'theirs' })
          else await mp.connect(address, { authKey: 'theirs' })
        } catch (error) {
          if (error instanceof mp.AuthenticationError) return
        }
        throw new Error('not told')
      },
      listener.address,
      form,
    )
    expect(await errorOf(() => accept(form, listener))).toBeInstanceOf(mp.AuthenticationError)
    listener.close()
    await ended()
  }
})

it('children inherit the key of the program', async () => {
  const listener = new mp.Listener(undefined, { authKey: mp.currentProcess().authKey })
  start((address: mp.Address) => {
    mp.connectSync(address, { authKey: mp.currentProcess().authKey }).close()
  }, listener.address)
  ;(await listener.accept({ timeout: PATIENCE })).close()
  listener.close()
  await ended()
})
