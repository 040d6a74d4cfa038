// A SharedArray is the TypedArray of its type, on a buffer of its own.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'

const typed = [
  ['b', Int8Array],
  ['int8', Int8Array],
  ['B', Uint8Array],
  ['c', Uint8Array],
  ['uint8', Uint8Array],
  ['bool', Uint8Array],
  ['h', Int16Array],
  ['H', Uint16Array],
  ['i', Int32Array],
  ['I', Uint32Array],
  ['u', Uint32Array],
  ['l', BigInt64Array],
  ['q', BigInt64Array],
  ['L', BigUint64Array],
  ['Q', BigUint64Array],
  ['f', Float32Array],
  ['d', Float64Array],
] as const

describe.each([
  ['SharedArray', mp.SharedArray as any],
  ['RawArray', mp.RawArray as any],
])('%s', (name, Class) => {
  it.each(typed)('of %s is a TypedArray', (type, Typed) => {
    const a = new Class(type, 5)
    expect(a).toBeInstanceOf(Typed)
    expect(a).toBeInstanceOf(Class)
    expect(Object.prototype.toString.call(a)).toBe(`[object ${Typed.name}]`)
    expect(a.length).toBe(5)
    expect(a.byteOffset).toBe(0)
    expect(a.buffer).toBeInstanceOf(ArrayBuffer)
    expect(a.buffer.byteLength).toBe(5 * Typed.BYTES_PER_ELEMENT)
    expect([...a].every((x) => Number(x) === 0)).toBe(true)
    expect(new Class(type, 0).length).toBe(0)
    a.close()
  })

  it('is an instance of its own class only', () => {
    const other: any = name === 'SharedArray' ? mp.RawArray : mp.SharedArray
    const a = new Class('d', 3)
    expect(a instanceof other).toBe(false)
    for (const foreign of [new Float64Array(3), a.subarray(), null, 3, {}]) expect(foreign instanceof Class).toBe(false)
    class Mine extends Class {}
    expect(() => new (Mine as any)('d', 3)).toThrow(TypeError)
    expect(() => Class('d', 3)).toThrow(TypeError)
  })

  it('takes its elements from any iterable', () => {
    function* three() {
      yield* [1, 2, 3]
    }
    for (const type of ['i', 'd', 'c'])
      for (const init of [[1, 2, 3], three(), new Set([1, 2, 3]), new Uint8Array([1, 2, 3]), new Class('h', [1, 2, 3])])
        expect([...new Class(type, init)]).toEqual([1, 2, 3])
    expect([...new Class('q', [1n, -1n])]).toEqual([1n, -1n])
    expect([...new Class('bool', [true, false])]).toEqual([1, 0])
    expect(Buffer.from(new Class('c', Buffer.from('hello'))).toString()).toBe('hello')
    expect(new Class('i', []).length).toBe(0)
  })

  it('checks every element of an initialiser', () => {
    const cases: [string, unknown, string, string][] = [
      ['B', [1, 256], 'ERR_OUT_OF_RANGE', 'init[1]'],
      ['B', new Int16Array([1, -1]), 'ERR_OUT_OF_RANGE', 'init[1]'],
      ['i', [1, 2.5], 'ERR_OUT_OF_RANGE', 'init[1]'],
      ['f', [1e39], 'ERR_OUT_OF_RANGE', 'init[0]'],
      ['i', ['1'], 'ERR_INVALID_ARG_TYPE', 'init[0]'],
      ['q', [1], 'ERR_INVALID_ARG_TYPE', 'init[0]'],
      ['d', [1n], 'ERR_INVALID_ARG_TYPE', 'init[0]'],
      ['bool', [1], 'ERR_INVALID_ARG_TYPE', 'init[0]'],
      ['bool', new Uint8Array([2]), 'ERR_INVALID_ARG_TYPE', 'init[0]'],
      ['i', Object.assign([1], { 2: 3 }), 'ERR_INVALID_ARG_TYPE', 'init[1]'],
      ['i', 'abc', 'ERR_INVALID_ARG_TYPE', 'init'],
      ['i', undefined, 'ERR_INVALID_ARG_TYPE', 'init'],
      ['i', {}, 'ERR_INVALID_ARG_TYPE', 'init'],
      ['i', 5n, 'ERR_INVALID_ARG_TYPE', 'init'],
      ['i', -1, 'ERR_OUT_OF_RANGE', 'init'],
      ['i', 1.5, 'ERR_OUT_OF_RANGE', 'init'],
      ['x', 3, 'ERR_INVALID_ARG_VALUE', 'type'],
    ]
    for (const [type, init, code, argument] of cases)
      expect(() => new Class(type, init)).toThrow(
        expect.objectContaining({ code, message: expect.stringContaining(`argument "${argument}"`) }),
      )
  })

  it('passes on what the iterator throws', () => {
    function* broken() {
      yield 1
      throw new Error('mine')
    }
    expect(() => new Class('i', broken())).toThrow('mine')
  })

  it('wraps stores as TypedArrays do', () => {
    const a = new Class('B', 1)
    a[0] = 257
    expect(a[0]).toBe(1)
  })

  it('gives plain unshared arrays from map, slice, filter, toSorted, toReversed and with', () => {
    const a = new Class('d', [3, 1, 2])
    const results = [
      a.map((x: number) => x),
      a.slice(),
      a.filter(() => true),
      a.toSorted(),
      a.toReversed(),
      a.with(0, 9),
    ]
    for (const result of results) {
      expect(Object.getPrototypeOf(result)).toBe(Float64Array.prototype)
      expect(result.buffer).not.toBe(a.buffer)
      result[0] = 100
    }
    expect(new a.constructor(2)).toEqual(new Float64Array(2))
    expect([...a]).toEqual([3, 1, 2])
  })

  it('gives plain views of the same memory from subarray', () => {
    const a = new Class('i', [1, 2, 3, 4])
    const part = a.subarray(1, 3)
    expect(Object.getPrototypeOf(part)).toBe(Int32Array.prototype)
    expect(part.buffer).toBe(a.buffer)
    part[0] = 20
    expect([...a]).toEqual([1, 20, 3, 4])
  })

  it('works in place and with Atomics, set, fill, sort, copyWithin', () => {
    const a = new Class('i', [3, 1, 2])
    a.sort()
    a.set([9], 2)
    expect(Atomics.add(a, 0, 5)).toBe(1)
    expect([...a]).toEqual([6, 2, 9])
    a.fill(7).copyWithin(0, 1)
    expect([...a]).toEqual([7, 7, 7])
  })

  it('detaches its buffer when it is closed', () => {
    const a = new Class('i', 3)
    const part = a.subarray(1)
    a.close()
    a.close()
    expect(a.length).toBe(0)
    expect(part.length).toBe(0)
    expect(a.buffer.byteLength).toBe(0)
    const b = new Class('i', 3)
    b[Symbol.dispose]()
    expect(b.length).toBe(0)
  })

  it('shows its type, name and elements', () => {
    const a = new Class('d', [1, 2], { name: 'samples' })
    expect(inspect(a)).toBe(`${name}<float64> "samples"(2) [ 1, 2 ]`)
    expect(inspect({ a: { b: { c: new Class('i', 1) } } })).toContain(`[${name}<int32>]`)
    a.close()
    expect(inspect(a)).toBe(`${name}<float64> "samples" [closed]`)
    expect(Object.keys(new Class('i', 2))).toEqual(['0', '1'])
  })
})

it('is exported as Array too', () => {
  expect(mp.Array).toBe(mp.SharedArray)
})

it('of structs gives live views', () => {
  const Point = mp.struct({ x: 'd', n: 'B' })
  const a = new mp.SharedArray(Point, [{ x: 1, n: 2 }, { x: 3 }])
  expect(a).toBeInstanceOf(mp.SharedArray)
  expect(a.length).toBe(2)
  expect(a.byteLength).toBe(32)
  expect(a.at(0)!.n).toBe(2)
  expect(a.at(-1)!.x).toBe(3)
  expect(a.at(2)).toBeUndefined()
  expect(a.at(-3)).toBeUndefined()
  a.at(1)!.n = 9
  expect(Array.from(a, ({ n }) => n)).toEqual([2, 9])
  a.set(0, { x: 5, n: 6 })
  expect(JSON.stringify(a)).toBe('[{"x":5,"n":6},{"x":3,"n":9}]')
  expect(() => a.set(2, { x: 1, n: 1 })).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
  expect(() => a.set(0, { x: 7, n: 256 })).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
  expect(a.at(0)!.x).toBe(5)
  expect(inspect(new mp.SharedArray(mp.struct({ x: 'i' }), 1))).toBe(
    'SharedArray<struct { x: int32 }>(1) [ StructView { x: 0 } ]',
  )
  expect(new mp.RawArray(Point, 0).length).toBe(0)
  expect(() => new mp.SharedArray(Point, [{ x: 1 }, { x: '2' as never }])).toThrow(
    expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE', message: expect.stringContaining('"init[1].x"') }),
  )
  const view = a.at(0)!
  a.close()
  expect(() => view.x).toThrow(mp.ClosedError)
  expect(() => {
    view.x = 1
  }).toThrow(mp.ClosedError)
})
