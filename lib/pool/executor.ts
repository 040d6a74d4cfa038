// The executors of Python's concurrent.futures over pools.
import { checkFunction, checkInteger, checkOptions, invalidType } from '../check'
import type { Context } from '../process/context'
import type { Future } from './future'
import type { ImapIterator } from './imap'
import type { PoolOptions } from './options'
import { Pool } from './pool'
import { ThreadPool } from './thread-pool'

/** @inline */
type Fn = (...args: any[]) => any

/** What ProcessPoolExecutor and ThreadPoolExecutor take. */
export interface ExecutorOptions {
  /** How many workers at most. Default: as Pool. */
  maxWorkers?: number | undefined
  /** Runs in each worker before its first call. As of Pool. */
  initializer?: Fn | undefined
  /** The arguments of `initializer`. */
  initargs?: readonly unknown[] | undefined
  /** A worker is replaced after so many calls. Default: never. */
  maxTasksPerChild?: number | undefined
  /** Whose processes the workers are: see getContext(). Not for threads. */
  context?: Context | undefined
}
/** Options of an executor's map(), its last argument. */
export interface ExecutorMapOptions {
  /** Items that a worker gets at once. Default: 1. */
  chunkSize?: number
  /** How many items may be under way: taken, and their results not. Default: all; of an async iterable as many as imap takes. */
  bufferSize?: number
  /** Aborting cancels what has not ended: the iterator rejects with `signal.reason`. */
  signal?: AbortSignal
}

/** For each argument of the function an iterable of it. */
export type IterablesOf<A extends readonly unknown[]> = { [K in keyof A]: Iterable<A[K]> | AsyncIterable<A[K]> }

/** What both executors can do. */
export class Executor {
  readonly #pool: Pool
  #shut: Promise<void> | undefined

  protected constructor(pool: Pool) {
    this.#pool = pool
  }

  /** Calls `fn(...args)` in a worker. Rejects as Pool.apply() does. A worker that dies fails its own call only. */
  submit<A extends readonly unknown[], R>(fn: (...args: A) => R, ...args: A): Future<Awaited<R>> {
    return this.#pool.submit(fn as Fn, args)
  }
  /**
   * Calls `fn` with one item of each iterable, and gives the results in their order. Ends with the shortest iterable. The last
   * argument may be options.
   */
  map<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    ...iterables: [...IterablesOf<A>] | [...IterablesOf<A>, ExecutorMapOptions]
  ): ImapIterator<Awaited<R>> {
    checkFunction('fn', fn)
    const list = [...iterables] as unknown[]
    const options = isOptions(list.at(-1)) ? (list.pop() as ExecutorMapOptions) : {}
    checkOptions('options', options)
    const { bufferSize, chunkSize = 1, signal } = options
    if (bufferSize !== undefined) checkInteger('options.bufferSize', bufferSize, 1, Number.MAX_SAFE_INTEGER)
    if (list.length === 0) throw invalidType('iterables', 'at least one iterable', undefined)
    const one = list.length === 1 ? list[0] : undefined
    const async = list.some(isAsync)
    const items = one ?? (async ? zipAsync(list as AsyncIterable<unknown>[]) : zip(list as Iterable<unknown>[]))
    const window = bufferSize ?? (async ? undefined : Number.POSITIVE_INFINITY)
    return this.#pool.imapOf(
      fn as Fn,
      items as Iterable<unknown>,
      { chunkSize, ...(signal && { signal }) },
      one === undefined,
      window,
    )
  }
  /**
   * Takes no more calls. With `cancelFutures` those that have not been started are cancelled. With `wait` (the default) resolves
   * when all that remain have ended, and the workers, too; else at once.
   */
  async shutdown(options?: { wait?: boolean; cancelFutures?: boolean }): Promise<void> {
    checkOptions('options', options)
    const { wait = true, cancelFutures = false } = options ?? {}
    if (cancelFutures) this.#pool.cancelQueued()
    this.#pool.close()
    this.#shut ??= this.#pool.join().then(() => {})
    if (wait) await this.#shut
  }
  /** Ends the workers by SIGTERM: what is not done rejects with CancelledError. Does not block. */
  terminateWorkers(): void {
    this.#pool.signalAll('SIGTERM')
  }
  /** Ends the workers by SIGKILL: what is not done rejects with CancelledError. Does not block. */
  killWorkers(): void {
    this.#pool.signalAll('SIGKILL')
  }
  /** As shutdown(): waits for all calls. For `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }
}

/** Runs calls in worker processes: Python's concurrent.futures.ProcessPoolExecutor. Throws as Pool. */
export class ProcessPoolExecutor extends Executor {
  constructor(options?: number | ExecutorOptions) {
    super(new Pool(poolOptions(options)))
  }
}

/** Runs calls in worker threads: Python's concurrent.futures.ThreadPoolExecutor. Throws as ThreadPool. */
export class ThreadPoolExecutor extends Executor {
  constructor(options?: number | Omit<ExecutorOptions, 'context'>) {
    super(new ThreadPool(poolOptions(options)))
  }
}

function poolOptions(options: number | ExecutorOptions | undefined): PoolOptions {
  if (typeof options === 'number') return { processes: options }
  checkOptions('options', options)
  const { maxWorkers, initializer, initargs, maxTasksPerChild, context } = options ?? {}
  if (maxWorkers !== undefined) checkInteger('options.maxWorkers', maxWorkers, 1, 1024)
  return { processes: maxWorkers, initializer, initargs, maxTasksPerChild, context }
}

function isAsync(value: unknown): boolean {
  return typeof (value as AsyncIterable<unknown> | null | undefined)?.[Symbol.asyncIterator] === 'function'
}
function isOptions(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !(Symbol.iterator in value) && !isAsync(value)
}
function* zip(iterables: readonly Iterable<unknown>[]): Generator<unknown[]> {
  const iterators = iterables.map((iterable, k) => {
    if (typeof iterable?.[Symbol.iterator] !== 'function') throw invalidType(`iterables[${k}]`, 'an iterable', iterable)
    return iterable[Symbol.iterator]()
  })
  for (;;) {
    const items: unknown[] = []
    for (const iterator of iterators) {
      const next = iterator.next()
      if (next.done) return
      items.push(next.value)
    }
    yield items
  }
}
async function* zipAsync(
  iterables: readonly (Iterable<unknown> | AsyncIterable<unknown>)[],
): AsyncGenerator<unknown[]> {
  const iterators = iterables.map((iterable) =>
    isAsync(iterable)
      ? (iterable as AsyncIterable<unknown>)[Symbol.asyncIterator]()
      : (iterable as Iterable<unknown>)[Symbol.iterator](),
  )
  for (;;) {
    const items: unknown[] = []
    for (const iterator of iterators) {
      const next = await iterator.next()
      if (next.done) return
      items.push(next.value)
    }
    yield items
  }
}
