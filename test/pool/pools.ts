// Pools for tests: ended after each, with nothing left behind.
import * as mp from 'multiproc'
import { afterEach, expect } from 'vitest'

// vitest's process.exit() throws, and a forked worker has it, too: there it ends the process.
const refused = process.exit
process.exit = (code) => {
  if (mp.parentProcess() === null) return refused(code)
  process.exitCode = code ?? process.exitCode
  process.emit('exit', Number(process.exitCode ?? 0))
  return (process as unknown as { reallyExit(code: number): never }).reallyExit(Number(process.exitCode ?? 0))
}

const open: mp.Pool[] = []

/** Pools of processes, by their start method, and of threads. */
export type Kind = mp.StartMethodName | 'threads'
export const KINDS: Kind[] = [...mp.getAllStartMethods(), 'threads']

export function pool(options?: ConstructorParameters<typeof mp.Pool>[0], kind: Kind = 'spawn'): mp.Pool {
  const made = kind === 'threads' ? new mp.ThreadPool(options) : new (mp.getContext(kind).Pool)(options)
  open.push(made)
  return made
}

/** Before a Sync call: a forked pool has its workers at the end of the turn only. */
export async function withWorkers(made: mp.Pool, kind: Kind): Promise<void> {
  if (kind === 'fork') await made.apply(() => 0)
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

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
