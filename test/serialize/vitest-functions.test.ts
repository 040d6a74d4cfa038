// Functions that are written in a vitest file: vite has rewritten their imports.
import { createRequire } from 'node:module'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bundleSerialize, fixtures } from '../fixtures/serialize/bundle'
import { chunk } from '../fixtures/serialize/lib.mjs'

let child: { call(fn: (...args: any[]) => unknown, args?: unknown[]): Promise<any>; close(): void }
const factor = 3
class Local {
  #x = factor
  get() {
    return this.#x
  }
}
const topLevel = (x: number): number => x * factor

beforeAll(async () => {
  process.env.MP_SERIALIZE = await bundleSerialize('vitest')
  child = await createRequire(import.meta.url)(path.join(fixtures, 'harness.cjs')).open()
})
afterAll(() => child.close())

it('closures, classes and top-level functions', async () => {
  const k = 4
  expect(await child.call((x: number) => x + k + factor, [1])).toBe(8)
  expect(await child.call(topLevel, [2])).toBe(6)
  expect(await child.call(() => new Local().get())).toBe(3)
})
it('imports', async () => {
  expect(await child.call(() => [path.basename('/a/b'), chunk([1, 2, 3], 2).length])).toEqual(['b', 2])
  expect(await child.call(async () => typeof (await import('node:os')).cpus)).toBe('function')
  expect(await child.call(() => import.meta.url.split('/').pop())).toBe('vitest-functions.test.ts')
})
it('stack traces name this file', async () => {
  expect(await child.call(() => new Error('x').stack!.split('\n')[1])).toMatch(/vitest-functions\.test\.ts:36:\d+/)
})
