// wait() and waitSync(): CPython's TestWait and TestInvalidHandle in both forms, and what Python does not have.
import { closeSync, openSync } from 'node:fs'
import { connect as connectTo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'

afterEach(() => expect(mp.activeChildren()).toEqual([]))

type Objects = Parameters<typeof mp.wait>[0]
const forms: [string, (objects: Objects, o?: object) => Promise<unknown[]>][] = [
  ['wait', (objects, o) => mp.wait(objects, o)],
  ['waitSync', async (objects, o) => mp.waitSync(objects, o)],
]

/** A connected pair over the loopback interface; nobody reads from `here`. */
async function sockets(): Promise<{ here: Socket; there: Socket; end(): void }> {
  const server = createServer({ pauseOnConnect: true })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  const there = connectTo((server.address() as { port: number }).port, '127.0.0.1')
  const here = await accepted
  return {
    here,
    there,
    end() {
      here.destroy()
      there.destroy()
      server.close()
    },
  }
}

describe.each(forms)('%s', (name, wait) => {
  it('gives connections as their messages come, and as they end (test_wait)', async () => {
    const send = async (c: mp.Connection, n: number) => {
      for (let i = 0; i < n; i++) await c.send([i, process.pid])
      c.close()
    }
    const readers: mp.Connection[] = []
    const pids: number[] = []
    const processes = Array.from({ length: 4 }, () => {
      const [r, w] = mp.Pipe({ duplex: false })
      const p = new mp.Process({ target: send, args: [w, 10] })
      p.start()
      w.close()
      readers.push(r)
      pids.push(p.pid!)
      return p
    })
    const messages: string[] = []
    while (readers.length > 0)
      for (const r of (await wait(readers)) as mp.Connection[]) {
        try {
          messages.push(String(await r.recv()))
        } catch (error) {
          expect(error).toBeInstanceOf(mp.EOFError)
          readers.splice(readers.indexOf(r), 1)
          r.close()
        }
      }
    expect(messages.sort()).toEqual(pids.flatMap((pid) => Array.from({ length: 10 }, (_, i) => `${i},${pid}`)).sort())
    for (const p of processes) await p.join()
  })

  it('times out with nothing, and is accurate (test_wait_timeout, test_neg_timeout)', async () => {
    const [a, b] = mp.Pipe()
    for (const timeout of [0, -1, 60]) {
      const start = performance.now()
      expect(await wait([a, b], { timeout })).toEqual([])
      expect(performance.now() - start).toBeGreaterThanOrEqual(timeout - 1)
    }
    await b.send(null)
    expect(await wait([a, b], { timeout: 60_000 })).toEqual([a])
    expect(await wait([], { timeout: 0 })).toEqual([])
    for (const c of [a, b]) c.close()
  })

  it('takes the sentinel of a process, also of one that was killed (test_wait_integer, test_sentinel)', async () => {
    const [a, b] = mp.Pipe()
    const started = new mp.Event()
    const p = new mp.Process({
      target: async (e: mp.Event) => {
        e.set()
        await new Promise((resolve) => setTimeout(resolve, 60_000))
      },
      args: [started],
    })
    p.start()
    await started.wait()
    expect(await wait([a, p.sentinel, b], { timeout: 20 })).toEqual([])
    p.kill()
    expect(await wait([a, p.sentinel, b])).toEqual([p.sentinel])
    expect(await wait([p.sentinel, a])).toEqual([p.sentinel])
    await a.send(1)
    expect(await wait([a, p.sentinel, b])).toEqual([p.sentinel, b])
    await p.join()
    for (const c of [a, b]) c.close()
  })

  it('takes queues, woken from another process', async () => {
    const [go, queue, other] = [new mp.Event(), new mp.Queue(), new mp.SimpleQueue()]
    const p = new mp.Process({
      target: (e: mp.Event, q: mp.Queue) => {
        e.waitSync()
        q.putSync('here')
      },
      args: [go, queue],
    })
    p.start()
    expect(await wait([other, queue], { timeout: 10 })).toEqual([])
    go.set()
    expect(await wait([other, queue])).toEqual([queue])
    expect(await queue.get()).toBe('here')
    queue.shutdown()
    expect(await wait([other, queue])).toEqual([queue])
    await p.join()
  })

  it('takes sockets and descriptors (test_wait_socket)', async () => {
    const { here, there, end } = await sockets()
    const queue = new mp.Queue()
    const fd = (here as unknown as { _handle: { fd: number } })._handle.fd
    expect(await wait([queue, here, fd], { timeout: 20 })).toEqual([])
    await new Promise((resolve) => there.write('x', resolve))
    expect((await wait([queue, fd])).includes(fd)).toBe(true)
    expect(await wait([queue, here])).toEqual([here])
    end()
  })

  it('gives a socket whose other end has gone (test_wait_socket)', async () => {
    const { here, there, end } = await sockets()
    there.destroy()
    expect(await wait([here])).toEqual([here])
    end()
  })

  it('a file can always be read; what is no descriptor is an error (TestInvalidHandle)', async () => {
    const fd = openSync(__filename, 'r')
    expect(await wait([fd])).toEqual([fd])
    closeSync(fd)
    await expect(wait([1_000_000], { timeout: 10 })).rejects.toMatchObject({ code: 'EBADF' })
    await expect(wait([-1])).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
    await expect(wait([1.5])).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
    await expect(wait(['x' as never])).rejects.toThrow(/objects\[0\].*must be a Connection/)
    await expect(wait(7 as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })

  it('refuses what is closed, or can only send', async () => {
    const [r, w] = mp.Pipe({ duplex: false })
    await expect(wait([r, w])).rejects.toMatchObject({ code: 'ERR_MP_NOT_READABLE' })
    r.close()
    await expect(wait([r])).rejects.toMatchObject({ code: 'ERR_MP_CLOSED' })
    w.close()
  })

  it('takes connections over sockets', async () => {
    const listener = new mp.Listener(
      process.platform === 'win32' ? undefined : join(tmpdir(), `multiproc-wait-${process.pid}-${name}.sock`),
    )
    const [a, b] = await Promise.all([mp.connect(listener.address), listener.accept()])
    expect(await wait([a, b], { timeout: 10 })).toEqual([])
    await a.send({ x: 1 })
    expect(await wait([a, b])).toEqual([b])
    expect(await b.recv()).toEqual({ x: 1 })
    a.close()
    expect(await wait([b])).toEqual([b])
    b.close()
    listener.close()
  })
})

it('an aborted wait rejects with its reason, and leaves nothing behind', async () => {
  const queue = new mp.Queue()
  const abort = new AbortController()
  const waiting = mp.wait([queue], { signal: abort.signal })
  abort.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  await expect(mp.wait([queue], { signal: abort.signal })).rejects.toThrow('enough')
  expect(() => mp.waitSync([queue], { signal: abort.signal } as never)).toThrow(TypeError)
  queue.putSync(1)
  expect(await mp.wait([queue])).toEqual([queue])
})

it('a blocking wait does not swallow what promises wait for', async () => {
  const [a, b] = [new mp.Queue(), new mp.Queue()]
  const got = a.get()
  const p = new mp.Process({
    target: (a: mp.Queue, b: mp.Queue) => {
      a.putSync('for the promise')
      b.putSync('for the wait')
    },
    args: [a, b],
  })
  p.start()
  expect(mp.waitSync([b])).toEqual([b])
  expect(await got).toBe('for the promise')
  expect(b.getSync()).toBe('for the wait')
  await p.join()
})
