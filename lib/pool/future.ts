// Future: what executors give, and how one waits for several.
import { checkFunction, invalidType, invalidValue } from '../check'
import { CancelledError, TimeoutError } from '../errors'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'

/** What stands behind a future. */
export interface FutureSource {
  cancel(): boolean
  running(): boolean
  drive(done: () => boolean, timeout: number): boolean
}

/** A Promise of the result of a call that an executor was given. `then` gives a plain Promise. */
export class Future<R> extends Promise<R> {
  #source: FutureSource | undefined
  #state: 'pending' | 'done' | 'failed' = 'pending'
  #value: unknown
  #callbacks: ((future: this) => void)[] = []

  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }
  /** @internal Has it ended with an error of its own? */
  static hasFailed(future: Future<any>): boolean {
    return future.#state === 'failed' && !future.cancelled()
  }
  /** @internal */
  adopt(source: FutureSource): void {
    this.#source = source
  }
  /** @internal */
  settled(done: boolean, value: unknown): void {
    this.#state = done ? 'done' : 'failed'
    this.#value = value
    this.#source = undefined
    for (const callback of this.#callbacks.splice(0)) process.nextTick(callback, this)
  }
  /** @internal A rejection is no news to anybody. */
  handled(): void {
    super.then(undefined, () => {})
  }

  /** Cancels the call if it has not been started: then the future rejects with CancelledError, which counts as handled. */
  cancel(): boolean {
    if (this.cancelled()) return true
    return this.#source?.cancel() ?? false
  }
  /** Was it cancelled? */
  cancelled(): boolean {
    return this.#state === 'failed' && this.#value instanceof CancelledError
  }
  /** Does a worker run it now? */
  running(): boolean {
    return this.#source?.running() ?? false
  }
  /** Has it ended, or was it cancelled? */
  done(): boolean {
    return this.#state !== 'pending'
  }
  /** The result; rejects with what the call has thrown, CancelledError, TimeoutError, or `signal.reason`. */
  async result(options?: WaitOptions): Promise<R> {
    await this.#wait(options)
    return await this
  }
  /** As result(), blocking this thread; the executor works on meanwhile. */
  resultSync(options?: WaitSyncOptions): R {
    this.#waitSync(options)
    if (this.#state === 'done') return this.#value as R
    this.handled()
    throw this.#value
  }
  /** What the call has thrown, or null; rejects with CancelledError, TimeoutError, or `signal.reason`. */
  async exception(options?: WaitOptions): Promise<unknown> {
    await this.#wait(options)
    return this.#exception()
  }
  /** As exception(), blocking this thread. */
  exceptionSync(options?: WaitSyncOptions): unknown {
    this.#waitSync(options)
    return this.#exception()
  }
  /** Calls back with the future when it has ended, soon if it has already. What it throws is an uncaughtException. */
  addDoneCallback(callback: (future: this) => void): void {
    checkFunction('callback', callback)
    if (this.done()) process.nextTick(callback, this)
    else this.#callbacks.push(callback)
  }

  #exception(): unknown {
    this.handled()
    if (this.cancelled()) throw this.#value
    return this.#state === 'failed' ? this.#value : null
  }
  async #wait(options: WaitOptions | undefined): Promise<void> {
    const { done } = await waitFutures([this], options)
    if (done.size === 0) throw new TimeoutError('the future has not ended in time')
  }
  #waitSync(options: WaitSyncOptions | undefined): void {
    const timeout = syncTimeout(options)
    if (!this.done() && !this.#source!.drive(() => this.done(), timeout))
      throw new TimeoutError('the future has not ended in time')
  }
}

/** When waitFutures() is done: all have ended, the first has ended, or the first has failed. */
export type ReturnWhen = 'ALL_COMPLETED' | 'FIRST_COMPLETED' | 'FIRST_EXCEPTION'

/** What waitFutures() gives. */
export interface WaitedFutures<F> {
  /** Those that have ended. */
  done: Set<F>
  /** Those that have not. */
  notDone: Set<F>
}

/**
 * Waits until all of the futures have ended (or the first one, or the first with an error), or `timeout` ms are over, and tells
 * which have. Rejects with `signal.reason` only: errors of futures stay theirs.
 */
export async function waitFutures<F extends Future<any>>(
  futures: Iterable<F>,
  options?: WaitOptions & { returnWhen?: ReturnWhen },
): Promise<WaitedFutures<F>> {
  const { timeout, signal } = asyncWait(options)
  const list = listOf(futures)
  const when = options?.returnWhen ?? 'ALL_COMPLETED'
  if (when !== 'ALL_COMPLETED' && when !== 'FIRST_COMPLETED' && when !== 'FIRST_EXCEPTION')
    throw invalidValue('options.returnWhen', "'ALL_COMPLETED', 'FIRST_COMPLETED' or 'FIRST_EXCEPTION'", when)
  signal?.throwIfAborted()
  const told = (): WaitedFutures<F> => ({
    done: new Set(list.filter((future) => future.done())),
    notDone: new Set(list.filter((future) => !future.done())),
  })
  const enough = (): boolean =>
    list.every((future) => future.done()) ||
    (when === 'FIRST_COMPLETED' && list.some((future) => future.done())) ||
    (when === 'FIRST_EXCEPTION' && list.some(Future.hasFailed))
  if (enough() || timeout === 0) return told()
  return await new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      settle()
    }
    const abort = (): void => end(() => reject(signal!.reason))
    const timer = timeout < 2 ** 31 ? setTimeout(() => end(() => resolve(told())), timeout) : undefined
    signal?.addEventListener('abort', abort, { once: true })
    for (const future of list)
      future.addDoneCallback(() => {
        if (enough()) end(() => resolve(told()))
      })
  })
}

/**
 * The futures as they end: `for await (const future of asCompleted(futures))`. After `timeout` ms from the call `next()` rejects
 * with TimeoutError.
 */
export function asCompleted<F extends Future<any>>(
  futures: Iterable<F>,
  options?: WaitOptions,
): AsyncIterableIterator<F, void, undefined> {
  const { timeout, signal } = asyncWait(options)
  const deadline = performance.now() + timeout
  let left = new Set(listOf(futures))
  const ended: F[] = []
  // No generator: that would await the futures which it yields.
  return {
    async next() {
      if (ended.length === 0 && left.size > 0) {
        const rest = deadline - performance.now()
        const { done, notDone } = await waitFutures(left, { timeout: rest, signal, returnWhen: 'FIRST_COMPLETED' })
        if (done.size === 0) throw new TimeoutError(`${left.size} futures have not ended in time`)
        ended.push(...done)
        left = notDone
      }
      return ended.length > 0 ? { done: false, value: ended.shift()! } : { done: true, value: undefined }
    },
    async return() {
      ended.length = 0
      left.clear()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

function listOf<F extends Future<any>>(futures: Iterable<F>): F[] {
  if (typeof futures !== 'object' || futures === null || !(Symbol.iterator in futures))
    throw invalidType('futures', 'an iterable of futures', futures)
  const list = [...new Set(futures)]
  for (const future of list) if (!(future instanceof Future)) throw invalidType('futures', 'futures only', future)
  return list
}
