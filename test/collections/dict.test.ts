// SharedDict in one process: a Map's behaviour, what values it carries, what it refuses.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { collectGarbage, memoryStats, settledMemory } from '../memory-use'
import { seeded } from '../sync/fuzz'
import { until } from '../until'

const code = (c: string) => expect.objectContaining({ code: c })

class Point {
  constructor(
    readonly x: number,
    readonly y: number,
  ) {}
  sum() {
    return this.x + this.y
  }
}

describe('as a Map', () => {
  it('keeps values under keys, in the order in which the keys came', () => {
    const dict = new mp.SharedDict<string, number>()
    expect(dict.size).toBe(0)
    expect(dict.set('b', 1).set('a', 2).set('c', 3)).toBe(dict)
    dict.set('b', 4)
    expect([dict.get('b'), dict.get('a'), dict.get('none')]).toEqual([4, 2, undefined])
    expect([dict.has('c'), dict.has('none'), dict.size]).toEqual([true, false, 3])
    expect([...dict]).toEqual([
      ['b', 4],
      ['a', 2],
      ['c', 3],
    ])
    expect([dict.delete('b'), dict.delete('b')]).toEqual([true, false])
    dict.set('b', 5)
    expect([...dict.keys()]).toEqual(['a', 'c', 'b'])
    expect([...dict.values()]).toEqual([2, 3, 5])
    const seen: unknown[] = []
    dict.forEach(function (this: unknown, value, key, d) {
      seen.push([this, key, value, d === dict])
    }, 'this')
    expect(seen[2]).toEqual(['this', 'b', 5, true])
    dict.clear()
    expect([dict.size, [...dict]]).toEqual([0, []])
    dict.close()
  })

  it('begins with pairs, a Map or an object', () => {
    for (const source of [
      { a: 1, b: [2] },
      new Map<string, unknown>(Object.entries({ a: 1, b: [2] })),
      [
        ['a', 1],
        ['b', [2]],
      ],
    ]) {
      const dict = new mp.SharedDict(source as any, { name: 'begun' })
      expect(dict.copy()).toEqual(
        new Map<string, unknown>([
          ['a', 1],
          ['b', [2]],
        ]),
      )
      expect(dict.name).toBe('begun')
      dict.close()
    }
    for (const source of [1, 'text', [1], [null]])
      expect(() => new mp.SharedDict(source as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => new mp.SharedDict(null, { name: 1 as any })).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => new mp.SharedDict(null, 1 as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
  })

  it('compares keys by value', () => {
    const dict = new mp.SharedDict()
    const keys = [
      '',
      'a',
      'ä',
      '雪',
      'x'.repeat(1000),
      '雪'.repeat(1000),
      0,
      1,
      -1,
      1.5,
      2 ** 40,
      NaN,
      Infinity,
      1n,
      2n ** 80n,
      true,
      false,
      null,
      undefined,
      '1',
      'null',
    ]
    for (const [i, key] of keys.entries()) dict.set(key, i)
    expect(dict.size).toBe(keys.length)
    for (const [i, key] of keys.entries()) expect(dict.get(key)).toBe(i)
    expect(dict.get(-0)).toBe(dict.get(0))
    expect([...dict.keys()]).toEqual(keys)
    expect(Object.is([...dict.set(-0, 1).keys()][6], 0)).toBe(true)
    for (const key of [{}, [], () => {}, Symbol('s'), new Date()])
      for (const call of [() => dict.get(key), () => dict.set(key, 1), () => dict.has(key), () => dict.delete(key)])
        expect(call).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => dict.set('x'.repeat(20_000), 1)).toThrow(code('ERR_OUT_OF_RANGE'))
    dict.close()
  })

  it('does at random what a Map does', () => {
    const random = seeded('a dict at random')
    const below = (n: number) => Math.floor(random() * n)
    const dict = new mp.SharedDict<string, unknown>()
    const map = new Map<string, unknown>()
    const texts = ['', 'short', 'x'.repeat(100), 'long '.repeat(800), '雪'.repeat(9000)]
    for (let i = 0; i < 12_000; i++) {
      const key = `key ${below(i < 6000 ? 400 : 20)}`
      const what = below(10)
      if (what < 5) {
        const value = [
          below(1e9),
          random(),
          texts[below(5)],
          { i, text: texts[below(4)] },
          [i, null],
          new Map([[i, i]]),
        ][below(6)]
        dict.set(key, value)
        map.set(key, value)
      } else if (what < 7) expect(dict.delete(key)).toBe(map.delete(key))
      else expect(dict.get(key)).toEqual(map.get(key))
      if (i % 2000 === 0) expect(dict.copy()).toEqual(map)
    }
    expect([...dict]).toEqual([...map])
    dict.close()
  })
})

describe('values', () => {
  it('are copies of whatever a message carries', () => {
    const dict = new mp.SharedDict()
    const cyclic: any = { name: 'cyclic' }
    cyclic.self = cyclic
    const values = [
      1,
      -0,
      NaN,
      'text',
      '',
      1n,
      2n ** 70n,
      true,
      null,
      undefined,
      new Date(7),
      /a/g,
      new Uint8Array([1, 2]),
      Buffer.from('b'),
      new Float64Array(3),
      [1, [2]],
      { a: { b: 1 } },
      new Map([[1, 2]]),
      new Set([3]),
      new Error('no'),
      new Uint8Array(100_000).fill(7),
      'x'.repeat(50_000),
    ]
    for (const [i, value] of values.entries()) dict.set(i, value)
    for (const [i, value] of values.entries()) expect(dict.get(i)).toEqual(value)
    expect(Object.is(dict.get(1), -0)).toBe(true)
    dict.set('point', new Point(1, 2))
    expect(dict.get('point')).toBeInstanceOf(Point)
    expect(dict.get('point').sum()).toBe(3)
    dict.set('cyclic', cyclic)
    const copy = dict.get('cyclic')
    expect(copy.self).toBe(copy)
    const list = [1]
    dict.set('list', list)
    list.push(2)
    dict.get('list').push(3)
    expect(dict.get('list')).toEqual([1])
    const twice = (n: number) => n * 2
    dict.set('function', twice)
    expect(dict.get('function')(4)).toBe(8)
    expect(() => dict.set('symbol', Symbol('s'))).toThrow(mp.SerializationError)
    expect(dict.has('symbol')).toBe(false)
    dict.close()
  })

  it('that are shared objects stay what they are, and are held', async () => {
    const before = (await settledMemory()).blocks
    const use = () => {
      const dict = new mp.SharedDict()
      const value = new mp.Value('i', 1)
      const inner = new mp.SharedDict({ deep: new mp.Value('i', 5) })
      dict
        .set('value', value)
        .set('inner', inner)
        .set('more', { at: [new mp.Lock()] })
      value.close()
      inner.close()
      dict.get('value').value = 2
      expect(dict.get('value').value).toBe(2)
      dict.get('inner').get('deep').value++
      dict.get('inner').set('new', 1)
      expect([dict.get('inner').get('deep').value, dict.get('inner').size]).toEqual([6, 2])
      expect(dict.get('more').at[0].locked()).toBe(false)
      const found = dict.get('value')
      dict.set('value', 'another')
      expect(found.value).toBe(2) // who has it keeps it
      found.close()
      dict.delete('inner')
      dict.close()
    }
    use()
    await until(() => {
      collectGarbage()
      return memoryStats().blocks === before
    }, 'all blocks are given back')
  })

  it('may use the dictionary while they are written and read', () => {
    const dict = new mp.SharedDict<any, any>({ other: 'untouched' })
    const sly: any[] = [1, 2]
    Object.defineProperty(sly, 1, {
      enumerable: true,
      configurable: true,
      get: () => dict.set('other', 'changed').get('other'),
    })
    dict.set('sly', sly)
    expect(dict.get('sly')).toEqual([1, 'changed'])
    dict.update('sly', (value) => {
      dict.delete('sly')
      dict.set('more', new Map([[1, value]]))
      return value.length
    })
    expect(Object.fromEntries(dict)).toEqual({ other: 'changed', more: new Map([[1, [1, 'changed']]]), sly: 2 })
    dict.close()
  })
})

describe('beyond a Map', () => {
  it('update() reads, changes and writes as one', () => {
    const dict = new mp.SharedDict<string, number>({ n: 1 })
    expect(dict.update('n', (n, key) => (n ?? 0) + key.length)).toBe(2)
    expect(dict.update('new', (n) => n ?? 7)).toBe(7)
    expect(() =>
      dict.update('n', () => {
        throw new Error('no')
      }),
    ).toThrow('no')
    expect(dict.getLock().locked()).toBe(false)
    dict.assign({ n: 5, m: 6 })
    dict.update(new Map([['k', 8]]))
    dict.update([['l', 9]])
    expect(dict.toJSON()).toEqual({ n: 5, new: 7, m: 6, k: 8, l: 9 })
    expect(() => dict.update('n', 1 as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
    expect(() => dict.update('n' as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
    dict.close()
  })

  it('pop() and setDefault()', () => {
    const dict = new mp.SharedDict<string, number | undefined>({ a: 1, u: undefined })
    expect([dict.pop('a'), dict.pop('a'), dict.pop('a', 'none'), dict.pop('u', 9)]).toEqual([
      1,
      undefined,
      'none',
      undefined,
    ])
    expect([dict.setDefault('b', 2), dict.setDefault('b', 3), dict.get('b')]).toEqual([2, 2, 2])
    expect(dict.getMany(['b', 'none', 'b'])).toEqual([2, undefined, 2])
    expect(JSON.stringify(dict)).toBe('{"b":2}')
    dict.close()
  })

  it('who iterates meets what is there all the time, once', () => {
    const dict = new mp.SharedDict<number, number>(Array.from({ length: 200 }, (_, i) => [i, i] as [number, number]))
    const met: number[] = []
    for (const [key] of dict) {
      met.push(key)
      for (let i = 0; i < 20; i++) dict.set(1000 + met.length * 20 + i, i)
      if (key % 2 === 0) dict.delete(key + 1)
    }
    expect(met).toEqual(Array.from({ length: 100 }, (_, i) => 2 * i))
    for (const key of dict.keys()) if (key > 50) dict.clear()
    expect(dict.size).toBe(0)
    dict.close()
  })

  it('is shown, closed and disposed of as every shared object', () => {
    const dict = new mp.SharedDict({ a: 1 }, { name: 'shown' })
    expect(inspect(dict)).toBe(`SharedDict "shown" Map(1) { 'a' => 1 }`)
    const lock = dict.getLock()
    expect(lock).toBe(dict.getLock())
    const iterator = dict.entries()
    dict.close()
    dict.close()
    expect(inspect(dict)).toBe('SharedDict "shown" [closed]')
    for (const call of [
      () => dict.get('a'),
      () => dict.set('a', 1),
      () => dict.size,
      () => dict.getLock(),
      () => iterator.next(),
      () => dict.update('a', (n) => n!),
      () => mp.toHandle(dict),
    ])
      expect(call).toThrow(mp.ClosedError)
    lock.acquireSync().release() // whoever has the lock keeps it
    lock.close()
  })

  it('goes by handle, and is gone with its last holder', () => {
    const dict = new mp.SharedDict({ a: 1 }, { name: 'named' })
    const handle = mp.toHandle(dict)
    const same = mp.fromHandle<mp.SharedDict>(handle)
    expect(same).not.toBe(dict)
    expect(same.name).toBe('named')
    dict.close()
    expect(same.set('b', 2).toJSON()).toEqual({ a: 1, b: 2 })
    same.close()
    expect(() => mp.fromHandle(handle)).toThrow(code('ERR_MP_GONE'))
  })

  it('gives memory back', async () => {
    const before = await settledMemory()
    const dict = new mp.SharedDict<number, unknown>()
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 20_000; i++) dict.set(i, { i, text: 'text' })
      for (let i = 0; i < 50; i++) dict.set(`big ${i}` as any, new Uint8Array(30_000))
      expect(memoryStats().bytes - before.bytes).toBeGreaterThan(2_000_000)
      for (const key of dict.keys()) dict.delete(key)
      expect(memoryStats().bytes - before.bytes).toBeLessThan(500_000)
    }
    for (let i = 0; i < 100_000; i++) dict.set(i % 10, 'x'.repeat(i % 300)) // what is overwritten is used again
    expect(memoryStats().bytes - before.bytes).toBeLessThan(500_000)
    dict.close()
    expect(memoryStats().blocks).toBeLessThanOrEqual(before.blocks)
  })
})
