// Pipe and Connection: CPython's _TestConnection, _TestPoll, _TestPicklingConnections and TestIgnoreEINTR in both forms, in the main
// thread and in worker threads; ends, and who holds them.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { KILLED } from '../killed'
import { EVERYWHERE } from '../sync/places'
import { until } from '../until'

afterEach(() => expect(mp.activeChildren()).toEqual([]))

const code = (c: string) => expect.objectContaining({ code: c })

describe.each(EVERYWHERE)('%s, %s', (_place, _form, run) => {
  it('values and bytes there and back, 16 MB too, then the end (test_connection)', () =>
    run(async (mp, t, form) => {
      const { assert } = t
      const sync = form === 'sync'
      const [conn, childConn] = mp.Pipe()
      t.start(async (c: mp.Connection) => {
        for (;;) {
          const bytes = sync ? c.recvBytesSync() : await c.recvBytes()
          if (bytes.length === 0) break
          sync ? c.sendBytesSync(bytes) : await c.sendBytes(bytes)
        }
        const value = sync ? c.recvSync() : await c.recv()
        sync ? c.sendSync(value) : await c.send(value)
        c.close()
      }, childConn)
      const send = async (b: any) => (sync ? conn.sendBytesSync(b) : conn.sendBytes(b))
      const into = async (b: any, o?: any) => (sync ? conn.recvBytesIntoSync(b, o) : conn.recvBytesInto(b, o))
      const poll = async (o?: any) => (sync ? conn.pollSync(o) : conn.poll(o))
      const hello = Buffer.from('hello world')
      await send(hello)
      assert.deepEqual(Buffer.from(sync ? conn.recvBytesSync() : await conn.recvBytes()), hello)
      const numbers = new Int32Array([0, 1, 2, 3])
      const buffer = new Int32Array(10)
      await send(numbers)
      assert.equal(await into(buffer), 16)
      assert.deepEqual([...buffer], [0, 1, 2, 3, 0, 0, 0, 0, 0, 0])
      buffer.fill(0)
      await send(numbers)
      assert.equal(await into(buffer, { offset: 12 }), 16)
      assert.deepEqual([...buffer], [0, 0, 0, 0, 1, 2, 3, 0, 0, 0])
      for (const short of [
        () => into(new Uint8Array(40)),
        () => (sync ? conn.recvBytesSync({ maxLength: 40 }) : conn.recvBytes({ maxLength: 40 })),
      ]) {
        await send(Buffer.alloc(110, 'x'))
        const error = await t.errorOf(short)
        assert.ok(error instanceof mp.BufferTooShortError)
        assert.deepEqual(Buffer.from(error.bytes), Buffer.alloc(110, 'x'))
      }
      assert.equal(await poll(), false)
      assert.equal(await poll({ timeout: -1 }), false)
      const start = performance.now()
      assert.equal(await poll({ timeout: 80 }), false)
      assert.ok(performance.now() - start >= 79)
      await send(Buffer.from('z'))
      assert.equal(await poll({ timeout: t.patience }), true)
      assert.equal(await poll(), true)
      assert.equal((sync ? conn.recvBytesSync() : await conn.recvBytes())[0], 122)
      const big = Buffer.alloc(16 << 20, 'X')
      await send(big)
      assert.ok(big.equals(sync ? conn.recvBytesSync() : await conn.recvBytes()))
      await send(Buffer.alloc(0))
      sync ? conn.sendSync([1, 2.25, null]) : await conn.send([1, 2.25, null])
      assert.deepEqual(sync ? conn.recvSync() : await conn.recv(), [1, 2.25, null])
      childConn.close()
      await t.joinAll()
      assert.equal(conn.readable && conn.writable, true)
      for (const call of [
        () => (sync ? conn.recvSync() : conn.recv()),
        () => (sync ? conn.recvBytesSync() : conn.recvBytes()),
        () => (sync ? conn.sendSync(1) : conn.send(1)),
      ])
        assert.ok((await t.errorOf(call)) instanceof mp.EOFError)
      assert.equal(await poll(), true)
    }))

  it('one direction only (test_duplex_false)', () =>
    run(async (mp, t, form) => {
      const sync = form === 'sync'
      const [reader, writer] = mp.Pipe({ duplex: false })
      sync ? writer.sendSync(1) : await writer.send(1)
      t.assert.equal(sync ? reader.recvSync() : await reader.recv(), 1)
      t.assert.deepEqual(
        [reader.readable, reader.writable, writer.readable, writer.writable],
        [true, false, false, true],
      )
      t.assert.equal((await t.errorOf(() => (sync ? reader.sendSync(2) : reader.send(2))))?.code, 'ERR_MP_NOT_WRITABLE')
      t.assert.equal((await t.errorOf(() => (sync ? writer.recvSync() : writer.recv())))?.code, 'ERR_MP_NOT_READABLE')
      t.assert.equal((await t.errorOf(() => (sync ? writer.pollSync() : writer.poll())))?.code, 'ERR_MP_NOT_READABLE')
    }))

  it('closed here right after the child was started (test_spawn_close)', () =>
    run(async (mp, t, form) => {
      const [conn, childConn] = mp.Pipe()
      t.start((c: mp.Connection) => {
        c.sendSync(c.recvSync())
      }, childConn)
      childConn.close()
      conn.sendSync('hello')
      t.assert.equal(form === 'sync' ? conn.recvSync() : await conn.recv(), 'hello')
      t.assert.ok((await t.errorOf(() => (form === 'sync' ? conn.recvSync() : conn.recv()))) instanceof mp.EOFError)
    }))

  it('messages never merge and never split (test_strings, test_dont_merge, test_empty_string)', () =>
    run(async (mp, t, form) => {
      const sync = form === 'sync'
      const [a, b] = mp.Pipe({ capacity: 50_000 })
      const sizes = [0, 1, 2, 7, 8, 9, 0, 4095, 4096, 4097, 16_383, 16_384, 16_385, 65_535, 65_537, 0, 200_001, 3]
      t.start(
        async (c: mp.Connection, sizes: number[]) => {
          for (const [i, size] of sizes.entries()) {
            const bytes = new Uint8Array(size).fill(i + 1)
            sync ? c.sendBytesSync(bytes) : await c.sendBytes(bytes)
          }
          c.close()
        },
        b,
        sizes,
      )
      b.close()
      for (const [i, size] of sizes.entries()) {
        t.assert.equal(sync ? a.pollSync({ timeout: t.patience }) : await a.poll({ timeout: t.patience }), true)
        t.assert.equal(a.pollSync(), true)
        const bytes = sync ? a.recvBytesSync() : await a.recvBytes()
        t.assert.equal(bytes.length, size)
        t.assert.ok(bytes.every((byte) => byte === i + 1))
      }
      t.assert.ok((await t.errorOf(() => (sync ? a.recvSync() : a.recv()))) instanceof mp.EOFError)
    }))

  it('who polls takes nothing from others (test_boundaries)', () =>
    run(async (mp, t, form) => {
      const [r, w] = mp.Pipe({ duplex: false })
      const polling = new mp.Value('bool')
      t.start(async (r: mp.Connection) => {
        polling.value = true
        const there = form === 'sync' ? r.pollSync({ timeout: 20_000 }) : await r.poll({ timeout: 20_000 })
        if (!there) throw new Error('nothing came')
      }, r)
      await t.until(() => polling.value, 'the poll')
      await t.settle()
      w.sendBytesSync(Buffer.from('first'))
      w.sendBytesSync(Buffer.from('second'))
      w.close()
      await t.joinAll()
      t.assert.equal(Buffer.from(r.recvBytesSync()).toString(), 'first')
      t.assert.equal(Buffer.from(r.recvBytesSync()).toString(), 'second')
    }))

  it('connections through connections (_TestPicklingConnections)', () =>
    run(async (mp, t, form) => {
      const sync = form === 'sync'
      const [outer, child] = mp.Pipe()
      t.start(async (c: mp.Connection) => {
        const [mine, yours] = mp.Pipe()
        const { inner } = sync ? c.recvSync() : await c.recv()
        inner.sendSync({ yours })
        yours.close()
        inner.close()
        mine.sendSync(`got ${sync ? mine.recvSync() : await mine.recv()}`)
        mine.close()
      }, child)
      const [a, b] = mp.Pipe()
      outer.sendSync({ inner: b })
      b.close()
      const { yours } = sync ? a.recvSync() : await a.recv()
      t.assert.ok(yours instanceof mp.Connection)
      yours.sendSync('this')
      t.assert.equal(sync ? yours.recvSync() : await yours.recv(), 'got this')
      t.assert.ok((await t.errorOf(() => yours.recvSync())) instanceof mp.EOFError)
      t.assert.ok((await t.errorOf(() => a.recvSync())) instanceof mp.EOFError)
    }))

  it('signals disturb neither a blocked recv nor a blocked send (TestIgnoreEINTR)', () =>
    run(async (mp, t, form) => {
      const sync = form === 'sync'
      const [conn, childConn] = mp.Pipe({ capacity: 1000 })
      const child = t.start(async (c: mp.Connection) => {
        process.on('SIGUSR1', () => {})
        c.sendSync('ready')
        const x = sync ? c.recvSync() : await c.recv()
        c.sendSync(x)
        for (let i = 0; i < 5; i++) {
          const bytes = Buffer.alloc(4 << 20, 'x')
          sync ? c.sendBytesSync(bytes) : await c.sendBytes(bytes)
        }
      }, childConn)
      childConn.close()
      t.assert.equal(conn.recvSync(), 'ready')
      await t.settle()
      process.kill(child.pid!, 'SIGUSR1')
      await t.settle()
      conn.sendSync(1234)
      t.assert.equal(sync ? conn.recvSync() : await conn.recv(), 1234)
      await t.settle()
      process.kill(child.pid!, 'SIGUSR1')
      for (let i = 0; i < 5; i++) t.assert.equal((sync ? conn.recvBytesSync() : await conn.recvBytes()).length, 4 << 20)
    }))

  it('the end comes when the other end is closed, or its last holder killed', () =>
    run(async (mp, t, form) => {
      const sync = form === 'sync'
      const [conn, childConn] = mp.Pipe()
      const held = new mp.Value('i')
      const hold = (c: mp.Connection, how: number) => {
        c.sendSync(how)
        held.add(1)
        setInterval(() => c, 1000)
      }
      const children = [1, 2].map((how) => {
        const child = new mp.Process({ target: hold, args: [childConn, how] })
        child.start()
        return child
      })
      childConn.close()
      await t.until(() => held.value === 2, 'both holders')
      t.assert.equal(conn.recvSync() + (sync ? conn.recvSync() : await conn.recv()), 3)
      children[0]!.kill()
      await children[0]!.join()
      await t.settle()
      t.assert.equal(conn.pollSync(), false)
      const killer = new mp.Process({
        target: async (pid: number) => {
          await new Promise((resolve) => setTimeout(resolve, 30))
          process.kill(pid, 'SIGKILL')
        },
        args: [children[1]!.pid!],
      })
      killer.start()
      t.assert.ok((await t.errorOf(() => (sync ? conn.recvSync() : conn.recv()))) instanceof mp.EOFError)
      await children[1]!.join()
      await killer.join()
    }))
})

describe('ends and options', () => {
  it('wrong options and arguments throw', async () => {
    expect(() => mp.Pipe({ capacity: -1 })).toThrow(/capacity/)
    expect(() => mp.Pipe({ duplex: 1 as any })).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => new (mp.Connection as any)()).toThrow(TypeError)
    const [a, b] = mp.Pipe()
    await expect(a.sendBytes('x' as any)).rejects.toThrow(TypeError)
    await expect(a.recvBytes({ maxLength: -1 })).rejects.toThrow(code('ERR_OUT_OF_RANGE'))
    await expect(a.recvBytesInto(new Uint8Array(4), { offset: 5 })).rejects.toThrow(/offset/)
    const { signal } = new AbortController()
    for (const call of [
      () => a.recvSync({ signal } as any),
      () => a.pollSync({ signal } as any),
      () => a.sendSync(1, { signal } as any),
    ])
      expect(call).toThrow(TypeError)
    expect(() => a.recvSync({ timeout: 1 })).toThrow(mp.TimeoutError)
    await expect(a.recv({ timeout: 1 })).rejects.toThrow(mp.TimeoutError)
    for (const end of [a, b]) end.close()
  })

  it('a full pipe: time-out, abort, busy; one message of any size fits', async () => {
    const [a, b] = mp.Pipe({ capacity: 100 })
    a.sendSync(new Uint8Array(300_000))
    expect(() => a.sendSync(1, { timeout: 5 })).toThrow(mp.TimeoutError)
    await expect(a.send(1, { timeout: 5 })).rejects.toThrow(mp.TimeoutError)
    const abort = new AbortController()
    const aborted = a.send(1, { signal: abort.signal })
    const waiting = [a.send(2), a.sendBytes(new Uint8Array([3])), a.send('four')]
    expect(() => a.sendSync(5)).toThrow(code('ERR_MP_BUSY'))
    abort.abort()
    await expect(aborted).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
    expect((await b.recv()).length).toBe(300_000)
    expect(await b.recv()).toBe(2)
    expect(await b.recvBytes()).toEqual(new Uint8Array([3]))
    expect(await b.recv()).toBe('four')
    await Promise.all(waiting)
    const late = [a.recv(), a.poll({ timeout: 1e9 })]
    expect(() => a.recvSync()).toThrow(code('ERR_MP_BUSY'))
    a.close()
    for (const promise of late) await expect(promise).rejects.toThrow(mp.ClosedError)
    await expect(a.send(1)).rejects.toThrow(mp.ClosedError)
    expect(() => b.sendSync(1)).toThrow(mp.EOFError)
    b.close()
  })

  it('an end that only a queued message holds is held; with the queue it is gone', async () => {
    const queue = new mp.Queue<any>()
    const [a, b] = mp.Pipe()
    queue.putSync({ deep: [b] })
    b.close()
    a.sendSync('to whom it may concern')
    expect(a.pollSync({ timeout: 50 })).toBe(false)
    const ended = a.recv()
    queue.close()
    await expect(ended).rejects.toThrow(mp.EOFError)
    expect(() => a.sendSync(1)).toThrow(mp.EOFError)
    a.close()
  })

  it('for await ends with the other end', async () => {
    const [a, b] = mp.Pipe<number, number>()
    for (const n of [1, 2, 3]) b.sendSync(n)
    b.close()
    const got: number[] = []
    for await (const n of a) got.push(n)
    expect(got).toEqual([1, 2, 3])
    expect(inspect(a)).toBe('Connection { readable: true, writable: true }')
    a[Symbol.dispose]()
    expect(inspect(a)).toBe('Connection { closed: true }')
    expect(a.closed).toBe(true)
  })

  it('200 kB put, then join: no deadlock', async () => {
    const queue = new mp.Queue<Uint8Array>()
    const child = new mp.Process({ target: (q) => q.putSync(new Uint8Array(200_000).fill(7)), args: [queue] })
    child.start()
    expect(child.joinSync({ timeout: 20_000 })).toBe(true)
    expect(queue.getSync().every((byte) => byte === 7)).toBe(true)
    queue.close()
  })

  it('who takes a message and dies before it has it leaves it to others, with its place', async () => {
    class Bomb {
      constructor(readonly fuse: mp.Value<number>) {}
      [Symbol.for('multiproc.reduce')]() {
        return [
          (fuse: mp.Value<number>) => {
            if (fuse.add(1) === 0) process.kill(process.pid, 'SIGKILL')
            return 'defused'
          },
          [this.fuse],
        ]
      }
    }
    const queue = new mp.Queue<any>({ maxSize: 1 })
    const fuse = new mp.Value('i')
    queue.putSync(new Bomb(fuse))
    const child = new mp.Process({ target: (q) => q.getSync(), args: [queue] })
    child.start()
    await child.join()
    expect(child.exitCode).toBe(KILLED)
    await until(() => queue.qsize() === 1, 'its return')
    expect(queue.tryPut('no room')).toBe(false)
    const next = queue.put('next') // waits for the place of the message that came back
    expect(await queue.get()).toBe('defused')
    await next
    expect(await queue.get()).toBe('next')
    queue.close()
  })
})
