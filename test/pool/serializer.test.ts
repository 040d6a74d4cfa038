// setSerializer() in the tasks of pools.
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { all, errorOf, KINDS, pool, range } from './pools'

/** JSON with a mark, so that one sees what went through it. */
function useMarked(): void {
  const mark = (_: string, value: unknown) => (typeof value === 'number' ? value + 1000 : value)
  mp.setSerializer({
    serialize(value) {
      if (value === 'refused') throw new RangeError('not this')
      return Buffer.from(JSON.stringify(value, mark) ?? 'null')
    },
    deserialize: (bytes) => JSON.parse(Buffer.from(bytes).toString()),
  })
}
afterEach(() => mp.setSerializer(null))

describe.each(KINDS)('%s', (kind) => {
  it('arguments, items and results are written by it; functions and errors are not', async () => {
    const p = pool({ processes: 2, initializer: useMarked }, kind)
    useMarked()
    expect(await p.apply((a: number, b: number) => a + b, [1, 2])).toBe(1 + 2 + 3000)
    expect(await p.map((x: number) => x, range(20))).toEqual(range(20).map((x) => x + 2000))
    expect(await all(p.imap((x: number) => x, range(5), { chunkSize: 2 }))).toEqual(range(5).map((x) => x + 2000))
    expect(p.mapSync((x: number) => x, range(3))).toEqual([2000, 2001, 2002])
    expect((await p.apply((n: number) => 'x'.repeat(n - 1000), [300_000])).length).toBe(300_000)
    const error = await errorOf(() =>
      p.apply(() => {
        throw new RangeError('no', { cause: 5 })
      }),
    )
    expect(error).toBeInstanceOf(RangeError)
    expect(error.cause).toBe(5)
  })

  it('what it throws is the error of the task', async () => {
    const p = pool({ processes: 1, initializer: useMarked }, kind)
    expect(await p.apply(() => 'refused').catch((error) => error)).toBeInstanceOf(RangeError)
    useMarked()
    const results = await all(p.imap((x: string) => x, ['a', 'refused', 'b'], { settle: true }))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await errorOf(() => p.apply((x: string) => x, ['fine']))).toBeUndefined()
    mp.setSerializer({ serialize: () => 'wrong' as any, deserialize: () => 0 })
    expect(await errorOf(() => p.apply((x: string) => x, ['fine']))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })

  it('a worker without one says so', async () => {
    const p = pool(1, kind)
    await p.apply(() => 1)
    useMarked()
    expect(await errorOf(() => p.apply((x: number) => x, [1]))).toBeInstanceOf(mp.SerializationError)
    mp.setSerializer(null)
    expect(await p.apply((x: number) => x, [1])).toBe(1)
  })
})
