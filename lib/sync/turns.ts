// Turns: asynchronous tasks of one thread, one after the other, for each lock that they use by with().
import { TimeoutError } from '../errors'
import { onFork } from '../memory'
import { asyncWait, type WaitOptions } from '../wait-options'

export interface Turn {
  /** What is left of the time-out, and the signal. */
  readonly rest: WaitOptions
  end(): void
}

const lines = new Map<number, (() => void)[]>()
// In a forked child nobody of the parent's tasks will ever end its turn.
onFork(() => lines.clear())

/** Waits until no other task of this thread has its turn with the lock at `offset`. */
export async function takeTurn(offset: number, label: string, options: WaitOptions | undefined): Promise<Turn> {
  const { timeout, signal } = asyncWait(options)
  signal?.throwIfAborted()
  const start = performance.now()
  const before = lines.get(offset)
  const line = before ?? []
  if (before === undefined) lines.set(offset, line)
  else await join(line, timeout, signal, label)
  return {
    rest: { timeout: Math.max(0, timeout - (performance.now() - start)), signal },
    end() {
      if (lines.get(offset) !== line) return // a turn of the parent's, in a forked child
      const next = line.shift()
      if (next === undefined) lines.delete(offset)
      else next()
    },
  }
}

function join(line: (() => void)[], timeout: number, signal: AbortSignal | undefined, label: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    const settle = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    const proceed = (): void => {
      settle()
      resolve()
    }
    const leave = (why: unknown): void => {
      line.splice(line.indexOf(proceed), 1)
      settle()
      reject(why)
    }
    const onAbort = (): void => leave(signal!.reason)
    line.push(proceed)
    signal?.addEventListener('abort', onAbort, { once: true })
    if (timeout < 2 ** 31) timer = setTimeout(() => leave(new TimeoutError(`${label} was not free in time`)), timeout)
  })
}
