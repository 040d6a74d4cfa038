// Calls that nobody follows to their end: they hang neither the pool nor the program, and keep nothing.
import { getEventListeners } from 'node:events'
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'
import { program } from '../process/program'
import { all, errorOf, KINDS, pool, range, withWorkers } from './pools'

const throwing = (x: number) => {
  if (x === 2) throw new Error('two')
  return x
}
function* endless(): Generator<number> {
  for (let i = 0; ; i++) yield i
}
/** A loop that an error has left: without return(), as the language has it. */
async function leave(items: AsyncIterable<unknown>): Promise<void> {
  await expect(all(items)).rejects.toThrow('two')
}

describe.each(KINDS)('%s', (kind) => {
  it('an imap that an error has left ends with its pool', async () => {
    for (const items of [range(100), endless()]) {
      const p = pool(2, kind)
      await leave(p.imap(throwing, items))
      p.close()
      expect(await p.join()).toBe(true)
    }
  })
  it('a blocking one, too', async () => {
    const p = pool(2, kind)
    await withWorkers(p, kind)
    expect(() => [...p.imapSync(throwing, endless())]).toThrow('two')
    p.close()
    expect(p.joinSync()).toBe(true)
  })
  it('who joins the pool lets an imap go on that nobody reads; its results are kept', async () => {
    const p = pool(2, kind)
    const results = p.imap((x: number) => x, range(100))
    p.close()
    await p.join()
    expect(await all(results)).toEqual(range(100))
  })
})

it('who reads while the pool is joined gets all', async () => {
  const p = pool(2)
  const results = p.imap((x: number) => x, range(200), { chunkSize: 2 })
  p.close()
  const joined = p.join()
  const [first, ...rest] = await all(results)
  expect([first, ...rest]).toEqual(range(200))
  expect(await joined).toBe(true)
})

it('an executor shuts down, whatever was read', async () => {
  const executor = new mp.ProcessPoolExecutor(2)
  await leave(executor.map(throwing, range(100)))
  executor.map((x: number) => x, range(100))
  executor.map((x: number) => x, endless(), { bufferSize: 4 }).return()
  await executor.shutdown()
})

it('a program ends though an imap of it was never read to its end', async () => {
  const { code, lines } = await program('../pool/left.mjs')
  expect(lines).toEqual(['two', 'last'])
  expect(code).toBe(0)
})

it('a signal that outlives its tasks keeps none of them', async () => {
  const p = pool(1)
  const { signal } = new AbortController()
  await p.apply((x: number) => x, [1], { signal })
  await p.map((x: number) => x, range(3), { signal })
  await p.map((x: number) => x, [], { signal })
  await all(p.imap((x: number) => x, range(3), { signal }))
  await errorOf(() => p.apply(() => Promise.reject(new Error('no')), [], { signal }))
  const task = p.apply(() => 1, [], { signal })
  task.cancel()
  await errorOf(() => task)
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

describe('threads that end before the pool has heard of them, while this thread is blocked', () => {
  it('terminated at once', () => {
    const p = pool(1, 'threads')
    p.terminate()
    expect(p.joinSync()).toBe(true)
  })
  it('terminated while a replacement starts', () => {
    const p = pool(1, 'threads')
    expect(() => p.applySync(() => process.exit(1))).toThrow(mp.WorkerLostError)
    p.terminate()
    expect(p.joinSync()).toBe(true)
  })
  it('in the initializer', () => {
    const p = pool({ processes: 1, initializer: () => process.exit(1), crashBudget: 2 }, 'threads')
    expect(() => p.applySync(() => 1)).toThrow(mp.PoolBrokenError)
  })
})
