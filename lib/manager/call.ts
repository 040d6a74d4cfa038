// Calls that wait in the server, and what clients hold there. One client's waiting is no other's: a call that cannot be answered yet
// stands in a Line, and is taken out of it by its answer, its time-out, its client's cancelling it, or its client's end.

/** One client's connection, as the objects know it: locks are owned by it. */
export interface Client {
  /** What must be given back when the client ends. */
  readonly holds: Set<Hold>
  /** Its connection is gone: it is given nothing any more. */
  readonly ended: boolean
}
export interface Hold {
  /** The client has ended without giving it back. */
  abandon(): void
}

/** A call that is being served. */
export interface Call {
  readonly client: Client
  /** Called when nobody waits for the answer any more: nothing may be taken for it then. May be done later. */
  onCancel: (() => void | Promise<void>) | undefined
}

/** setTimeout() knows no longer time. */
const LONGEST_TIMER = 2 ** 31 - 1

export interface Waiter<T, D = undefined> {
  readonly call: Call
  readonly data: D
  resolve(value: T | PromiseLike<T>): void
  reject(error: unknown): void
}

/** Calls that wait for the same, in their order. */
export class Line<T, D = undefined> {
  readonly #waiting = new Set<Waiter<T, D>>()

  get size(): number {
    return this.#waiting.size
  }
  first(): Waiter<T, D> | undefined {
    for (const waiter of this.#waiting) return waiter
    return undefined
  }
  all(): Waiter<T, D>[] {
    return [...this.#waiting]
  }

  /** `late`: what a time-out answers, or throws. `left`: told when a call goes without an answer. */
  wait(call: Call, timeout: number, data: D, late: () => T, left?: () => void): Promise<T> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const leave = (): void => {
        this.#waiting.delete(waiter)
        clearTimeout(timer)
        call.onCancel = undefined
      }
      const waiter: Waiter<T, D> = {
        call,
        data,
        resolve(value) {
          leave()
          resolve(value)
        },
        reject(error) {
          leave()
          reject(error)
        },
      }
      if (timeout <= LONGEST_TIMER)
        timer = setTimeout(() => {
          leave()
          try {
            resolve(late())
          } catch (error) {
            reject(error)
          }
          left?.()
        }, timeout)
      call.onCancel = () => {
        leave()
        left?.()
      }
      this.#waiting.add(waiter)
    })
  }
}

/** A time-out in ms as it came: absent waits for ever. */
export function msOf(timeout: unknown): number {
  return typeof timeout === 'number' && !Number.isNaN(timeout) ? Math.max(0, timeout) : Number.POSITIVE_INFINITY
}
