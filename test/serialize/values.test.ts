// Values arrive as what they were: kinds, classes, identity, holes; and received bytes that are no message are refused.
import assert from 'node:assert'
import { createRequire } from 'node:module'
import path from 'node:path'
import vm from 'node:vm'
import { beforeAll, expect, it } from 'vitest'
import { bundleSerialize } from '../fixtures/serialize/bundle'

let mp: any
const roundTrip = (value: unknown): any => mp.decodeSync(mp.encode(value, { name: 'value' }))

beforeAll(async () => {
  mp = createRequire(import.meta.url)(`${await bundleSerialize('values')}/index.cjs`)
})

const sparse: any = Object.assign([], { 0: 1, 2: 3 })
sparse.name = 'own'
const typed = Object.assign(new TypeError('x', { cause: new Error('c') }), { code: 'E' })
const kinds: Record<string, unknown> = {
  undefined: undefined,
  null: null,
  negativeZero: -0,
  bigint: 10n,
  nan: Number.NaN,
  date: new Date(3),
  regexp: /a/gi,
  map: new Map([[{ a: 1 }, 2]]),
  set: new Set([1]),
  typedArray: new Float64Array([1, 2]),
  view: new DataView(new ArrayBuffer(4)),
  buffer: Buffer.from('hey'),
  arrayBuffer: new ArrayBuffer(8),
  string: Object('s'),
  number: Object(1),
  sparse,
  registered: Symbol.for('q'),
  wellKnown: Symbol.iterator,
  url: new URL('http://a/b'),
  error: typed,
  domException: new DOMException('stopped', 'AbortError'),
  errorOfErrors: new Error('x', { cause: new AggregateError([typed, 2], 'y', { cause: new Map([[1, typed]]) }) }),
  aggregate: new AggregateError([new Error('1')], 'all'),
  nullPrototype: Object.assign(Object.create(null), { x: 1 }),
  frozen: Object.freeze({ a: 1 }),
  resizable: new (ArrayBuffer as any)(4, { maxByteLength: 16 }),
  emptyBuffer: Buffer.alloc(0),
  partialView: new DataView(new ArrayBuffer(8), 2, 3),
  bigint64: new BigInt64Array([1n, -1n]),
  lastIndex: Object.assign(/a/g, { lastIndex: 3 }),
  match: 'abc'.match(/(?<letter>b)/),
  verySparse: Object.assign([], { 4000000000: 1 }),
  extraOnArray: Object.assign([1], { extra: new URL('http://a/b') }),
  loneSurrogate: ['\ud800', 'x'.repeat(100_000)],
  protoKey: JSON.parse('{ "__proto__": { "a": 1 } }'),
  symbolKey: { [Symbol.for('k')]: 1 },
}
it.each(Object.keys(kinds))('%s, alone and beside a function', (name) => {
  assert.deepStrictEqual(roundTrip(kinds[name]), kinds[name])
  assert.deepStrictEqual(roundTrip({ value: kinds[name], by: Math.max }).value, kinds[name])
})
it('keeps cycles, shared identity and depth', () => {
  const buffer = new ArrayBuffer(8)
  const cycle: any = { views: [new Uint8Array(buffer, 0, 4), new Uint8Array(buffer, 2)], list: [] }
  cycle.list.push(cycle, cycle.list)
  for (const copy of [roundTrip(cycle), roundTrip({ cycle, by: Math.max }).cycle]) {
    expect(copy.list[0]).toBe(copy)
    expect(copy.list[1]).toBe(copy.list)
    expect(copy.views[0].buffer).toBe(copy.views[1].buffer)
  }
  let deep: any = null
  for (let k = 0; k < 50_000; k++) deep = { deep }
  roundTrip([deep])
})
it('keeps classes, accessors, errors with their stack', () => {
  class Mine extends Map<number, number> {
    extra = 1
  }
  const copy = roundTrip(new Mine([[1, 2]]))
  expect(copy).toBeInstanceOf(Mine)
  expect([copy.get(1), copy.extra]).toEqual([2, 1])
  expect(
    Object.getOwnPropertyDescriptor(
      roundTrip({
        get a() {
          return 5
        },
      }),
      'a',
    )!.get!(),
  ).toBe(5)
  expect(roundTrip(typed).stack).toBe(typed.stack)
  expect(1 in roundTrip(sparse)).toBe(false)
})
it('keeps the identity of keys, causes and members; class instances keep their class wherever they are', () => {
  class Point {
    constructor(readonly x: number) {}
  }
  class Refused extends Error {
    override name = 'Refused'
    at = new Point(3)
  }
  class Row extends Array<number> {}
  const point = new Point(1)
  const value = {
    map: new Map([[point, new Set([point])]]),
    error: new Error('x', { cause: point }),
    sub: new Refused('no'),
    row: Row.from([1, 2]),
    list: Object.assign([1], { extra: point }),
    date: Object.assign(new Date(5), { zone: point }),
    nothing: Object.assign(Object.create(null), { point }),
  }
  const copy = roundTrip(value)
  const [[key, set]] = copy.map
  for (const same of [[...set][0], copy.error.cause, copy.list.extra, copy.date.zone, copy.nothing.point])
    expect(same).toBe(key)
  expect(key).toBeInstanceOf(Point)
  expect(copy.sub).toBeInstanceOf(Refused)
  expect([copy.sub.name, copy.sub.at.x, copy.sub.at instanceof Point]).toEqual(['Refused', 3, true])
  expect([copy.row instanceof Row, copy.row.length, copy.date.getTime()]).toEqual([true, 2, 5])
})
it('objects that only have the prototype of a kind are refused, not changed', () => {
  for (const kind of [Date, Map, Set, RegExp, Array, ArrayBuffer])
    expect(() => roundTrip([Object.create(kind.prototype)])).toThrow(`is an instance of ${kind.name}, whose state`)
})
it('asks no Proxy anything, and names the place of one', () => {
  const traps = Object.fromEntries(
    Object.getOwnPropertyNames(Reflect).map((name) => [name, () => expect.unreachable()]),
  )
  for (const value of [[new Proxy({}, traps)], new Map([[1, new Proxy([], traps)]])])
    expect(() => roundTrip(value)).toThrow(/is a Proxy/)
})
it('never carries the pool around a Buffer, nor aliases what it reads', () => {
  const bytes = mp.encode({ b: Buffer.from('abc'), by: Math.max }, { name: 'value' })
  expect(bytes.byteLength).toBeLessThan(500)
  const plain = mp.encode(new Uint8Array([1, 2, 3]), { name: 'value' })
  const copy = mp.decodeSync(plain)
  plain.fill(0)
  expect([...copy]).toEqual([1, 2, 3])
})
it('values of another realm', () => {
  const copy = roundTrip(vm.runInNewContext('({ list: [1], map: new Map([[1, 2]]), max: Math.max })'))
  expect(copy).toEqual({ list: [1], map: new Map([[1, 2]]), max: Math.max })
})
it('shared objects, shared buffers and exports of the package travel by their codecs', () => {
  class Lock {
    constructor(readonly offset: number) {}
  }
  Object.defineProperty(Lock.prototype, mp.SHARED, { value: 'lock' })
  const memory = new ArrayBuffer(64)
  mp.registerExports({ Lock })
  mp.registerShared('lock', {
    write: (l: Lock, hold: (n: number) => void) => (hold(l.offset), l.offset),
    read: (n: number) => new Lock(n),
  })
  mp.setSharedBuffers({
    is: (b: ArrayBuffer) => b === memory,
    write: (_: ArrayBuffer, hold: (n: number) => void) => (hold(9), 'm'),
    read: () => memory,
  })
  const held: number[] = []
  const copy = mp.decodeSync(
    mp.encode([new Lock(5), Lock, new Float64Array(memory, 8, 2), new Uint8Array(memory)], {
      name: 'v',
      hold: (n: number) => held.push(n),
    }),
  )
  expect(copy[0]).toBeInstanceOf(Lock)
  expect(copy[0].offset).toBe(5)
  expect(copy[1]).toBe(Lock)
  expect([copy[2].buffer === memory, copy[2].byteOffset, copy[2].length, copy[3].buffer === memory]).toEqual([
    true,
    8,
    2,
    true,
  ])
  expect(held.sort()).toEqual([5, 9])
})
it('a class that extends an export of the package', () => {
  class Base {
    kind = 'base'
  }
  mp.registerExports({ Base })
  class Mine extends Base {
    run() {
      return this.kind
    }
  }
  const [C, instance] = roundTrip([Mine, new Mine()])
  expect([C, instance.run(), instance instanceof Base]).toEqual([Mine, 'base', true])
})
it('a class by value has one identity in a process, and is itself at home', () => {
  class Point {
    x = 1
  }
  expect(roundTrip(new Point())).toBeInstanceOf(Point)
})
it('a function that arrived travels on: strict, with its variables, imports and import.meta', async () => {
  const k = 2
  const first = await mp.decode(
    mp.encode(
      function (this: unknown, x: number) {
        return [this === undefined, x * k, path.basename('/a/b'), import.meta.url.split('/').pop()]
      },
      { name: 'target' },
    ),
  )
  const second = await mp.decode(mp.encode(first, { name: 'target' }))
  const third = await mp.decode(mp.encode(second, { name: 'target' }))
  const run = third
  expect(run(3)).toEqual([true, 6, 'b', 'values.test.ts'])
})
it('refuses bytes that are no message', async () => {
  const good = mp.encode({ typed, list: [new Uint8Array(5)] }, { name: 'value' })
  for (const bad of [new Uint8Array(0), Uint8Array.of(9, 9), good.subarray(0, 10)]) {
    expect(() => mp.decodeSync(bad)).toThrow(expect.objectContaining({ code: 'ERR_MP_SERIALIZATION' }))
    await expect(mp.decode(bad)).rejects.toMatchObject({ code: 'ERR_MP_SERIALIZATION' })
  }
  for (let k = 1; k < good.length; k++) {
    const copy = Uint8Array.from(good)
    copy[k] = copy[k]! ^ (1 << (k % 8))
    try {
      mp.decodeSync(copy)
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_MP_SERIALIZATION' })
    }
  }
})
