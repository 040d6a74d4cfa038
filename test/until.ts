// Waiting in tests for what no event tells of: what another process, or the system, does in its own time.
import { inspect } from 'node:util'

/** Nobody may wait longer than this: a deadline for progress, never a speed. */
export const PATIENCE = 30_000

export const pause = (ms = 0) =>
  ms > 0
    ? new Promise<void>((resolve) => setTimeout(resolve, ms))
    : new Promise<void>((resolve) => setImmediate(resolve))

/** Resolves once the condition holds; rejects after 30 s, saying what did not come and what is seen instead. */
export async function until(condition: () => unknown, what: string, seen: () => unknown = () => ''): Promise<void> {
  const deadline = performance.now() + PATIENCE
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(`never came: ${what} ${inspect(seen(), { breakLength: Infinity })}`)
    await pause(1)
  }
}
