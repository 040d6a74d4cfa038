// Task: the promise that apply() and map() give, and what one can ask of it before it is settled.
import { CancelledError, StateError, TimeoutError } from '../errors'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'

/** What stands behind a task. */
export interface TaskSource {
  /** False: it is settled already. */
  cancel(error: unknown): boolean
  /** Blocks until `done`, or `timeout` ms are over (false). */
  drive(done: () => boolean, timeout: number): boolean
}

type Resolve = (value: any) => void

/**
 * A Promise of the result of `pool.apply`, `map` or `starmap`. `then` gives a plain Promise. If it has an `errorCallback`, or was
 * rejected by your own `cancel()` or `terminate()`, the rejection counts as handled.
 */
export class Task<R> extends Promise<R> {
  #source: TaskSource | undefined
  #state: 'pending' | 'done' | 'failed' = 'pending'
  #value: unknown

  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  /** @internal */
  adopt(source: TaskSource): void {
    this.#source = source
  }
  /** @internal */
  settled(done: boolean, value: unknown): void {
    this.#state = done ? 'done' : 'failed'
    this.#value = value
    this.#source = undefined
  }

  /** Has it ended, with a result or an error? */
  ready(): boolean {
    return this.#state !== 'pending'
  }
  /** Has it ended with a result? Throws StateError (`ERR_MP_STATE`) while it has not ended. */
  successful(): boolean {
    if (this.#state === 'pending') throw new StateError('the task has not ended: ask ready() first')
    return this.#state === 'done'
  }
  /** Waits until it has ended, with a result or an error: true; false: timed out. Rejects with `signal.reason` when aborted. */
  async wait(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = asyncWait(options)
    signal?.throwIfAborted()
    if (this.ready()) return true
    if (timeout === 0) return false
    return await new Promise((resolve, reject) => {
      const timer = timeout < 2 ** 31 ? setTimeout(() => end(() => resolve(false)), timeout) : undefined
      const abort = (): void => end(() => reject(signal!.reason))
      const end = (settle: () => void): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        settle()
      }
      signal?.addEventListener('abort', abort, { once: true })
      const ended = (): void => end(() => resolve(true))
      super.then(ended, ended)
    })
  }
  /** As wait(), blocking this thread; the pool works on meanwhile. */
  waitSync(options?: WaitSyncOptions): boolean {
    const timeout = syncTimeout(options)
    return this.ready() || this.#source!.drive(() => this.ready(), timeout)
  }
  /** The result; rejects with what the task has thrown, TimeoutError, or `signal.reason`. */
  async result(options?: WaitOptions): Promise<R> {
    if (!(await this.wait(options))) throw new TimeoutError('the task has not ended in time')
    return await this
  }
  /** As result(), blocking this thread; the pool works on meanwhile. A thrown error counts as handled. */
  resultSync(options?: WaitSyncOptions): R {
    if (!this.waitSync(options)) throw new TimeoutError('the task has not ended in time')
    if (this.#state === 'done') return this.#value as R
    this.handled()
    throw this.#value
  }
  /**
   * Rejects the task with CancelledError (`ERR_MP_CANCELLED`, `cause`: the reason). What has not been started never runs; what
   * runs is asked to stop (`taskContext().signal`), and after `grace` ms its worker is replaced. False: it had ended before.
   */
  cancel(reason?: unknown): boolean {
    if (this.#source === undefined) return false
    const options = reason === undefined ? undefined : { cause: reason }
    this.handled()
    return this.#source.cancel(new CancelledError('the task was cancelled', 'ERR_MP_CANCELLED', options))
  }
  /** @internal A rejection is no news to anybody. */
  handled(): void {
    super.then(undefined, () => {})
  }
}

let resolve_: Resolve | undefined
let reject_: Resolve | undefined
const capture = (resolve: Resolve, reject: Resolve): void => {
  resolve_ = resolve
  reject_ = reject
}

/** A promise of this class, and how it is settled. */
export function openPromise<P>(kind: new (executor: typeof capture) => P): {
  task: P
  resolve: Resolve
  reject: Resolve
} {
  const opened = { task: new kind(capture), resolve: resolve_!, reject: reject_! }
  resolve_ = reject_ = undefined // or the last one would keep its result until there is another
  return opened
}

/** The task of a call that was refused. */
export function rejectedTask(error: unknown, options: { errorCallback?: unknown } | undefined): Task<any> {
  const { task, reject } = openPromise<Task<any>>(Task)
  task.settled(false, error)
  const errorCallback = options?.errorCallback
  if (typeof errorCallback === 'function') {
    task.handled()
    process.nextTick(errorCallback as (error: unknown) => void, error)
  }
  reject(error)
  return task
}
