// A Value holds one scalar of any type: what it is initialised with, what `.value` gives and what stores are refused.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'

const scalars = [
  { names: ['int8', 'b'], min: -128, max: 127, some: -5 },
  { names: ['uint8', 'B', 'c'], min: 0, max: 255, some: 120 },
  { names: ['int16', 'h'], min: -32768, max: 32767, some: -232 },
  { names: ['uint16', 'H'], min: 0, max: 65535, some: 234 },
  { names: ['int32', 'i'], min: -(2 ** 31), max: 2 ** 31 - 1, some: 4343 },
  { names: ['uint32', 'I', 'u'], min: 0, max: 2 ** 32 - 1, some: 0x1f600 },
  { names: ['int64', 'q', 'l'], min: -(2n ** 63n), max: 2n ** 63n - 1n, some: 2n ** 33n },
  { names: ['uint64', 'Q', 'L'], min: 0n, max: 2n ** 64n - 1n, some: 2n ** 34n },
] as const
const allNames = [...scalars.flatMap(({ names }) => names), 'float32', 'f', 'float64', 'd', 'bool'] as const

describe.each([
  ['Value', mp.Value as any],
  ['RawValue', mp.RawValue as any],
])('%s', (name, Class) => {
  it.each(allNames)('of %s is zero at first', (type) => {
    const value = new Class(type)
    expect(value.value).toBe(type === 'bool' ? false : /64$|^[qQlL]$/.test(type) && type !== 'float64' ? 0n : 0)
    value.close()
  })

  for (const { names, min, max, some } of scalars)
    it.each(names)('of %s holds its whole range and refuses what is outside', (type) => {
      const value = new Class(type, some)
      expect(value.value).toBe(some)
      for (const inside of [min, max]) {
        value.value = inside
        expect(value.value).toBe(inside)
        expect(new Class(type, inside).value).toBe(inside)
      }
      const one: any = typeof min === 'bigint' ? 1n : 1
      for (const outside of [(min as any) - one, (max as any) + one]) {
        const error = {
          name: 'RangeError',
          code: 'ERR_OUT_OF_RANGE',
          message: expect.stringContaining(`${min} to ${max}`),
        }
        expect(() => new Class(type, outside)).toThrow(expect.objectContaining(error))
        expect(() => {
          value.value = outside
        }).toThrow(expect.objectContaining(error))
        expect(() => value.store(outside)).toThrow(expect.objectContaining(error))
        expect(() => value.exchange(outside)).toThrow(expect.objectContaining(error))
        expect(() => value.compareExchange(max, outside)).toThrow(expect.objectContaining(error))
        expect(() => value.compareExchange(outside, max)).toThrow(expect.objectContaining(error))
      }
      expect(value.value).toBe(max)
      const foreign = typeof min === 'bigint' ? 1 : 1n
      for (const wrong of [foreign, '1', null, true, {}]) {
        const error = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
        expect(() => new Class(type, wrong)).toThrow(expect.objectContaining(error))
        expect(() => {
          value.value = wrong
        }).toThrow(expect.objectContaining(error))
        expect(() => value.add(wrong)).toThrow(expect.objectContaining(error))
      }
      expect(value.value).toBe(max)
      value.close()
    })

  it('of an integer takes whole numbers only', () => {
    const value = new Class('i', 3)
    for (const wrong of [1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => {
        value.value = wrong
      }).toThrow(RangeError)
      expect(() => value.add(wrong)).toThrow(RangeError)
    }
    expect(value.value).toBe(3)
  })

  it('of float64 holds every number', () => {
    const value = new Class('d')
    for (const x of [3.625, -4.25, -0, Number.MAX_VALUE, Number.MIN_VALUE, Number.POSITIVE_INFINITY, Number.NaN]) {
      value.value = x
      expect(value.value).toBe(x)
      expect(new Class('d', x).load()).toBe(x)
    }
    expect(() => new Class('d', 1n)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  })

  it('of float32 rounds, and refuses what would become infinite', () => {
    const value = new Class('f', 0.1)
    expect(value.value).toBe(Math.fround(0.1))
    expect(() => {
      value.value = 1e39
    }).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    expect(value.value).toBe(Math.fround(0.1))
    value.value = Number.NEGATIVE_INFINITY
    expect(value.value).toBe(Number.NEGATIVE_INFINITY)
  })

  it('of bool takes booleans only', () => {
    const value = new Class('bool', true)
    expect(value.value).toBe(true)
    value.value = false
    expect(value.value).toBe(false)
    for (const wrong of [1, 0, 'true', null, 1n]) {
      expect(() => new Class('bool', wrong)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
      expect(() => {
        value.value = wrong
      }).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
    }
    expect(value.value).toBe(false)
  })

  it('names what it allows when the type is wrong', () => {
    expect(() => new Class('int')).toThrow(
      expect.objectContaining({
        name: 'TypeError',
        code: 'ERR_INVALID_ARG_VALUE',
        message: expect.stringMatching(
          /argument "type" must be 'int8', .*'float64'.* codes c b B .* struct\(\); received 'int'/,
        ),
      }),
    )
    for (const wrong of [undefined, 5, {}, Float64Array])
      expect(() => new Class(wrong)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  })

  it('is an instance of its class, made with new, and cannot be extended', () => {
    expect(new Class('d')).toBeInstanceOf(Class)
    expect(new Class('i').constructor).toBe(Class)
    expect(() => Class('i')).toThrow(TypeError)
    class Mine extends Class {}
    expect(() => new (Mine as any)('i')).toThrow(TypeError)
  })

  it('shows its type, name and value', () => {
    expect(inspect(new Class('i', 7))).toBe(`${name}<int32> { value: 7 }`)
    const named =
      name === 'Value' ? new Class('q', 7n, { lock: false, name: 'hits' }) : new Class('q', 7n, { name: 'hits' })
    expect(inspect(named)).toBe(`${name}<int64> "hits" { value: 7n }`)
    named.close()
    expect(inspect(named)).toBe(`${name}<int64> "hits" [closed]`)
    expect(JSON.stringify({ v: new Class('i', 7) })).toBe('{"v":7}')
  })

  it('throws ClosedError after close(), which may be called again', () => {
    for (const type of ['i', 'q', 'd', 'f', 'bool']) {
      const value = new Class(type)
      value.close()
      value.close()
      const uses = [
        () => value.value,
        () => value.load(),
        () => value.store(type === 'bool' ? true : type === 'q' ? 1n : 1),
        () => value.exchange(type === 'bool' ? true : type === 'q' ? 1n : 1),
        () => value.compareExchange(...(type === 'bool' ? [true, true] : type === 'q' ? [1n, 1n] : [1, 1])),
      ]
      if (type !== 'bool') uses.push(() => value.add(type === 'q' ? 1n : 1))
      for (const use of uses) expect(use).toThrow(expect.objectContaining({ code: 'ERR_MP_CLOSED' }))
    }
    const disposed = new Class('i')
    disposed[Symbol.dispose]()
    expect(() => disposed.value).toThrow(mp.ClosedError)
  })

  it('has no properties of its own, as what walks it would walk the memory around it', () => {
    for (const type of ['i', 'd', mp.struct({ x: 'i' })]) expect(Reflect.ownKeys(new Class(type))).toEqual([])
  })

  it('does not share its memory with the next one', () => {
    const values = Array.from({ length: 1000 }, (_, i) => new Class('b', (i % 200) - 100))
    for (const [i, value] of values.entries()) expect(value.value).toBe((i % 200) - 100)
    for (const value of values) value.close()
  })
})
