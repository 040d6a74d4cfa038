// Classes and functions of one's own in a manager (CPython: _TestMyManager, TestManagerExceptions, TestInitializers).
import { execFileSync } from 'node:child_process'
import * as mp from 'multiproc'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
// @ts-expect-error it has no types
import { MathsProxy } from '../fixtures/manager/maths-proxy.mjs'
import { inChild } from './tools'

class OddError extends Error {
  constructor(
    message: string,
    readonly detail: number,
  ) {
    super(message)
    this.name = 'OddError'
  }
}

class Maths {
  count = 0
  #secret = 41
  constructor(start = 0) {
    if (start < 0) throw new RangeError('a negative start')
    this.count = start
  }
  add(a: number, b: number): number {
    this.count++
    return a + b
  }
  async later(n: number): Promise<number> {
    return n + 1
  }
  get secret(): number {
    return this.#secret
  }
  set secret(n: number) {
    this.#secret = n
  }
  *upTo(n: number): Generator<number> {
    for (let i = 0; i < n; i++) yield i
  }
  async *slowly(n: number): AsyncGenerator<number> {
    for (let i = 0; i < n; i++) yield i
  }
  never(): Promise<never> {
    return new Promise(() => {})
  }
  fail(): never {
    throw new OddError('as it should', 7)
  }
  native(): never {
    throw Object.assign(new TypeError('built in'), { code: 'ODD' })
  }
  unsendable(): unknown {
    return new WeakMap()
  }
  _hidden(): number {
    return 1
  }
  child(): Maths {
    return new Maths(100)
  }
  chain(): this {
    return this
  }
}

class Foo {
  f(): string {
    return 'f()'
  }
  g(): never {
    throw new RangeError('g()')
  }
  _h(): string {
    return '_h()'
  }
}

class MyManager extends mp.SyncManager {
  declare Maths: (start?: number) => any
  declare Foo: () => any
  declare Bar: () => any
  declare baz: () => any
  declare shared: (key: string) => any
  declare Own: () => any
}
MyManager.register('Maths', Maths, { resultTypes: { child: 'Maths' } })
MyManager.register('Foo', Foo)
MyManager.register('Bar', Foo, { exposed: ['f', '_h'] })
MyManager.register('baz', function* baz() {
  for (let i = 0; i < 200; i++) yield i * i
})
MyManager.register('shared', (key: string) => {
  const all: Map<string, object> = (globalThis as any).all ?? new Map()
  ;(globalThis as any).all = all
  const counter = {
    n: 0,
    inc() {
      this.n++
      return this.n
    },
  }
  if (!all.has(key)) all.set(key, counter)
  return all.get(key)
})
MyManager.register('Own', Maths, { proxyType: MathsProxy })

let m: MyManager
beforeAll(async () => {
  m = new MyManager()
  await m.start()
})
afterAll(async () => {
  await m.shutdown()
})

describe('a class', () => {
  test('methods, async methods, accessors and fields', async () => {
    const maths = m.Maths(5)
    expect(await maths.add(2, 3)).toBe(5)
    expect(await maths.later(1)).toBe(2)
    expect(await maths.count).toBe(6)
    expect(await maths.secret).toBe(41)
    maths.secret = 42
    expect(await maths.secret).toBe(42)
    expect(maths.sync.add(1, 1)).toBe(2)
    expect(maths.sync.count).toBe(7)
    maths.sync.secret += 1
    expect(maths.sync.secret).toBe(43)
    expect(await maths.chain()).toBe(maths)
    expect(await maths).toBe(maths)
  })
  test('generators of both kinds, in both forms', async () => {
    const maths = m.Maths()
    const seen: number[] = []
    for await (const n of await maths.upTo(200)) seen.push(n)
    expect(seen).toEqual(Array.from({ length: 200 }, (_, i) => i))
    expect([...maths.sync.upTo(3)]).toEqual([0, 1, 2])
    const slow: number[] = []
    for await (const n of await maths.slowly(3)) slow.push(n)
    expect(slow).toEqual([0, 1, 2])
    for await (const n of await maths.upTo(1e9)) if (n === 100) break
  })
  test('results of a registered type stay there', async () => {
    const child = await m.Maths().child()
    expect(await child.count).toBe(100)
    expect(await child.add(1, 2)).toBe(3)
    expect(await child.count).toBe(101)
  })
  test('what is exposed and what is not', async () => {
    const foo = m.Foo()
    expect(await foo.f()).toBe('f()')
    await expect(foo.g()).rejects.toThrow(RangeError)
    await expect(foo.callMethod('_h')).rejects.toMatchObject({ code: 'ERR_MP_NOT_EXPOSED' })
    await expect(foo.callMethod('constructor')).rejects.toMatchObject({ code: 'ERR_MP_NOT_EXPOSED' })
    await expect(foo.callMethod('hasOwnProperty', ['x'])).rejects.toMatchObject({ code: 'ERR_MP_NOT_EXPOSED' })
    await expect(foo.callMethod('__defineGetter__', [])).rejects.toMatchObject({ code: 'ERR_MP_NOT_EXPOSED' })
    const bar = m.Bar()
    expect(await bar.f()).toBe('f()')
    expect(await bar._h()).toBe('_h()')
    await expect(bar.callMethod('g')).rejects.toMatchObject({ code: 'ERR_MP_NOT_EXPOSED' })
    expect(bar.g).toBe(undefined)
  })
  test('in a child, with a proxy of one’s own class', async () => {
    const own = m.Own()
    expect(own).toBeInstanceOf(MathsProxy)
    expect(await own.twice(4)).toBe(8)
    await inChild(
      async (p: any, q: any) => {
        if ((await p.twice(5)) !== 10) throw new Error('no')
        if ((await q.add(1, 2)) !== 3 || (await q.count) !== 1) throw new Error('no')
      },
      [own, m.Maths()],
    )
  })
})

describe('a function', () => {
  test('that gives a generator', async () => {
    const seen: number[] = []
    for await (const n of m.baz()) seen.push(n as number)
    expect(seen.length).toBe(200)
    expect(seen[199]).toBe(199 * 199)
  })
  test('that gives an object that is there already', async () => {
    const one = m.shared('a')
    const same = m.shared('a')
    expect(await one.inc()).toBe(1)
    expect(await same.inc()).toBe(2)
    expect(await one.n).toBe(2)
    expect(one.sync.inc()).toBe(3)
    expect(one.sync.n).toBe(3)
  })
})

describe('errors', () => {
  test('keep their class, properties and the stack of there', async () => {
    const error: any = await m
      .Maths()
      .fail()
      .catch((e: unknown) => e)
    expect(error).toBeInstanceOf(OddError)
    expect(error).toMatchObject({ message: 'as it should', detail: 7 })
    expect(error.remoteStack).toMatch(/registered\.test/)
    const native: any = await m
      .Maths()
      .native()
      .catch((e: unknown) => e)
    expect(native).toBeInstanceOf(TypeError)
    expect(native.code).toBe('ODD')
    expect(() => m.Maths().sync.fail()).toThrow(OddError)
  })
  test('what cannot be sent is the caller’s error, in both directions', async () => {
    const d = m.dict()
    await expect(d.set('x', new WeakMap())).rejects.toThrow(mp.SerializationError)
    expect(() => d.sync.set('x', Promise.resolve())).toThrow(mp.SerializationError)
    await expect(m.Maths().unsendable()).rejects.toThrow(mp.SerializationError)
    expect(() => m.Maths().sync.unsendable()).toThrow(mp.SerializationError)
    expect(await d.size).toBe(0)
  })
  test('a constructor that throws makes each call throw', async () => {
    const bad = m.Maths(-1)
    await expect(bad.add(1, 2)).rejects.toThrow(RangeError)
    await expect(bad.add(1, 2)).rejects.toThrow('a negative start')
    expect(() => bad.sync.add(1, 2)).toThrow(RangeError)
    const lost = m.dict(5 as any)
    await expect(lost.get('x')).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })
  test('a set that nobody awaits is an unhandledRejection', () => {
    const program = `
      import * as mp from ${JSON.stringify(new URL('../../dist/index.mjs', import.meta.url).href)}
      const manager = await mp.Manager()
      process.on('unhandledRejection', (error) => console.log(error.name))
      manager.Namespace().x = new WeakMap()
      manager.Value('i', 1).value = 'text'
    `
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
    expect(said).toBe('SerializationError\nTypeError\n')
  })
})

describe('calls', () => {
  test('have a time-out and a signal of their own', async () => {
    const maths = m.Maths()
    await expect(mp.withOptions(maths, { timeout: 20 }).never()).rejects.toThrow(mp.TimeoutError)
    expect(() => mp.withOptions(maths.sync, { timeout: 20 }).never()).toThrow(mp.TimeoutError)
    const abort = new AbortController()
    const never = mp.withOptions(maths, { signal: abort.signal }).never()
    abort.abort(new Error('enough'))
    await expect(never).rejects.toThrow('enough')
    expect(await mp.withOptions(maths, { timeout: 20_000 }).add(1, 2)).toBe(3)
    expect(() => mp.withOptions({}, {})).toThrow(TypeError)
  })
  test('of many in a batch', async () => {
    const d = m.dict<string, number>()
    expect(
      await d.batch((b) => {
        for (let i = 0; i < 300; i++) b.set(`k${i}`, i)
        b.get('k7')
      }),
    ).toEqual([...Array(300).fill(undefined), 7])
    expect(await d.batch().set('x', 1).get('x')).toEqual([undefined, 1])
    expect(d.sync.batch((b: any) => b.get('x'))).toEqual([1])
    expect(d.batch().get('x').get('y').runSync()).toEqual([1, undefined])
    const maths = m.Maths()
    expect(await maths.batch((b: any) => b.add(1, 2).later(2))).toEqual([3, 3])
    const failed: any = await maths.batch((b: any) => b.add(1, 2).fail().add(1, 1)).catch((e: any) => e)
    expect(failed).toBeInstanceOf(OddError)
    expect(failed.batchIndex).toBe(1)
    for (const write of [() => maths.missing.missing(), 'no function'])
      await expect(d.batch(write as any)).rejects.toThrow(TypeError)
    expect(await maths.count).toBe(2)
    const q = m.Queue()
    const got = q.batch((b: any) => b.put(1).get().get())
    await q.put(2)
    expect(await got).toEqual([undefined, 1, 2])
  })
})

describe('the life of a manager', () => {
  test('the initializer runs in the server; what is none is refused', async () => {
    const own = new MyManager({
      initializer: (n: number) => {
        ;(globalThis as any).all = new Map([['init', { n }]])
      },
      initargs: [17],
    })
    await own.start()
    expect(await own.shared('init').n).toBe(17)
    await own.shutdown()
    expect(() => new MyManager({ initializer: 1 as any })).toThrow(TypeError)
    await expect(new MyManager().start(1 as any)).rejects.toThrow(TypeError)
    const failing = new MyManager()
    await expect(
      failing.start(() => {
        throw new OddError('no start', 3)
      }),
    ).rejects.toThrow(OddError)
    await failing.start(
      (n: number) => {
        ;(globalThis as any).all = new Map([['init', { n }]])
      },
      [4],
    )
    expect(await failing.shared('init').n).toBe(4)
    await failing.shutdown()
  })
  test('twice started, not started, shut down', async () => {
    const own = new mp.SyncManager()
    expect(() => own.dict()).toThrow(mp.StateError)
    await own.start()
    await expect(own.start()).rejects.toThrow(mp.StateError)
    const d = own.dict()
    await d.set('a', 1)
    const waiting = expect(own.Queue().get()).rejects.toThrow(mp.EOFError)
    await own.shutdown()
    await waiting
    await expect(d.get('a')).rejects.toThrow(mp.EOFError)
    expect(() => d.sync.get('a')).toThrow(mp.EOFError)
    expect(() => own.dict()).toThrow(mp.StateError)
    await own.shutdown()
    await expect(own.start()).rejects.toThrow(mp.StateError)
  })
  test('with a context, and with BaseManager.with()', async () => {
    const With = mp.BaseManager.with({ Maths })
    const own = new With({ context: mp.getContext('spawn') })
    await own.start()
    expect(await own.Maths(1).add(1, 2)).toBe(3)
    expect((own as any).dict).toBe(undefined)
    await own[Symbol.asyncDispose]()
    const other = await mp.getContext('spawn').Manager()
    expect(await other.list([1]).length).toBe(1)
    await other.shutdown()
  })
  test('wrong arguments', () => {
    expect(() => MyManager.register(1 as any)).toThrow(TypeError)
    expect(() => MyManager.register('x', 1 as any)).toThrow(TypeError)
    expect(() => MyManager.register('start', Maths)).toThrow(TypeError)
    expect(() => MyManager.register('x', Maths, { exposed: 'y' as any })).toThrow(TypeError)
    expect(() => MyManager.register('x', Maths, { proxyType: Maths as any })).toThrow(TypeError)
    expect(() => new mp.SyncManager(1 as any)).toThrow(TypeError)
    expect(() => new mp.SyncManager({ shutdownTimeout: -1 })).toThrow(RangeError)
    expect(() => new mp.BaseProxy(1)).toThrow(TypeError)
  })
})
