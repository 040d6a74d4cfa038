// SharedList in one process: an Array's behaviour, and what is beyond it.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { collectGarbage, memoryStats, settledMemory } from '../memory-use'
import { seeded } from '../sync/fuzz'
import { until } from '../until'

const code = (c: string) => expect.objectContaining({ code: c })

describe('as an Array', () => {
  it('keeps items in order', () => {
    const list = new mp.SharedList<any>(['a', 1, { x: 1 }])
    expect([list.length, list.get(0), list.get(-1), list.at(5), list.at(-4)]).toEqual([
      3,
      'a',
      { x: 1 },
      undefined,
      undefined,
    ])
    expect(list.set(0, 'b').set(-1, null)).toBe(list)
    expect([...list]).toEqual(['b', 1, null])
    expect([list.push('c'), list.push('d', 'e'), list.push()]).toEqual([4, 6, 6])
    expect([list.pop(), list.shift(), list.length]).toEqual(['e', 'b', 4])
    expect([...list.entries()]).toEqual([
      [0, 1],
      [1, null],
      [2, 'c'],
      [3, 'd'],
    ])
    expect([...list.keys()]).toEqual([0, 1, 2, 3])
    const seen: unknown[] = []
    list.forEach((value, index, l) => {
      seen.push([value, index, l === list])
    })
    expect(seen[2]).toEqual(['c', 2, true])
    list.clear()
    expect([list.length, list.pop(), list.shift(), list.copy()]).toEqual([0, undefined, undefined, []])
    list.close()
  })

  it('refuses what is no index, and no item', () => {
    const list = new mp.SharedList([1, 2])
    for (const index of [2, -3, 2 ** 31 - 1]) {
      expect(list.get(index)).toBe(undefined)
      expect(() => list.set(index, 1)).toThrow(code('ERR_OUT_OF_RANGE'))
      expect(() => list.set(index, new Map([[1, new mp.Value('i')]]) as any)).toThrow(code('ERR_OUT_OF_RANGE'))
      expect(list.has(index)).toBe(false)
      expect(list.delete(index)).toBe(false)
    }
    for (const index of [1.5, NaN, 2 ** 31]) expect(() => list.get(index)).toThrow(code('ERR_OUT_OF_RANGE'))
    for (const index of ['0', null, undefined])
      expect(() => list.get(index as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => new mp.SharedList(5 as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => list.push(Symbol('s') as any)).toThrow(mp.SerializationError)
    expect(() => list.splice(0, 1, Symbol('s') as any)).toThrow(mp.SerializationError)
    expect(list.copy()).toEqual([1, 2])
    list.close()
  })

  it('does at random what an Array does', () => {
    const random = seeded('a list at random')
    const below = (n: number) => Math.floor(random() * n)
    const list = new mp.SharedList<unknown>()
    const array: unknown[] = []
    const make = () =>
      [below(1e9), random(), 'x'.repeat(below(200)), '雪'.repeat(9000), { a: [1] }, undefined][below(6)]
    for (let i = 0; i < 2500; i++) {
      const n = array.length
      const what = below(14)
      if (what < 5 && n < 80) {
        const value = make()
        expect(list.push(value)).toBe(array.push(value))
      } else if (what === 5) expect(list.pop()).toEqual(array.pop())
      else if (what === 6) expect(list.shift()).toEqual(array.shift())
      else if (what === 7) {
        const values = [make(), make()]
        expect(list.unshift(...values)).toBe(array.unshift(...values))
      } else if (what === 8) {
        const [start, count, value] = [below(2 * n + 2) - n - 1, below(6) - 1, make()]
        expect(list.splice(start, count, value)).toEqual(array.splice(start, count, value))
      } else if (what === 9 && n > 0) {
        const [index, value] = [below(n), make()]
        list.set(index, value)
        array[index] = value
      } else if (what === 10) {
        const [start, end] = [below(2 * n + 2) - n - 1, below(2 * n + 2) - n - 1]
        expect(list.slice(start, end)).toEqual(array.slice(start, end))
      } else if (what === 11) {
        list.sort()
        array.sort()
      } else if (what === 12) {
        list.reverse()
        array.reverse()
      } else if (n > 0) {
        const index = below(2 * n) - n
        expect(list.get(index)).toEqual(array.at(index))
      }
      if (i % 500 === 0) expect(list.copy()).toEqual(array)
    }
    expect([...list]).toEqual(array)
    list.close()
  })
})

describe('beyond an Array', () => {
  it('insert(), delete(), update(), indexOf() by equality', () => {
    const list = new mp.SharedList<any>([1, { a: 1 }, 'x'])
    list.insert(1, 'new', 'newer')
    expect(list.copy()).toEqual([1, 'new', 'newer', { a: 1 }, 'x'])
    expect([list.delete(1), list.delete(-1), list.delete(7)]).toEqual([true, true, false])
    expect(list.update(0, (n, i) => n + i + 1)).toBe(2)
    expect(() => list.update(9, (n) => n)).toThrow(code('ERR_OUT_OF_RANGE'))
    expect([list.indexOf({ a: 1 }), list.includes('newer'), list.indexOf('x'), list.includes(-0)]).toEqual([
      2,
      true,
      -1,
      false,
    ])
    expect([list.remove({ a: 1 }), list.remove({ a: 2 }), list.extend([7, 8])]).toEqual([true, false, 4])
    expect(list.splice(1)).toEqual(['newer', 7, 8])
    expect(list.sort((a, b) => b - a).copy()).toEqual([2])
    list.close()
  })

  it('holds shared objects, through everything that moves items', async () => {
    const before = (await settledMemory()).blocks
    const use = () => {
      const list = new mp.SharedList<any>()
      for (let i = 0; i < 5; i++) {
        const value = new mp.Value('i', i)
        list.push({ value, i })
        value.close()
      }
      list.reverse().sort((a, b) => a.i - b.i)
      list.splice(1, 1, 'none')
      for (const item of list) if (item.value) item.value.value += 10
      expect(list.slice().map((item) => item.value?.value)).toEqual([10, undefined, 12, 13, 14])
      const taken = list.pop()
      expect(taken.value.value).toBe(14)
      list.clear()
      list.close()
      taken.value.close()
    }
    use()
    await until(() => {
      collectGarbage()
      return memoryStats().blocks === before
    }, 'all blocks are given back')
  })

  it('is shown, closed, disposed of and handed on as every shared object', () => {
    const list = new mp.SharedList([1, 'a'], { name: 'shown' })
    expect(inspect(list)).toBe(`SharedList "shown" [ 1, 'a' ]`)
    expect(JSON.stringify(list)).toBe('[1,"a"]')
    const same = mp.fromHandle<mp.SharedList>(mp.toHandle(list))
    list.close()
    expect(() => list.length).toThrow(mp.ClosedError)
    expect(inspect(list)).toBe('SharedList "shown" [closed]')
    expect(same.copy()).toEqual([1, 'a'])
    same[Symbol.dispose]()
    expect(() => same.push(1)).toThrow(mp.ClosedError)
  })

  it('gives memory back: a queue of it takes no more than what is in it', async () => {
    const before = await settledMemory()
    const list = new mp.SharedList<unknown>()
    for (let i = 0; i < 50_000; i++) {
      list.push({ i, text: 'some text' })
      if (i >= 100) list.shift()
    }
    expect(list.length).toBe(100)
    expect(memoryStats().bytes - before.bytes).toBeLessThan(200_000)
    for (let i = 0; i < 20_000; i++) list.push(i)
    while (list.length > 0) list.pop()
    expect(memoryStats().bytes - before.bytes).toBeLessThan(200_000)
    list.close()
    expect(memoryStats().blocks).toBeLessThanOrEqual(before.blocks)
  })
})
