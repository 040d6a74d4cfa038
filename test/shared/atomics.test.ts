// The lock-free operations of a Value: they return the value from before, and integers wrap.
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'

describe('integers', () => {
  it('return the old value', () => {
    const v = new mp.Value('i', 5)
    expect(v.add(3)).toBe(5)
    expect(v.sub(2)).toBe(8)
    expect(v.and(0b100)).toBe(6)
    expect(v.or(0b011)).toBe(4)
    expect(v.xor(0b001)).toBe(7)
    expect(v.exchange(40)).toBe(6)
    expect(v.compareExchange(41, 42)).toBe(40)
    expect(v.load()).toBe(40)
    expect(v.compareExchange(40, 42)).toBe(40)
    expect(v.load()).toBe(42)
    expect(v.store(1)).toBe(1)
    expect(v.value).toBe(1)
  })
  it.each([
    ['b', 127, -128],
    ['B', 255, 0],
    ['h', 32767, -32768],
    ['H', 65535, 0],
    ['i', 2 ** 31 - 1, -(2 ** 31)],
    ['I', 2 ** 32 - 1, 0],
  ] as const)('of %s wrap in add and sub', (type, max, min) => {
    const v = new mp.Value(type, max)
    expect(v.add(1)).toBe(max)
    expect(v.value).toBe(min)
    expect(v.sub(1)).toBe(min)
    expect(v.value).toBe(max)
    v.add(2 ** 40)
    expect(v.value).toBe(max)
  })
  it.each([
    ['q', 2n ** 63n - 1n, -(2n ** 63n)],
    ['Q', 2n ** 64n - 1n, 0n],
  ] as const)('of %s wrap too, as bigint', (type, max, min) => {
    const v = new mp.Value(type, max)
    expect(v.add(1n)).toBe(max)
    expect(v.value).toBe(min)
    expect(v.sub(1n)).toBe(min)
    expect(v.and(0xffn)).toBe(max)
    expect(v.or(0x100n)).toBe(0xffn)
    expect(v.xor(1n)).toBe(0x1ffn)
    expect(v.exchange(9n)).toBe(0x1fen)
    expect(v.compareExchange(9n, 10n)).toBe(9n)
    expect(v.value).toBe(10n)
    expect(() => v.add(1 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  })
})

describe.each(['d', 'f'] as const)('floats (%s)', (type) => {
  it('add, subtract, exchange', () => {
    const v = new mp.Value(type, 1.5)
    expect(v.add(0.25)).toBe(1.5)
    expect(v.sub(1)).toBe(1.75)
    expect(v.exchange(-4.25)).toBe(0.75)
    expect(v.store(2)).toBe(2)
    expect(v.load()).toBe(2)
    expect(() => v.add('1' as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  })
  it('have no bitwise operations', () => {
    const v = new mp.Value(type)
    for (const name of ['and', 'or', 'xor']) expect(name in v).toBe(false)
  })
  it('compare by value: 0 is -0 and NaN is NaN', () => {
    const v = new mp.Value(type, 1.5)
    expect(v.compareExchange(1, 2)).toBe(1.5)
    expect(v.value).toBe(1.5)
    expect(v.compareExchange(1.5, -0)).toBe(1.5)
    expect(v.compareExchange(0, Number.NaN)).toBe(-0)
    expect(v.compareExchange(Number.NaN, 7)).toBe(Number.NaN)
    expect(v.value).toBe(7)
  })
  it('go through NaN and infinity', () => {
    const v = new mp.Value(type, Number.NaN)
    expect(v.add(1)).toBe(Number.NaN)
    expect(v.exchange(Number.POSITIVE_INFINITY)).toBe(Number.NaN)
    expect(v.sub(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY)
    expect(v.value).toBe(Number.NaN)
  })
})

it('a float32 that is looked for is rounded as one that is stored', () => {
  const v = new mp.Value('f', 0.1)
  expect(v.compareExchange(0.1, 0.2)).toBe(Math.fround(0.1))
  expect(v.value).toBe(Math.fround(0.2))
})

it('booleans have exchange, compareExchange, load and store only', () => {
  const v = new mp.Value('bool', false)
  expect(v.exchange(true)).toBe(false)
  expect(v.compareExchange(false, true)).toBe(true)
  expect(v.compareExchange(true, false)).toBe(true)
  expect(v.load()).toBe(false)
  expect(v.store(true)).toBe(true)
  for (const name of ['add', 'sub', 'and', 'or', 'xor']) expect(name in v).toBe(false)
})

it('a RawValue has them all', () => {
  const v = new mp.RawValue('i', 1)
  expect(v.add(1)).toBe(1)
  expect(v.compareExchange(2, 3)).toBe(2)
  expect(v.value).toBe(3)
})
