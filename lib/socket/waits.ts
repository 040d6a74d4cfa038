// Waiting without blocking: one event with a deadline, and calls of one object that wait in order.
import { TimeoutError } from '../errors'
import { asyncWait, type WaitOptions } from '../wait-options'

/** setTimeout() knows no longer time. */
const LONGEST_TIMER = 2 ** 31 - 1

/** Waits for what `arm` announces by calling back. `arm` returns how to stop that. Rejects at the deadline, or with signal.reason. */
export function until(
  arm: (callback: () => void) => () => void,
  deadline: number,
  signal: AbortSignal | undefined,
  late: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    const settle = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    const leave = (why: unknown): void => {
      stop()
      settle()
      reject(why)
    }
    const onAbort = (): void => leave(signal!.reason)
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const stop = arm(() => {
      settle()
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
    const left = Math.max(0, deadline - performance.now())
    if (left <= LONGEST_TIMER) timer = setTimeout(() => leave(new TimeoutError(late)), left)
  })
}

/** Asynchronous calls of one object, in their order. `changed` is called when one begins to wait, and when one no longer does. */
export class Pending {
  readonly #waiting: (() => boolean)[] = []
  readonly #changed: () => void

  constructor(changed: () => void) {
    this.#changed = changed
  }

  get size(): number {
    return this.#waiting.length
  }

  /** Tries at once if nobody waits before, else and later at each wake(). `late`: what a time-out gives, or throws. */
  async take<T>(attempt: () => T | undefined, options: WaitOptions | undefined, late: () => T): Promise<T> {
    const { timeout, signal } = asyncWait(options)
    signal?.throwIfAborted()
    if (this.#waiting.length === 0) {
      const result = attempt()
      if (result !== undefined) return result
    }
    if (timeout === 0) return late()
    return new Promise<T>((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const settle = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      const settled = (): boolean => {
        try {
          const result = attempt()
          if (result === undefined) return false
          resolve(result)
        } catch (error) {
          reject(error)
        }
        settle()
        return true
      }
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(settled), 1)
        settle()
        this.#changed()
      }
      const onAbort = (): void => {
        leave()
        reject(signal!.reason)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      if (timeout <= LONGEST_TIMER)
        timer = setTimeout(() => {
          leave()
          try {
            resolve(late())
          } catch (error) {
            reject(error)
          }
        }, timeout)
      this.#waiting.push(settled)
      this.#changed()
    })
  }

  /** Something may be had: the first ones try. */
  wake(): void {
    const before = this.#waiting.length
    while (this.#waiting.length > 0 && this.#waiting[0]!()) this.#waiting.shift()
    if (this.#waiting.length !== before) this.#changed()
  }
}
