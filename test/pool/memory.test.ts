// An endless source needs no more memory than a short one, and nothing is kept of what is done.
import * as mp from 'multiproc'
import { expect, it } from 'vitest'
import { collectGarbage, memoryStats } from '../memory-use'
import { until } from '../until'
import { all, KINDS, pool } from './pools'

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
  await until(() => {
    collectGarbage()
    return memoryStats().bytes < 4 << 20
  }, 'memory given back')
})

it.each(KINDS)('arguments and results are not kept: %s', async (kind) => {
  const p = pool(1, kind)
  const executor = new mp.ProcessPoolExecutor({ maxWorkers: 1 })
  const seen: WeakRef<object>[] = []
  const see = (...objects: object[]) => seen.push(...objects.map((object) => new WeakRef(object)))
  const same = (x: object) => x
  const calls = [
    async (objects: object[]) => see(...(await p.map(same, objects))),
    async (objects: object[]) => see(await p.apply(same, [objects])),
    async (objects: object[]) => see(...(await all(p.imap(same, objects)))),
    async (objects: object[]) => see(await executor.submit(same, objects)),
  ]
  const once = async (call: (typeof calls)[0]) => {
    const objects = Array.from({ length: 10 }, () => ({ some: 'thing' }))
    see(...objects)
    await call(objects)
  }
  for (const call of calls) {
    await once(call)
    await until(
      () => {
        collectGarbage()
        return seen.every((object) => !object.deref())
      },
      'all collected',
      () => [`${call}`, seen.filter((object) => object.deref()).length],
    )
  }
  await executor.shutdown()
})
