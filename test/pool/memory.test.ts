// An endless source needs no more memory than a short one, and nothing is kept of what is done.
import * as mp from 'multiproc'
import { expect, it } from 'vitest'
import { pool, until } from './pools'

it.each(['sync', 'async'])('an endless %s source through imap, with flat memory', async (kind) => {
  const p = pool(2)
  let pulled = 0
  let taken = 0
  let most = 0
  const make = () => {
    pulled++
    most = Math.max(most, pulled - taken)
    return new Uint8Array(10_000).fill(pulled & 255)
  }
  const source =
    kind === 'sync'
      ? (function* () {
          for (;;) yield make()
        })()
      : (async function* () {
          for (;;) yield make()
        })()
  for await (const first of p.imap((bytes: Uint8Array) => bytes[0], source)) {
    expect(first).toBe(++taken & 255)
    if (taken === 5000) break
  }
  expect(most).toBeLessThan(64)
  await until(() => (mp as any).default.__memoryStats().bytes < 4 << 20, 'memory given back')
})

it('arguments and results are not kept', async () => {
  const p = pool(1)
  let collected = 0
  const registry = new FinalizationRegistry(() => collected++)
  await (async () => {
    const objects = Array.from({ length: 10 }, () => ({ some: 'thing' }))
    for (const object of objects) registry.register(object, undefined)
    const back = await p.map((x: object) => x, objects)
    for (const object of back) registry.register(object, undefined)
  })()
  await until(() => {
    ;(globalThis as any).gc?.()
    void new Array(1e5).fill({})
    return collected >= 18 || !(globalThis as any).gc
  }, 'all collected')
})
