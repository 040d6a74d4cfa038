// struct(): layout, live views, and assignments that change all or nothing.
import { spawnSync } from 'node:child_process'
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'

const Inner = mp.struct({ a: 'int8', b: 'int64', on: 'bool' })
const All = mp.struct({
  flag: 'bool',
  x: 'float64',
  tag: mp.bytes(5),
  inner: Inner,
  grid: mp.array('int32', 9),
  pair: mp.array(Inner, 2),
  f: 'f',
  u: 'u',
  h: 'h',
  q: 'Q',
  c: 'c',
})

describe('layout', () => {
  it('aligns and pads as C does', () => {
    const S = mp.struct({ a: 'b', b: 'd', c: 'h', d: 'i', e: 'b' })
    expect(S.offsets).toEqual({ a: 0, b: 8, c: 16, d: 20, e: 24 })
    expect([S.size, S.alignment]).toEqual([32, 8])
    expect(mp.struct({ a: 'b', b: mp.bytes(3), c: 'h' }).size).toBe(6)
    expect(mp.struct({ a: 'b', s: S }).offsets.s).toBe(8)
    expect(mp.struct({ a: 'b', g: mp.array('h', 3) }).size).toBe(8)
  })

  const ctypes = `
from ctypes import *
class Inner(Structure): _fields_ = [('a', c_int8), ('b', c_int64), ('on', c_bool)]
class All(Structure): _fields_ = [('flag', c_bool), ('x', c_double), ('tag', c_char * 5), ('inner', Inner), ('grid', c_int32 * 9),
  ('pair', Inner * 2), ('f', c_float), ('u', c_uint32), ('h', c_int16), ('q', c_uint64), ('c', c_char)]
print([sizeof(All), *[getattr(All, n).offset for n, _ in All._fields_]])`
  const python = spawnSync('python3', ['-c', ctypes], { encoding: 'utf8' })
  it.skipIf(python.status !== 0)('is that of ctypes', () => {
    expect([All.size, ...Object.values(All.offsets)]).toEqual(JSON.parse(python.stdout))
  })

  it.each([
    [{}, 'ERR_INVALID_ARG_VALUE'],
    [null, 'ERR_INVALID_ARG_TYPE'],
    [['i'], 'ERR_INVALID_ARG_TYPE'],
    [{ x: 'nope' }, 'ERR_INVALID_ARG_VALUE'],
    [{ x: 5 }, 'ERR_INVALID_ARG_TYPE'],
    [{ 1: 'i' }, 'ERR_INVALID_ARG_VALUE'],
    [{ 'a b': 'i' }, 'ERR_INVALID_ARG_VALUE'],
    [{ '': 'i' }, 'ERR_INVALID_ARG_VALUE'],
    [{ ['__proto__']: 'i' }, 'ERR_INVALID_ARG_VALUE'],
    [{ constructor: 'i' }, 'ERR_INVALID_ARG_VALUE'],
    [{ toJSON: 'i' }, 'ERR_INVALID_ARG_VALUE'],
  ])('refuses the definition %j', (definition, code) => {
    expect(() => mp.struct(definition as never)).toThrow(expect.objectContaining({ name: 'TypeError', code }))
  })
  it('checks the lengths of arrays and bytes', () => {
    for (const length of [0, -1, 1.5, Number.NaN, 2 ** 40]) {
      expect(() => mp.array('i', length)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
      expect(() => mp.bytes(length)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    }
    expect(() => mp.array('i', '3' as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    expect(() => mp.array(mp.bytes(3) as never, 3)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  })
})

describe('a live view', () => {
  const full = () => ({
    flag: true,
    x: 1.5,
    tag: Buffer.from('abc'),
    inner: { a: -1, b: 2n ** 40n, on: true },
    grid: [1, 2, 3],
    pair: [{ a: 1, b: 2n, on: false }],
    f: 0.5,
    u: 0x1f600,
    h: -2,
    q: 2n ** 63n,
    c: 65,
  })
  const plain = {
    ...full(),
    tag: [97, 98, 99, 0, 0],
    grid: [1, 2, 3, 0, 0, 0, 0, 0, 0],
    pair: [
      { a: 1, b: 2n, on: false },
      { a: 0, b: 0n, on: false },
    ],
  }

  it.each([
    ['Value', mp.Value],
    ['RawValue', mp.RawValue],
  ])('of a %s reads and writes every kind of field', (_, Class) => {
    const v = new (Class as typeof mp.Value)(All, full())
    expect((v.value as any).toJSON()).toEqual(plain)
    const s = v.value
    expect(v.value).toBe(s)
    s.flag = false
    s.x = -0
    s.f = 0.25
    s.u = 2 ** 32 - 1
    s.h = 7
    s.q = 1n
    s.c = 66
    s.inner.b -= 1n
    s.grid[8] = 42
    s.pair.at(1)!.on = true
    s.tag = new Uint8Array([9])
    expect([s.flag, s.x, s.f, s.u, s.h, s.q, s.c]).toEqual([false, -0, 0.25, 2 ** 32 - 1, 7, 1n, 66])
    expect([s.inner.b, s.grid[8], s.pair.at(1)!.on, [...s.tag]]).toEqual([2n ** 40n - 1n, 42, true, [9, 0, 0, 0, 0]])
    v.close()
  })

  it('gives live arrays, the same each time', () => {
    const s = new mp.Value(All).value
    for (const part of ['tag', 'grid', 'pair', 'inner'] as const) expect(s[part]).toBe(s[part])
    expect(s.grid).toBeInstanceOf(Int32Array)
    expect(s.tag).toBeInstanceOf(Uint8Array)
    expect(s.pair.length).toBe(2)
    s.grid = [5] as never
    expect([...s.grid]).toEqual([5, 0, 0, 0, 0, 0, 0, 0, 0])
  })

  it('has own enumerable fields', () => {
    const Point = mp.struct({ x: 'i', y: 'i' })
    const s = new mp.Value(Point, { x: 1, y: 2 }).value
    expect(Object.keys(s)).toEqual(['x', 'y'])
    expect({ ...s }).toEqual({ x: 1, y: 2 })
    expect(s).toEqual({ x: 1, y: 2 })
    expect(JSON.stringify(s)).toBe('{"x":1,"y":2}')
    expect(structuredClone({ ...s })).toEqual({ x: 1, y: 2 })
    expect(inspect(s)).toBe('StructView { x: 1, y: 2 }')
    expect(() => {
      ;(s as any).z = 1
    }).not.toThrow(mp.ClosedError)
  })

  it('refuses stores that do not fit, and stays as it was', () => {
    const s: any = new mp.Value(All, full()).value
    const wrong: [string, unknown, string][] = [
      ['flag', 1, 'ERR_INVALID_ARG_TYPE'],
      ['h', 40000, 'ERR_OUT_OF_RANGE'],
      ['q', 1, 'ERR_INVALID_ARG_TYPE'],
      ['x', '1', 'ERR_INVALID_ARG_TYPE'],
      ['tag', new Uint8Array(6), 'ERR_OUT_OF_RANGE'],
      ['tag', 'abc', 'ERR_INVALID_ARG_TYPE'],
      ['grid', new Array(10).fill(0), 'ERR_OUT_OF_RANGE'],
      ['grid', [7, 7, '7'], 'ERR_INVALID_ARG_TYPE'],
      ['inner', { a: 5, b: 5n, on: 5 }, 'ERR_INVALID_ARG_TYPE'],
      ['inner', { a: 5, b: 5n }, 'ERR_INVALID_ARG_TYPE'],
      ['inner', { a: 5, b: 5n, on: true, more: 1 }, 'ERR_INVALID_ARG_TYPE'],
      ['inner', null, 'ERR_INVALID_ARG_TYPE'],
      [
        'pair',
        [
          { a: 5, b: 5n, on: true },
          { a: 1000, b: 1n, on: true },
        ],
        'ERR_OUT_OF_RANGE',
      ],
    ]
    for (const [field, value, code] of wrong)
      expect(() => {
        s[field] = value
      }).toThrow(expect.objectContaining({ code, message: expect.stringContaining(`"${field}`) }))
    expect(s.toJSON()).toEqual(plain)
  })
})

describe('a whole struct', () => {
  const Point = mp.struct({ x: 'B', y: 'B' })
  it('is replaced by a plain object or by another view', () => {
    const v = new mp.Value(Point, { x: 1, y: 2 })
    v.value = { x: 3, y: 4 }
    expect({ ...v.value }).toEqual({ x: 3, y: 4 })
    v.value = new mp.Value(Point, { x: 5, y: 6 }).value
    expect({ ...v.value }).toEqual({ x: 5, y: 6 })
    v.value = new mp.Value(mp.struct({ y: 'i', x: 'i' }), { x: 7, y: 8 }).value
    expect({ ...v.value }).toEqual({ x: 7, y: 8 })
  })
  it('changes all or nothing', () => {
    const v = new mp.Value(Point, { x: 1, y: 2 })
    const thrower = {
      x: 9,
      get y(): number {
        throw new Error('mine')
      },
    }
    for (const wrong of [
      { x: 9, y: 256 },
      { x: 9 },
      { x: 9, y: 9, z: 9 },
      { x: 9, y: '9' },
      thrower,
      null,
      undefined,
      5,
      [9, 9],
    ])
      expect(() => {
        v.value = wrong as never
      }).toThrow()
    expect({ ...v.value }).toEqual({ x: 1, y: 2 })
  })
  it('starts as zeros where the initial object says nothing', () => {
    expect({ ...new mp.Value(Point, { y: 2 }).value }).toEqual({ x: 0, y: 2 })
    expect(() => new mp.Value(Point, { z: 1 } as never)).toThrow(
      expect.objectContaining({ message: expect.stringContaining('"initial.z"') }),
    )
    expect(() => new mp.Value(Point, 5 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  })
  it('cannot be used after close()', () => {
    const v = new mp.Value(mp.struct({ x: 'i', inner: Point, g: mp.array('i', 2) }))
    const view = v.value
    const { inner } = view
    v.close()
    expect(() => v.value).toThrow(mp.ClosedError)
    for (const use of [
      () => view.x,
      () => view.inner,
      () => view.g,
      () => inner.x,
      () => (inner.x = 1),
      () => (view.g = [] as never),
    ])
      expect(use).toThrow(mp.ClosedError)
    expect(inspect(v)).toContain('[closed]')
    expect(inspect(view)).toBe('StructView [closed]')
  })
})
