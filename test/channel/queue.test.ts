// Queue, JoinableQueue and SimpleQueue: CPython's _TestQueue and TestSimpleQueue in both forms, in the main thread and in worker
// threads, and what Python does not have.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { EVERYWHERE } from '../sync/places'

afterEach(() => expect(mp.activeChildren()).toEqual([]))

const code = (c: string) => expect.objectContaining({ code: c })

describe.each(EVERYWHERE)('%s, %s', (_place, _form, run) => {
  it('put: as many as it may hold, then QueueFullError in each way (test_put)', () =>
    run(async (mp, t, form) => {
      const { assert } = t
      const put = async (q: mp.Queue, v: unknown, o?: object) => (form === 'sync' ? q.putSync(v, o) : q.put(v, o))
      const queue = new mp.Queue({ maxSize: 6 })
      const [canStart, canContinue] = [new mp.Event(), new mp.Event()]
      t.start(async () => {
        if (form === 'sync') canStart.waitSync()
        else await canStart.wait()
        for (let i = 1; i <= 6; i++) {
          const got = form === 'sync' ? queue.getSync() : await queue.get()
          if (got !== i) throw new Error(`${got} came for ${i}`)
        }
        canContinue.set()
      })
      assert.equal(queue.empty(), true)
      assert.equal(queue.full(), false)
      await put(queue, 1)
      await put(queue, 2, {})
      await put(queue, 3, { timeout: Infinity })
      await put(queue, 4, { timeout: 0 })
      await put(queue, 5, { timeout: -1 })
      assert.equal(queue.tryPut(6), true)
      assert.equal(queue.empty(), false)
      assert.equal(queue.full(), true)
      for (const timeout of [0, -1, 40, 120]) {
        const start = performance.now()
        const error = await t.errorOf(() => put(queue, 7, { timeout }))
        assert.equal(error?.code, 'ERR_MP_QUEUE_FULL')
        assert.ok(error instanceof mp.QueueFullError)
        assert.ok(performance.now() - start >= timeout - 1)
      }
      assert.equal(queue.tryPut(7), false)
      canStart.set()
      assert.equal(await canContinue.wait({ timeout: t.patience }), true)
      assert.equal(queue.empty(), true)
      assert.equal(queue.full(), false)
    }))

  it('get: in order, then QueueEmptyError in each way (test_get, test_timeout)', () =>
    run(async (mp, t, form) => {
      const { assert } = t
      const queue = new mp.Queue()
      const get = async (o?: object) => (form === 'sync' ? queue.getSync(o) : queue.get(o))
      const done = new mp.Event()
      t.start(async () => {
        for (let i = 1; i <= 5; i++)
          if (form === 'sync') queue.putSync(i)
          else await queue.put(i)
        done.set()
      })
      assert.equal(await done.wait({ timeout: t.patience }), true)
      assert.equal(queue.empty(), false)
      assert.equal(await get(), 1)
      assert.equal(await get({}), 2)
      assert.equal(await get({ timeout: 1000 }), 3)
      assert.equal(await get({ timeout: 0 }), 4)
      assert.equal(queue.tryGet(), 5)
      assert.equal(queue.tryGet(), undefined)
      assert.equal(queue.empty(), true)
      for (const timeout of [0, -1, 40, 120]) {
        const start = performance.now()
        const error = await t.errorOf(() => get({ timeout }))
        assert.equal(error?.code, 'ERR_MP_QUEUE_EMPTY')
        assert.ok(performance.now() - start >= timeout - 1)
      }
    }))

  it('what was put here before a child began comes before what the child puts (test_fork, test_qsize)', () =>
    run(async (mp, t, form) => {
      const queue = new mp.Queue()
      for (let i = 0; i < 10; i++) queue.putSync(i)
      t.assert.equal(queue.qsize(), 10)
      t.start(() => {
        for (let i = 10; i < 20; i++) queue.putSync(i)
      })
      for (let i = 0; i < 20; i++) t.assert.equal(form === 'sync' ? queue.getSync() : await queue.get(), i)
      t.assert.equal(queue.tryGet(), undefined)
      t.assert.equal(queue.qsize(), 0)
    }))

  it('join waits for every task (test_task_done)', () =>
    run(async (mp, t, form) => {
      const queue = new mp.JoinableQueue<number | null>()
      const done = new mp.Value('i')
      for (let i = 0; i < 4; i++)
        t.start(async () => {
          for (;;) {
            const job = form === 'sync' ? queue.getSync() : await queue.get()
            if (job === null) return
            await new Promise((resolve) => setTimeout(resolve, 5))
            done.add(1)
            queue.taskDone()
          }
        })
      for (let i = 0; i < 10; i++) queue.putSync(i)
      t.assert.equal(form === 'sync' ? queue.joinSync() : await queue.join(), true)
      t.assert.equal(done.value, 10)
      for (let i = 0; i < 4; i++) queue.putSync(null)
      await t.joinAll()
      t.assert.equal(form === 'sync' ? queue.joinSync({ timeout: 10 }) : await queue.join({ timeout: 10 }), false)
      for (let i = 0; i < 4; i++) queue.taskDone()
      t.assert.equal(form === 'sync' ? queue.joinSync({ timeout: 0 }) : await queue.join({ timeout: 0 }), true)
      t.assert.throws(() => queue.taskDone(), { code: 'ERR_MP_TASK_DONE_TOO_OFTEN' })
      t.assert.equal(queue.joinSync(), true)
    }))

  it('what cannot be sent throws, with its path, and the queue goes on (test_queue_feeder_donot_stop_onexc)', () =>
    run(async (mp, t, form) => {
      class NotSerializable {
        [Symbol.for('multiproc.reduce')]() {
          throw new Error('not this one')
        }
      }
      const queue = new mp.Queue<any>({ maxSize: 1 })
      const put = async (v: unknown) => (form === 'sync' ? queue.putSync(v) : queue.put(v))
      t.assert.ok(await t.errorOf(() => put(new NotSerializable())))
      const error = await t.errorOf(() => put({ a: { b: [1, Symbol('no')] } }))
      t.assert.equal(error?.code, 'ERR_MP_SERIALIZATION')
      t.assert.ok(/a\.b\[1\]/.test(error.message), error.message)
      t.assert.equal(queue.qsize(), 0)
      await put(true)
      t.assert.equal(queue.qsize(), 1)
      t.assert.ok(await t.errorOf(() => queue.tryPut(Symbol('no'))))
      t.assert.equal(queue.tryGet(), true)
      t.assert.equal(queue.empty(), true)
    }))

  it('SimpleQueue (test_empty, test_empty_exceptions, test_close)', () =>
    run(async (mp, t, form) => {
      const queue = new mp.SimpleQueue<boolean>({ name: 'simple' })
      const [canStart, canContinue] = [new mp.Event(), new mp.Event()]
      t.start(async () => {
        canStart.waitSync()
        queue.putSync(queue.empty())
        await queue.put(queue.empty())
        canContinue.set()
      })
      t.assert.equal(queue.empty(), true)
      canStart.set()
      t.assert.equal(await canContinue.wait({ timeout: t.patience }), true)
      t.assert.equal(queue.empty(), false)
      t.assert.equal(form === 'sync' ? queue.getSync() : await queue.get(), true)
      t.assert.equal(form === 'sync' ? queue.getSync() : await queue.get(), false)
      t.assert.equal(queue.empty(), true)
      t.assert.equal(queue.name, 'simple')
      queue.close()
      queue.close()
      t.assert.throws(() => queue.empty(), { code: 'ERR_MP_CLOSED' })
      for (const call of [() => queue.put(true), () => queue.get(), () => queue.putSync(true), () => queue.getSync()])
        t.assert.equal((await t.errorOf(call))?.code, 'ERR_MP_CLOSED')
    }))

  it('a killed wait is no wait: signals do not disturb a blocked get (_TestPollEintr)', () =>
    run(async (mp, t, form) => {
      const queue = new mp.Queue()
      const ready = new mp.Event()
      const child = t.start(async () => {
        process.on('SIGUSR1', () => {})
        ready.set()
        const got = form === 'sync' ? queue.getSync() : await queue.get()
        if (got !== 42) throw new Error(String(got))
      })
      t.assert.equal(await ready.wait({ timeout: t.patience }), true)
      for (let i = 0; i < 5; i++) {
        process.kill(child.pid!, 'SIGUSR1')
        await t.settle()
      }
      t.assert.equal(child.isAlive(), true)
      queue.putSync(42)
      await t.joinAll()
    }))

  it('a shutdown tells those who wait: getters, putters, joiners', () =>
    run(async (mp, t, form) => {
      for (const immediate of [false, true]) {
        const empty = new mp.Queue()
        const full = new mp.JoinableQueue({ maxSize: 1 })
        full.putSync('last')
        const waiting = new mp.Value('i')
        const told = new mp.Value('i')
        for (const what of ['get', 'get', 'put', 'put'])
          t.start(async () => {
            waiting.add(1)
            try {
              if (what === 'get') form === 'sync' ? empty.getSync() : await empty.get()
              else form === 'sync' ? full.putSync('more') : await full.put('more')
            } catch (error: any) {
              if (error instanceof mp.ShutDownError && error.code === 'ERR_MP_SHUT_DOWN') told.add(1)
            }
          })
        if (immediate)
          t.start(async () => {
            waiting.add(1)
            if (form === 'sync' ? full.joinSync() : await full.join()) told.add(1)
          })
        await t.until(() => waiting.value === (immediate ? 5 : 4), 'all that wait')
        await t.settle()
        // Twice in a row: the second must not undo the news of the first.
        for (const queue of [empty, full]) {
          queue.shutdown()
          queue.shutdown({ immediate })
        }
        await t.joinAll()
        t.assert.equal(told.value, immediate ? 5 : 4)
        t.assert.equal(full.qsize(), immediate ? 0 : 1)
        for (const call of [
          () => full.put(1),
          () => full.putSync(1),
          () => full.tryPut(1),
          () => full.putManySync([1]),
        ])
          t.assert.equal((await t.errorOf(call))?.code, 'ERR_MP_SHUT_DOWN')
        if (!immediate) t.assert.equal(form === 'sync' ? full.getSync() : await full.get(), 'last')
        for (const call of [() => full.get(), () => full.getSync(), () => full.tryGet(), () => full.getManySync()])
          t.assert.equal((await t.errorOf(call))?.code, 'ERR_MP_SHUT_DOWN')
      }
    }))

  it('maxSize is exact with several producers; each consumer gets each message once', () =>
    run(async (mp, t, form) => {
      const queue = new mp.Queue<number>({ maxSize: 3 })
      const over = new mp.Value('i')
      const got = new mp.SharedArray('i', 400)
      for (let p = 0; p < 4; p++)
        t.start(async () => {
          for (let i = 0; i < 100; i++) {
            if (form === 'sync') queue.putSync(p * 100 + i)
            else await queue.put(p * 100 + i)
            if (queue.qsize() > 3) over.add(1)
          }
        })
      for (let c = 0; c < 2; c++)
        t.start(async () => {
          const last = [-1, -1, -1, -1]
          for (;;) {
            const n = form === 'sync' ? queue.getSync() : await queue.get()
            if (n < 0) return
            Atomics.add(got, n, 1)
            const p = Math.floor(n / 100)
            if (n <= last[p]!) throw new Error('out of order')
            last[p] = n
          }
        })
      await t.until(() => got.every((n) => n === 1), 'all messages')
      for (let c = 0; c < 2; c++) queue.putSync(-1)
      await t.joinAll()
      t.assert.equal(over.value, 0)
      t.assert.equal(queue.empty(), true)
    }))
})

describe('options and errors', () => {
  it('wrong options throw, naming the argument', async () => {
    expect(() => new mp.Queue({ maxSize: -1 })).toThrow(code('ERR_OUT_OF_RANGE'))
    expect(() => new mp.Queue({ maxSize: 1.5 })).toThrow(/maxSize/)
    expect(() => new mp.Queue({ maxSize: '1' as any })).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => new mp.Queue({ capacity: -1 })).toThrow(/capacity/)
    expect(() => new mp.Queue({ name: 1 as any })).toThrow(TypeError)
    expect(() => new mp.Queue(1 as any)).toThrow(TypeError)
    const queue = new mp.JoinableQueue()
    const signal = new AbortController().signal
    for (const call of [
      () => queue.getSync({ signal } as any),
      () => queue.putSync(1, { signal } as any),
      () => queue.putManySync([1], { signal } as any),
      () => queue.getManySync(1, { signal } as any),
      () => queue.joinSync({ signal } as any),
    ])
      expect(call).toThrow(TypeError)
    for (const call of [
      () => queue.get({ timeout: Number.NaN }),
      () => queue.get({ timeout: '1' as any }),
      () => queue.put(1, { signal: 1 as any }),
      () => queue.getMany(0),
      () => queue.putMany(1 as any),
      () => queue.join({ timeout: '1' as any }),
    ]) {
      const promise = call() // never throws synchronously
      await expect(promise).rejects.toThrow(code(expect.stringMatching(/^ERR_(INVALID_ARG_TYPE|OUT_OF_RANGE)$/)))
    }
    expect(() => queue.shutdown({ immediate: 1 as any })).toThrow(TypeError)
    expect(queue.qsize()).toBe(0)
    queue.close()
  })

  it('an aborted wait has taken nothing and put nothing', async () => {
    const queue = new mp.Queue<number>({ maxSize: 1 })
    const reason = new Error('enough')
    const get = new AbortController()
    const getting = queue.get({ signal: get.signal })
    get.abort(reason)
    await expect(getting).rejects.toBe(reason)
    await expect(queue.get({ signal: get.signal })).rejects.toBe(reason)
    queue.putSync(1)
    expect(queue.qsize()).toBe(1)
    const put = new AbortController()
    const putting = queue.put(2, { signal: put.signal })
    const many = queue.putMany([3, 4], { signal: put.signal })
    put.abort(reason)
    await expect(putting).rejects.toBe(reason)
    await expect(many).rejects.toMatchObject({ message: 'enough', count: 0 })
    expect(queue.qsize()).toBe(1)
    expect(queue.getSync()).toBe(1)
    expect(queue.tryGet()).toBeUndefined()
    queue.close()
  })

  it('unawaited calls keep their order, and a Sync call behind them is ERR_MP_BUSY', async () => {
    const queue = new mp.Queue<number>({ maxSize: 2 })
    const puts = [1, 2, 3, 4].map((n) => queue.put(n))
    expect(queue.qsize()).toBe(2)
    expect(() => queue.putSync(5)).toThrow(code('ERR_MP_BUSY'))
    expect(() => queue.putManySync([5])).toThrow(code('ERR_MP_BUSY'))
    expect(queue.tryPut(5)).toBe(false)
    const gets = [1, 2, 3, 4, 5, 6].map(() => queue.get())
    const late = queue.get()
    expect(() => queue.getSync()).toThrow(code('ERR_MP_BUSY'))
    expect(() => queue.getManySync()).toThrow(code('ERR_MP_BUSY'))
    await Promise.all(puts)
    expect(queue.tryGet()).toBeUndefined()
    await queue.putMany([5, 6, 7])
    expect(await Promise.all(gets)).toEqual([1, 2, 3, 4, 5, 6])
    expect(await late).toBe(7)
    queue.close()
  })

  it('values are serialised during the call', async () => {
    const queue = new mp.Queue<any>({ maxSize: 1 })
    const value = { n: 1, bytes: new Uint8Array([1]) }
    const puts = [queue.put(value), queue.put(value), queue.putMany([value, value])]
    value.n = 2
    value.bytes[0] = 2
    for (let i = 0; i < 4; i++) expect(await queue.get()).toEqual({ n: 1, bytes: new Uint8Array([1]) })
    await Promise.all(puts)
    queue.close()
  })

  it('putMany and getMany', async () => {
    const queue = new mp.Queue<any>()
    const mixed = Array.from({ length: 3000 }, (_, i) => (i % 500 === 7 ? new Uint8Array(20_000).fill(i) : { i }))
    queue.putManySync(mixed)
    await queue.putMany(new Set(['a', 'b']))
    expect(queue.qsize()).toBe(3002)
    expect(queue.getManySync(3)).toEqual(mixed.slice(0, 3))
    // Each call takes all that it gives or nothing: so it ends where short messages and others meet.
    expect(await queue.getMany(5)).toEqual(mixed.slice(3, 7))
    expect(await queue.getMany()).toEqual([mixed[7]])
    const rest: unknown[] = []
    while (!queue.empty()) rest.push(...(rest.length % 2 ? await queue.getMany() : queue.getManySync()))
    expect(rest).toEqual([...mixed.slice(8), 'a', 'b'])
    await expect(queue.getMany(1, { timeout: 5 })).rejects.toThrow(mp.QueueEmptyError)
    expect(() => queue.getManySync(1, { timeout: 5 })).toThrow(mp.QueueEmptyError)
    queue.putManySync([])
    await queue.putMany([])
    expect(queue.empty()).toBe(true)
    queue.close()
  })

  it('the count of an error says how many messages were put', async () => {
    const queue = new mp.Queue<any>({ maxSize: 3 })
    const failure = (call: () => void) => {
      try {
        call()
      } catch (error) {
        return error
      }
    }
    expect(failure(() => queue.putManySync([1, 2, 3, 4], { timeout: 5 }))).toMatchObject({
      code: 'ERR_MP_QUEUE_FULL',
      count: 3,
    })
    expect(queue.getManySync()).toEqual([1, 2, 3])
    expect(failure(() => queue.putManySync([1, 2, Symbol('x'), 4]))).toMatchObject({
      code: 'ERR_MP_SERIALIZATION',
      count: 2,
    })
    expect(queue.getManySync()).toEqual([1, 2])
    await expect(queue.putMany([1, 2, 3, 4, 5], { timeout: 20 })).rejects.toMatchObject({ count: 3 })
    await expect(queue.putMany([1], { timeout: 0 })).rejects.toMatchObject({ code: 'ERR_MP_QUEUE_FULL', count: 0 })
    expect(queue.getManySync()).toEqual([1, 2, 3])
    // It has to wait: nothing behind what cannot be sent is put.
    const stopped = queue.putMany([1, 2, 3, 4, Symbol('x'), 6])
    stopped.catch(() => {})
    expect(await queue.getMany()).toEqual([1, 2, 3])
    await expect(stopped).rejects.toMatchObject({ code: 'ERR_MP_SERIALIZATION', count: 4 })
    expect(await queue.getMany()).toEqual([4])
    queue.shutdown()
    expect(failure(() => queue.putManySync([1]))).toMatchObject({ code: 'ERR_MP_SHUT_DOWN', count: 0 })
    queue.close()
  })

  it('user code that uses queues while its value is packed spoils nothing', async () => {
    const [queue, other] = [new mp.Queue<any>(), new mp.Queue<any>()]
    const getter = {
      get x() {
        other.putManySync(['inner', { y: 1 }])
        void other.put('promised')
        return 1
      },
    }
    const array: number[] = []
    Object.defineProperty(array, 0, {
      get: () => {
        other.putSync('of the array')
        return 7
      },
      enumerable: true,
      configurable: true,
    })
    queue.putManySync(['a', 'b', getter, 'c', array, 'd'])
    queue.putSync(array)
    const all = (q: mp.Queue) => {
      const values: unknown[] = []
      while (!q.empty()) values.push(...q.getManySync())
      return values
    }
    expect(all(queue)).toEqual(['a', 'b', { x: 1 }, 'c', [7], 'd', [7]])
    expect(all(other).filter((m) => typeof m === 'string' && m.startsWith('of')).length).toBeGreaterThanOrEqual(2)
    queue.close()
    other.close()
  })

  it('close: calls that wait reject with ClosedError, and later ones', async () => {
    const queue = new mp.JoinableQueue<number>({ maxSize: 1 })
    const get = queue.get()
    const poll = queue.getMany()
    queue.close()
    await expect(get).rejects.toThrow(mp.ClosedError)
    await expect(poll).rejects.toThrow(code('ERR_MP_CLOSED'))
    const full = new mp.JoinableQueue<number>({ maxSize: 1 })
    full.putSync(1)
    const waiting = [full.put(2), full.putMany([3, 4]), full.join()]
    expect(full.closed).toBe(false)
    full.close()
    full.close()
    expect(full.closed).toBe(true)
    for (const promise of waiting) await expect(promise).rejects.toThrow(mp.ClosedError)
    for (const call of [
      () => full.putSync(1),
      () => full.getSync(),
      () => full.tryGet(),
      () => full.tryPut(1),
      () => full.qsize(),
      () => full.empty(),
      () => full.full(),
      () => full.shutdown(),
      () => full.taskDone(),
      () => full.joinSync(),
      () => full.putManySync([1]),
      () => full.getManySync(),
    ])
      expect(call).toThrow(mp.ClosedError)
    await expect(full.join()).rejects.toThrow(mp.ClosedError)
  })

  it('big messages that wait when the queue ends are ended once', async () => {
    const queue = new mp.Queue<Uint8Array>({ maxSize: 1 })
    queue.putSync(new Uint8Array(1))
    const waiting = [
      queue.put(new Uint8Array(100_000)),
      queue.put(new Uint8Array(100_000)),
      queue.putMany([new Uint8Array(50_000)]),
    ]
    queue.shutdown()
    for (const put of waiting) await expect(put).rejects.toThrow(mp.ShutDownError)
    expect(queue.getSync()).toEqual(new Uint8Array(1))
    queue.close()
  })

  it('get({ timeout: 0 }) of a queue that has messages never says that it is empty', async () => {
    const queue = new mp.Queue<number>()
    queue.putManySync(Array.from({ length: 5000 }, (_, i) => i))
    for (let i = 0; i < 5000; i++) {
      if (i % 256 >= 254) for (const end = performance.now() + 1.5; performance.now() < end; );
      expect(await queue.get({ timeout: 0 })).toBe(i)
    }
    queue.close()
  })

  it('for await takes one message a step and ends with the shutdown', async () => {
    const queue = new mp.Queue<number>()
    queue.putManySync([1, 2, 3, 4])
    for await (const n of queue) {
      expect(queue.qsize()).toBe(4 - n)
      if (n === 2) break
    }
    queue.shutdown()
    const rest: number[] = []
    for await (const n of queue) rest.push(n)
    expect(rest).toEqual([3, 4])
    queue.close()
  })

  it('tight loops over a full queue leave timers their turns', async () => {
    const queue = new mp.Queue<number>()
    let fired = 0
    const timer = setInterval(() => fired++, 0)
    for (let i = 0; i < 20_000; i++) await queue.put(i)
    expect(fired).toBeGreaterThan(0)
    fired = 0
    queue.shutdown()
    let n = 0
    for await (const m of queue) if (m !== n++) throw new Error('out of order')
    clearInterval(timer)
    expect(fired).toBeGreaterThan(0)
    expect(n).toBe(20_000)
    queue.close()
  })

  it('two objects of one thread on one queue wait independently', async () => {
    const [queue, carrier] = [new mp.Queue<any>(), new mp.Queue<any>()]
    carrier.putSync([queue])
    const [same] = carrier.getSync()
    expect(same).toBeInstanceOf(mp.Queue)
    const first = queue.get()
    await expect(same.get({ timeout: 20 })).rejects.toThrow(mp.QueueEmptyError)
    const put = (text: string) => {
      const child = new mp.Process({ target: (q, text) => q.putSync(text), args: [queue, text] })
      child.start()
      return child
    }
    let child = put('one')
    expect(await first).toBe('one')
    await child.join()
    const second = queue.get()
    same.close()
    child = put('two')
    expect(await second).toBe('two')
    await child.join()
    queue.close()
    carrier.close()
  })

  it('what it is, for people', () => {
    const queue = new mp.JoinableQueue({ maxSize: 5, name: 'jobs' })
    queue.putManySync([1, 2])
    expect(inspect(queue)).toBe("JoinableQueue { name: 'jobs', size: 2, maxSize: 5, unfinished: 2 }")
    expect(JSON.stringify(queue)).toBe('{"type":"JoinableQueue","name":"jobs"}')
    queue.shutdown()
    expect(inspect(queue)).toContain('shutDown: true')
    queue[Symbol.dispose]()
    expect(inspect(queue)).toBe('JoinableQueue { closed: true }')
  })
})
