// What shared memory is in use, and garbage collections that tests ask for: what is dropped goes with the next one, so a
// test that compares before and after must not start among the garbage of the tests before it.
import { createRequire } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { pause } from './until'

export const memoryStats: () => { blocks: number; bytes: number; holds: number; slots: number } = createRequire(
  import.meta.url,
)('multiproc').__memoryStats

/** A full collection: what nobody refers to any more is seen to be given back. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
}

/** What is in use once all that was dropped has been given back: two collections find no more. */
export async function settledMemory(): Promise<ReturnType<typeof memoryStats>> {
  for (let last = memoryStats(); ; ) {
    collectGarbage()
    await pause() // finalizers have a turn of their own
    const now = memoryStats()
    if (now.blocks === last.blocks && now.bytes === last.bytes) return now
    last = now
  }
}
