// Memory is given back: a million values made and dropped, in a loop that never returns to the event loop.
import * as mp from 'multiproc'
import { expect, it } from 'vitest'
import { memoryStats, settledMemory } from '../memory-use'

it('a million values, made and dropped, stay flat', { timeout: 120_000 }, () => {
  const before = memoryStats()
  let most = 0
  for (let i = 0; i < 1_000_000; i++) {
    new mp.Value('i', i)
    if (i % 100_000 === 0) most = Math.max(most, memoryStats().blocks)
  }
  // What is garbage and not yet collected may be there, a tenth at the most.
  expect(most - before.blocks).toBeLessThan(100_000)
})

it('large arrays are given back to the system', { timeout: 120_000 }, () => {
  const BYTES = 32 << 20
  for (let i = 0; i < 40; i++) new mp.SharedArray('B', BYTES).fill(i)
  expect(memoryStats().bytes).toBeLessThan(20 * BYTES)
})

it('close() gives back at once', () => {
  const objects = [new mp.Value('i'), new mp.SharedArray('d', 10_000), new mp.Lock(), new mp.RLock(), new mp.Queue()]
  const handles = objects.map((object) => mp.toHandle(object))
  for (const object of objects) object.close()
  for (const handle of handles)
    expect(() => mp.fromHandle(handle)).toThrow(expect.objectContaining({ code: 'ERR_MP_GONE' }))
})

it('what a killed child held is given back', async () => {
  const before = (await settledMemory()).blocks
  const ready = new mp.Value('bool')
  const child = new mp.Process({
    target: (r) => {
      ;(globalThis as any).kept = Array.from({ length: 1000 }, () => new mp.Value('q'))
      r.value = true
      setInterval(() => {}, 1000)
    },
    args: [ready],
  })
  child.start()
  while (!ready.value) await new Promise((resolve) => setImmediate(resolve))
  expect(memoryStats().blocks).toBeGreaterThanOrEqual(before + 990)
  child.kill()
  await child.join()
  while (memoryStats().blocks > before + 5) await new Promise((resolve) => setImmediate(resolve))
})

it('there is no room for what is larger than the root: ENOSPC', () => {
  expect(() => new mp.SharedArray('d', 2 ** 42)).toThrow(
    expect.objectContaining({ code: 'ENOSPC', syscall: 'fallocate' }),
  )
})
