// Large arrays: copied once into shared memory, or moved.
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { all, errorOf, type Kind, pool as make, range, until } from './pools'

const MB = 1 << 20

describe.each<Kind>(['processes', 'threads'])('%s', (kind) => {
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
      void new Array(1e5).fill({})
      return (mp as any).default.__memoryStats().bytes < 64 * MB
    }, 'memory given back')
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
