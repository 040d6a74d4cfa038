// The flat form of small values: whatever it carries arrives as structured clone would bring it, and what it does not carry it
// refuses. Random values come from a seed that is in each failure's message.
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { types } from 'node:util'
import { beforeAll, expect, it } from 'vitest'
import { bundleSerialize, fixtures } from '../fixtures/serialize/bundle'

const require = createRequire(import.meta.url)
const { Source, flatValue, containers, foreign } = require(join(fixtures, 'random.cjs'))
const SEED = Number(process.env.MULTIPROC_SEED ?? 1)

let mp: any
let folder: string
let area: any
beforeAll(async () => {
  folder = await bundleSerialize('flat')
  mp = createRequire(import.meta.url)(`${folder}/index.cjs`)
  area = mp.area(new ArrayBuffer(1 << 20))
})
const NO = Symbol('not flat')
const roundTrip = (value: unknown, at = 3): any => {
  const end = mp.writeFlat(value, area, at)
  return end < 0 ? NO : mp.readFlat(area, at, end)
}

/** Nothing that a program can see tells one from the other, except that they are two. `clone`: b lost what structured clone loses. */
function difference(a: any, b: any, clone: boolean, path = 'value'): string | undefined {
  if (typeof a !== 'object' || a === null) return Object.is(a, b) ? undefined : `${path}: ${String(a)}, ${String(b)}`
  if (a === b) return `${path} is the same object`
  const [ofA, ofB] = [a, b].map((o) => Object.getPrototypeOf(o))
  if (ofA !== ofB && !(clone && (ofA === null || Buffer.isBuffer(a)))) return `${path}: the prototype`
  if (types.isDate(a)) return Object.is(a.getTime(), b.getTime()) ? undefined : `${path}: the time`
  if (ArrayBuffer.isView(a) || types.isArrayBuffer(a)) {
    const [x, y] = [a, b].map((o: any) =>
      o.buffer ? Buffer.from(o.buffer, o.byteOffset, o.byteLength) : Buffer.from(o),
    )
    return x!.equals(y!) ? undefined : `${path}: the bytes`
  }
  const [keysA, keysB] = [a, b].map((o) => Reflect.ownKeys(o))
  if (keysA!.length !== keysB!.length) return `${path}: the number of keys`
  for (const [k, key] of keysA!.entries()) {
    if (key !== keysB![k]) return `${path}: the order of keys`
    const [p, q] = [a, b].map((o) => Object.getOwnPropertyDescriptor(o, key)!)
    for (const flag of ['writable', 'enumerable', 'configurable'] as const)
      if (p![flag] !== q![flag]) return `${path}.${String(key)}: ${flag}`
    const inside = difference(p!.value, q!.value, clone, `${path}.${String(key)}`)
    if (inside) return inside
  }
  return undefined
}

it('random values arrive as they were, and as structured clone brings them', () => {
  for (let seed = SEED; seed < SEED + 5000; seed++) {
    const value = flatValue(new Source(seed))
    const copy = roundTrip(value, seed % 8)
    if (copy === NO) throw new Error(`seed ${seed}: refused`)
    const found = difference(value, copy, false) ?? difference(copy, structuredClone(value), true)
    if (found) throw new Error(`seed ${seed}: ${found}`)
  }
})
it.each(Object.keys(foreign))('refuses %s wherever it stands, and encode() carries it', (kind) => {
  for (let seed = SEED; seed < SEED + 50; seed++) {
    const source = new Source(seed)
    const value = { root: flatValue(source) }
    const parent = source.pick(containers(value))
    const inside = foreign[kind]()
    if (Array.isArray(parent)) parent.push(inside)
    else parent.inside = inside
    expect(mp.writeFlat(value, area, 0), `seed ${seed}`).toBe(-1)
    expect(mp.writeFlat(inside, area, 0)).toBe(-1)
    // As with a function beside it, which takes it past every fast path.
    const [alone, beside] = [value, { value, by: Math.max }].map((v) => mp.decodeSync(mp.encode(v, { name: 'value' })))
    expect(alone, `seed ${seed}`).toEqual(beside.value)
  }
})
it('refuses what has user code or hidden state in it, and runs none', () => {
  const ran = () => expect.unreachable()
  const traps = Object.fromEntries(Object.getOwnPropertyNames(Reflect).map((name) => [name, ran]))
  class Mine {
    x = 1
  }
  const refused: unknown[] = [
    new Proxy({}, traps),
    new Proxy([], traps),
    Object.defineProperty({}, 'a', { get: ran, enumerable: true, configurable: true }),
    Object.setPrototypeOf({}, new Proxy({}, traps)),
    new Mine(),
    Object.create({}),
    Object.create(Array.prototype),
    Object.create(Date.prototype),
    Object.create(ArrayBuffer.prototype),
    Object.create(Uint8Array.prototype),
    Object.defineProperty(new Uint8Array(2), 'buffer', { get: ran }),
    Object.defineProperty(new ArrayBuffer(2), 'byteLength', { get: ran }),
    Object.setPrototypeOf([], Object.prototype),
    Object.setPrototypeOf(new Set([1]), null),
    Object.assign(new Date(), { a: 1 }),
    Object.preventExtensions({}),
    new SharedArrayBuffer(8),
    new Uint8Array(new SharedArrayBuffer(8)),
    new (class extends Uint8Array {})(2),
    (function (..._: unknown[]) {
      // biome-ignore lint/complexity/noArguments: this is the point
      return arguments
    })(1),
    'abc'.match(/b/),
    process,
    globalThis,
  ]
  for (const value of refused) for (const v of [value, [value], { value }]) expect(mp.writeFlat(v, area, 0)).toBe(-1)
})
it('an accessor at an index of an array is read, and cannot disturb the message', () => {
  const inner: unknown[] = []
  const array = Object.defineProperty([1, 2], 0, {
    get() {
      inner.push(mp.writeFlat(['other'], area, 0))
      return 'read'
    },
    enumerable: true,
  })
  expect(roundTrip([array], 0)).toEqual([['read', 2]])
  expect(new Set(inner)).toEqual(new Set([-1]))
  const broken = Object.defineProperty([1], 0, { get: () => JSON.parse('{'), enumerable: true })
  expect(() => mp.writeFlat(broken, area, 0)).toThrow(SyntaxError)
  expect(roundTrip([1])).toEqual([1])
})
it('a value fits exactly where its bytes fit', () => {
  const values = [
    1,
    1e6,
    1.5,
    2n,
    2n ** 80n,
    'abc',
    'x'.repeat(40),
    'ж'.repeat(9),
    `${'x'.repeat(39)}é`,
    { a: 1, b: [1, 2] },
  ]
  for (const value of [
    ...values,
    Array(300).fill(0),
    Buffer.from('hey'),
    new ArrayBuffer(3),
    new Date(0),
    { ж: null },
  ]) {
    const end = mp.writeFlat(value, area, 0)
    for (let limit = 0; limit < end + 8; limit++)
      expect(mp.writeFlat(value, area, 0, limit), `limit ${limit} of ${end}`).toBe(limit < end ? -1 : end)
    const exact = mp.area(new ArrayBuffer(end))
    expect(mp.writeFlat(value, exact, 0)).toBe(end)
    expect(mp.readFlat(exact, 0, end)).toEqual(value)
    for (let cut = 0; cut < end; cut++)
      expect(() => mp.readFlat(exact, 0, cut)).toThrow(expect.objectContaining({ code: 'ERR_MP_SERIALIZATION' }))
  }
})
it('64 levels deep, no deeper; deeper values go the other way', () => {
  const nest = (levels: number): unknown =>
    levels === 0 ? 1 : levels % 2 ? [nest(levels - 1)] : { v: nest(levels - 1) }
  expect(roundTrip(nest(64))).toEqual(nest(64))
  expect(roundTrip(nest(65))).toBe(NO)
  expect(mp.decodeSync(mp.encode(nest(65), { name: 'v' }))).toEqual(nest(65))
  // Forged: arrays in arrays without end.
  area.u8[0] = mp.FLAT
  for (let k = 1; k < 10_000; k += 2) area.u8.set([11, 1], k)
  expect(() => mp.readFlat(area, 0, 10_001)).toThrow(/nested too deeply/)
})
it('what is read does not change with the area', () => {
  const value = { s: 'some text of more than a dozen letters', b: Buffer.from('bytes'), n: [1, 2.5] }
  const end = mp.writeFlat(value, area, 0)
  const copy = mp.readFlat(area, 0, end)
  area.u8.fill(0xff)
  expect(copy).toEqual(value)
})
it('an inherited setter is never called, whether a list of keys is new or known', () => {
  const value = JSON.parse('{ "__proto__": { "polluted": 1 }, "a": 1 }')
  for (let k = 0; k < 20; k++) {
    const copy = roundTrip(value)
    expect(copy.polluted).toBeUndefined()
    expect(Object.keys(copy)).toEqual(['__proto__', 'a'])
  }
})
it('works where code must not be made from text', () => {
  const program = `
    const mp = require(${JSON.stringify(`${folder}/index.cjs`)})
    const area = mp.area(new ArrayBuffer(100))
    for (let k = 0; k < 20; k++) console.log(JSON.stringify(mp.readFlat(area, 0, mp.writeFlat({ a: k }, area, 0))))`
  const out = execFileSync(process.execPath, ['--disallow-code-generation-from-strings', '-e', program], {
    encoding: 'utf8',
  })
  expect(out.trim().split('\n')).toEqual(Array.from({ length: 20 }, (_, a) => JSON.stringify({ a })))
})
