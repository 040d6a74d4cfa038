// Large arrays: copied once into shared memory, or moved.
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { collectGarbage, memoryStats } from '../memory-use'
import { until } from '../until'
import { all, errorOf, KINDS, pool as make, range } from './pools'

const MB = 1 << 20

describe.each(KINDS)('%s', (kind) => {
  it('a large array there and back is a copy', async () => {
    const p = make(2, kind)
    const array = new Float64Array(MB / 8).map((_, i) => i)
    const back = await p.apply(
      (a: Float64Array) => {
        a[0] = -1
        return a
      },
      [array],
    )
    expect(array[0]).toBe(0)
    expect(back[0]).toBe(-1)
    expect(back.length).toBe(array.length)
    expect(back[1000]).toBe(1000)
    expect(p.applySync((a: Float64Array) => a.length, [array])).toBe(array.length)
  })

  it('transfer moves: of an argument by the option, of a result by transfer()', async () => {
    const p = make(1, kind)
    let array: Float64Array = new Float64Array(MB / 8).fill(1)
    for (let round = 2; round < 6; round++) {
      const next = await p.apply(
        (a: Float64Array) => {
          a[0]! += 1
          return mp.transfer(a)
        },
        [array],
        { transfer: [array.buffer as ArrayBuffer] },
      )
      expect(array.length).toBe(0)
      array = next
      expect([array[0], array[1], array.length]).toEqual([round, 1, MB / 8])
    }
    const items = range(4).map((i) => new Uint8Array(MB).fill(i))
    expect(await p.map((a: Uint8Array) => a[5], items, { transfer: items, chunkSize: 2 })).toEqual([0, 1, 2, 3])
    expect(items.every((item) => item.length === 0)).toBe(true)
  })

  it('memory is given back', async () => {
    const p = make(2, kind)
    for (let k = 0; k < 200; k++) await p.apply((a: Uint8Array) => mp.transfer(a), [new Uint8Array(MB)])
    await until(() => {
      collectGarbage()
      return memoryStats().bytes < 64 * MB
    }, 'memory given back')
  })
})

describe.each(KINDS)('of every kind, %s', (kind) => {
  const large = (fill: number) => new Float64Array(MB / 8).fill(fill)

  it('arrays beside other arguments', async () => {
    const p = make(1, kind)
    const back = await p.apply(
      (a: Float64Array, n: number, text: string, b: Uint16Array, none: undefined, big: bigint) => [
        a[3]! + n,
        text,
        b.length,
        b[7],
        none,
        big,
      ],
      [large(1), 5, 'text', new Uint16Array(MB).fill(9), undefined, 7n],
    )
    expect(back).toEqual([6, 'text', MB, 9, undefined, 7n])
    const inside = await p.apply(
      (o: { a: Float64Array }, b: Float64Array) => o.a[0]! + b[0]!,
      [{ a: large(1) }, large(2)],
    )
    expect(inside).toBe(3)
    const words = 'word '.repeat(10_000)
    expect(await p.apply((a: Float64Array, text: string) => [a[0], text], [large(4), words])).toEqual([4, words])
  })

  it('parts of memory, views of all classes, and memory itself', async () => {
    const p = make(1, kind)
    const whole = new Uint8Array(2 * MB).map((_, i) => i)
    const part = whole.subarray(100, 100 + MB)
    const echo = (a: any) => a
    expect(await p.apply((a: Uint8Array) => [a[0], a.length], [part])).toEqual([100, MB])
    expect(await p.apply((a: Uint8Array) => [a[0], a.length], [part], { transfer: [part] })).toEqual([100, MB])
    expect(whole.length).toBe(0)
    for (const Class of [Int8Array, Uint8ClampedArray, Float32Array, BigInt64Array, DataView]) {
      const view = new (Class as typeof Int8Array)(new ArrayBuffer(MB))
      const back: any = await p.apply(echo, [view])
      expect(Object.getPrototypeOf(back)).toBe(Class.prototype)
      expect(back.byteLength).toBe(MB)
    }
    const memory = new ArrayBuffer(MB)
    new Uint8Array(memory)[5] = 77
    const moved = await p.apply((b: ArrayBuffer) => mp.transfer(b), [memory], { transfer: [memory] })
    expect(moved).toBeInstanceOf(ArrayBuffer)
    expect(new Uint8Array(moved)[5]).toBe(77)
    const buffer = await p.apply((b: Buffer) => [Buffer.isBuffer(b), b[0]], [Buffer.alloc(MB, 3)])
    expect(buffer).toEqual([true, 3])
    expect(await p.apply((a: Float64Array) => mp.transfer(a.subarray(8)), [large(6)])).toHaveLength(MB / 8 - 8)
  })

  it('views of one memory stay that', async () => {
    const p = make(1, kind)
    const array = large(1)
    const same = (a: Float64Array, b: Float64Array) => {
      a[1] = 50
      return b[1]
    }
    expect(await p.apply(same, [array, array])).toBe(50)
    expect(await p.apply(same, [array, new Float64Array(array.buffer)])).toBe(50)
    expect(await errorOf(() => p.apply(same, [array, array], { transfer: [array] }))).toBeInstanceOf(
      mp.SerializationError,
    )
    expect(array.length).toBe(MB / 8)
  })

  it('as results one by one, and for all workers', async () => {
    const p = make(2, kind)
    const made = await p.map((n: number) => new Float64Array(100_000).fill(n), range(6), { chunkSize: 3 })
    expect(made.map((a) => [a.length, a[99]])).toEqual(range(6).map((n) => [100_000, n]))
    const seen = await p.broadcast((a: Float64Array, n: number) => a[0]! + n, [large(2), 1])
    expect(seen).toEqual([3, 3])
    const one = await p.apply((a: Float64Array) => a, [large(8)])
    expect(await p.apply((a: Float64Array) => a[5], [one])).toBe(8)
    expect(one[5]).toBe(8)
  })
})

it('an array that was moved into a chunk is there for those who run the rest of it', async () => {
  const p = make(1)
  const items = range(4).map((i) => new Uint8Array(MB).fill(i))
  const results = await all(
    p.imap(
      (a: Uint8Array) => {
        if (a[0] === 1) process.kill(process.pid, 'SIGKILL')
        return a[7]
      },
      items,
      { transfer: items, chunkSize: 4, settle: true },
    ),
  )
  expect(results.map((r) => (r.status === 'fulfilled' ? r.value : 'lost'))).toEqual([0, 'lost', 2, 3])
  const one = new Uint8Array(MB).fill(9)
  const ran = new mp.Value('int32', 0)
  const again = (a: Uint8Array, r: mp.Value) => {
    if (r.add(1) === 0) process.kill(process.pid, 'SIGKILL')
    return a[3]
  }
  expect(await p.apply(again, [one, ran], { transfer: [one], retries: 1 })).toBe(9)
  expect(await errorOf(() => p.apply((a: unknown) => a, [1], { transfer: 5 as any }))).toBeInstanceOf(TypeError)
})
