// Errors on their way home: as they were where that is possible, told of where it is not, and never a hang (CPython:
// _TestPoolWorkerErrors, the deadlock matrix of test_concurrent_futures).
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { errorOf, KINDS, pool as make } from './pools'

class OwnError extends Error {
  readonly detail: { n: number }
  constructor(n: number) {
    super(`own ${n}`)
    this.name = 'OwnError'
    this.detail = { n }
  }
}

// The matrix: who breaks (by an error, an exit, a crash), and when.
const BREAKS = {
  error: () => {
    throw new RangeError('broken')
  },
  exit: () => process.exit(1),
  /** Of processes only: it would end all threads. */
  crash: () => process.kill(process.pid, 'SIGKILL'),
}

describe.each(KINDS)('%s', (kind) => {
  const pool = (options?: Parameters<typeof make>[0]) => make(options, kind)

  it('an error comes back as its class, with its properties and the stack of the worker', async () => {
    const p = pool(1)
    const builtin = await errorOf(() =>
      p.apply(() => {
        throw Object.assign(new RangeError('too far', { cause: 'why' }), { code: 'E_FAR', list: [1] })
      }),
    )
    expect(builtin).toBeInstanceOf(RangeError)
    expect(builtin).toMatchObject({ name: 'RangeError', message: 'too far', code: 'E_FAR', list: [1], cause: 'why' })
    expect(builtin.remoteStack).toMatch(/errors\.test\.ts/)
    const own = await errorOf(() =>
      p.apply(() => {
        throw new OwnError(7)
      }),
    )
    expect(own).toBeInstanceOf(OwnError)
    expect(own.detail).toEqual({ n: 7 })
    expect(own.cause.stack).toMatch(/errors\.test\.ts/)
    expect(own.cause.message).toMatch(/worker 1/)
    const ours = await errorOf(() => p.apply(() => new mp.Queue().tryGet()!.then()))
    expect(ours).toBeInstanceOf(TypeError)
    const late = await errorOf(() => p.apply(() => new mp.Queue().getSync({ timeout: 1 })))
    expect(late).toBeInstanceOf(mp.QueueEmptyError)
  })

  it('what is not an error arrives as it is', async () => {
    const p = pool(1)
    for (const thrown of ['text', 5, null, undefined, { some: 'thing' }])
      expect(
        await p
          .apply(
            (value: unknown) => {
              throw value
            },
            [thrown],
          )
          .then(
            () => 'no',
            (e) => [e],
          ),
      ).toEqual([thrown])
    const abort = await errorOf(() =>
      p.apply(() => {
        AbortSignal.abort().throwIfAborted()
      }),
    )
    expect(abort).toBeInstanceOf(DOMException)
    expect(abort.name).toBe('AbortError')
  })

  it('what cannot be carried or rebuilt comes back as a RemoteError', async () => {
    const p = pool(1)
    const socket = await errorOf(() =>
      p.apply(() => {
        throw Object.assign(new Error('with a WeakMap'), { map: new WeakMap(), code: 'E_MAP' })
      }),
    )
    expect(socket).toBeInstanceOf(mp.RemoteError)
    expect(socket).toMatchObject({
      code: 'ERR_MP_REMOTE',
      message: 'with a WeakMap',
      remoteName: 'Error',
      remoteCode: 'E_MAP',
    })
    expect(socket.remoteStack).toMatch(/errors\.test\.ts/)
    const hostile = await errorOf(() =>
      p.apply(() => {
        throw new Proxy(
          {},
          {
            get() {
              throw new Error('no')
            },
          },
        )
      }),
    )
    expect(hostile).toBeInstanceOf(mp.RemoteError)
    class Unbuildable extends Error {
      [Symbol.for('multiproc.reduce')]() {
        return [
          () => {
            throw new Error('cannot be rebuilt')
          },
          [],
        ]
      }
    }
    const unbuildable = await errorOf(() =>
      p.apply(() => {
        throw new Unbuildable('built badly')
      }),
    )
    expect(unbuildable).toBeInstanceOf(mp.RemoteError)
    expect(unbuildable.message).toBe('built badly')
  })

  it('results that cannot be sent are errors, and cost no worker', async () => {
    const p = pool(1)
    const id = await p.apply(() => mp.taskContext().workerId)
    for (let k = 0; k < 20; k++) {
      let told: unknown
      const error = await errorOf(() => p.apply(() => new WeakMap(), [], { errorCallback: (e) => (told = e) }))
      expect(error).toBeInstanceOf(mp.SerializationError)
      expect(error.message).toMatch(/result/)
      expect(told).toBe(error)
    }
    const mapped = await errorOf(() => p.map((i: number) => (i === 1 ? new WeakMap() : i), [0, 1, 2]))
    expect(mapped).toBeInstanceOf(mp.SerializationError)
    expect(await p.apply(() => mp.taskContext().workerId)).toBe(id)
  })

  for (const [how, brk] of Object.entries(BREAKS)) {
    if (how === 'crash' && kind === 'threads') continue
    const expected = how === 'error' ? RangeError : mp.WorkerLostError
    const check = async (call: (p: mp.Pool) => unknown, wanted: any = expected) => {
      const p = pool(2)
      const good = p.apply((x: number) => x, [5])
      const error = await errorOf(() => call(p))
      // An error in a hook is told as the SerializationError's cause.
      expect(error instanceof wanted || (error instanceof mp.SerializationError && error.cause instanceof wanted)).toBe(
        true,
      )
      expect(await good).toBe(5)
      expect(await p.map((x: number) => x, [1, 2, 3])).toEqual([1, 2, 3])
      p.close()
      expect(await p.join({ timeout: 30_000 })).toBe(true)
    }
    if (how === 'error')
      it('error while a task is serialised', () =>
        check((p) => {
          class Bad {
            [Symbol.for('multiproc.reduce')]() {
              return brk()
            }
          }
          return p.apply((x: unknown) => x, [new Bad()])
        }))
    it(`${how} while a task is rebuilt in the worker`, () =>
      check((p) => {
        class Bad {
          [Symbol.for('multiproc.reduce')]() {
            return [brk, []]
          }
        }
        return p.apply((x: unknown) => x, [new Bad()])
      }))
    it(`${how} while a task runs`, () => check((p) => p.apply(brk as () => void)))
    it(`${how} while a result is serialised`, () =>
      check((p) => {
        class Bad {
          [Symbol.for('multiproc.reduce')]() {
            return brk()
          }
        }
        return p.apply(() => new Bad())
      }))
    if (how === 'error')
      it('error while a result is rebuilt', () =>
        check((p) => {
          class Bad {
            [Symbol.for('multiproc.reduce')]() {
              return [brk, []]
            }
          }
          return p.apply(() => new Bad())
        }))
    it(`${how} with much data, and after close`, () =>
      check((p) => {
        const data = 'a'.repeat(4 << 20)
        const much = (text: string, broken: () => void) => {
          broken()
          return text.length
        }
        return Promise.all(Array.from({ length: 5 }, () => p.apply(much, [data, brk as () => void])))
      }))
  }

  it('what cannot be sent, and shutdown at once (CPython: test_shutdown_deadlock_pickle)', async () => {
    const executor =
      kind === 'threads' ? new mp.ThreadPoolExecutor(2) : new (mp.getContext(kind).ProcessPoolExecutor)(2)
    expect(await executor.submit((x: number) => x, 5)).toBe(5)
    const failed = errorOf(() => executor.submit((x: unknown) => x, new WeakMap()))
    await executor.shutdown({ wait: false })
    expect(await failed).toBeInstanceOf(mp.SerializationError)
    await executor.shutdown()
  })

  it('very many tasks without a turn of the event loop (CPython: gh-105829)', async () => {
    const p = pool(2)
    const long = (text: string) => text.length
    const text = 'x'.repeat(1000)
    const tasks = Array.from({ length: 5000 }, () => p.apply(long, [text]))
    expect((await Promise.all(tasks)).every((length) => length === 1000)).toBe(true)
  })

  it('a worker that breaks after close does not keep join waiting', async () => {
    const p = pool(2)
    const task = p.apply(async () => {
      await new Promise((resolve) => setTimeout(resolve, 50))
      process.exit(1)
    })
    const failed = errorOf(() => task)
    p.close()
    expect(await p.join({ timeout: 30_000 })).toBe(true)
    expect(await failed).toBeInstanceOf(mp.WorkerLostError)
  })
})

it('an error that nobody asks for is an unhandledRejection, one of cancel() or with an errorCallback is not', async () => {
  const { program } = await import('../process/program')
  const ended = await program('../pool/unhandled.mjs')
  expect(ended.lines).toEqual(['callback told', 'unhandled dropped', 'uncaught in a callback'])
  expect(ended.code).toBe(0)
})
