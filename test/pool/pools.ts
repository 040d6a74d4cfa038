// Pools for tests: ended after each, with nothing left behind.
import * as mp from 'multiproc'
import { afterEach, expect } from 'vitest'

const open: mp.Pool[] = []

export type Kind = 'processes' | 'threads'

export function pool(options?: ConstructorParameters<typeof mp.Pool>[0], kind: Kind = 'processes'): mp.Pool {
  const made = kind === 'processes' ? new mp.Pool(options) : new mp.ThreadPool(options)
  open.push(made)
  return made
}

afterEach(async () => {
  for (const made of open.splice(0)) {
    made.terminate()
    await made.join()
  }
  expect(mp.activeChildren()).toEqual([])
})

export async function errorOf(call: () => unknown): Promise<any> {
  try {
    await call()
  } catch (error) {
    return error
  }
  return undefined
}

/** For facts that no event tells of. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`never came: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
