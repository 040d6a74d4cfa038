// The class Pool: what it offers, and to whom it passes it on (engine.ts). What it takes is checked in options.ts.
import { EventEmitter } from 'node:events'
import { inspect } from 'node:util'
import { checkInteger } from '../check'
import { CancelledError, ClosedError, PoolBrokenError, QueueFullError, StateError } from '../errors'
import type { Context } from '../process/context'
import type { ExitStatus } from '../process/start/method'
import { CONTEXT } from '../process/state'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import type { ApplyJob, MapJob } from './calls'
import { checkPoolDepth, poolDepth } from './depth'
import { ended } from './ended'
import { Engine, type Listener } from './engine'
import { Future } from './future'
import { ImapIterator, ImapSyncIterator } from './imap'
import { onCtrlC } from './interrupt'
import { encodeBody } from './lane'
import type { Host, Member } from './member'
import {
  type CheckedPoolOptions,
  checkPoolOptions,
  type ImapOptions,
  type MapOptions,
  type PoolOptions,
  type TaskOptions,
  type Wanted,
} from './options'
import { ProcessHost } from './process-host'
import { SPREAD } from './protocol'
import { broadcastTo, type ImapForm, Requests, type Target, workersOf } from './requests'
import { type PoolStats, statsOf } from './stats'
import { openPromise, rejectedTask, type Task } from './task'
import { traceOf } from './tracing'
import type { Unit } from './unit'
import type { WorkerConfig } from './worker/worker'

export type { PoolStats } from './stats'

type Fn = (...args: any[]) => any

/** On a class: the context whose processes its workers are. */
export const POOL_CONTEXT: unique symbol = Symbol('multiproc.poolContext')

/**
 * Worker processes that run functions.
 *
 *     const pool = new Pool(4)
 *     const squares = await pool.map((x: number) => x * x, [1, 2, 3])
 *     pool.close()
 *     await pool.join()
 *
 * Any function will do that can travel. A worker that is killed fails only the task that it ran, and is replaced. Emits
 * 'worker' and 'workerExit' ({ id, pid, exitCode, signal }), 'drain' (nothing waits for a worker any more), 'error'.
 */
export class Pool extends EventEmitter {
  /** @internal */
  static readonly [POOL_CONTEXT]: Context | undefined = undefined
  readonly #engine: Engine
  readonly #checked: CheckedPoolOptions
  readonly #target: Target
  readonly #requests: Requests
  #state: 'open' | 'closed' | 'terminated' | 'broken' = 'open'
  #broken: PoolBrokenError | undefined
  #drained = true
  #forgetInterrupt: (() => void) | undefined

  /**
   * Starts the workers. Does not wait for them.
   * @throws TypeError, RangeError ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
   * @throws SerializationError ERR_MP_SERIALIZATION: the initializer cannot travel
   * @throws StateError ERR_MP_TOO_DEEP: too many pools inside of each other; ERR_MP_STATE: not while modules are loaded
   * @throws Error with `code` EAGAIN, EMFILE, ENOSPC …: the system could not start them
   */
  constructor(options?: number | PoolOptions) {
    super()
    const checked = checkPoolOptions(options)
    checkPoolDepth()
    this.#checked = checked
    const context = checked.context ?? new.target[POOL_CONTEXT]
    const main = contextMain(context)
    const initializer =
      checked.initializer && encodeBody(checked.initializer, '', initialNames(checked.initializer), main)
    this.#engine = this.openEngine(
      {
        ...checked,
        main,
        initializer,
        start: (engine: Engine, member: Member, ended: () => void) =>
          this.startHost(
            engine,
            member,
            {
              id: member.id,
              maxMemory: Number.isFinite(checked.maxMemory) ? checked.maxMemory : 0,
              siblings: checked.most,
              initializer: initializer !== undefined,
              depth: poolDepth() + 1,
            },
            { ...checked, context },
            ended,
          ),
      },
      this.#listener(),
    )
    this.#target = workersOf(this.#engine, checked, main, () => this.#checkOpen())
    this.#requests = new Requests(this.#target, checked.settings)
    this.#forgetInterrupt = onCtrlC({
      interrupted: async () => {
        this.terminate()
        await this.join()
      },
    })
  }

  /** @internal */
  protected openEngine(options: ConstructorParameters<typeof Engine>[0], listener: Listener): Engine {
    return new Engine(options, listener)
  }
  /** @internal */
  protected startHost(
    engine: Engine,
    member: Member,
    config: WorkerConfig,
    options: CheckedPoolOptions,
    ended: () => void,
  ): Host {
    return new ProcessHost(member, engine.results, config, options, ended)
  }

  // ---- calls ---------------------------------------------------------------------------------------------------------

  /**
   * Calls `fn(...args)` in a worker. The arguments are serialised during the call. Rejects with what the function throws,
   * WorkerLostError, TimeoutError, CancelledError, SerializationError, QueueFullError, ClosedError, PoolBrokenError,
   * `signal.reason`.
   */
  apply<R>(fn: () => R, args?: readonly [], options?: TaskOptions<Awaited<R>>): Task<Awaited<R>>
  apply<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    args: Readonly<NoInfer<A>>,
    options?: TaskOptions<Awaited<R>>,
  ): Task<Awaited<R>>
  apply(fn: Fn, args: any = [], options?: TaskOptions<any>): Task<any> {
    try {
      const wanted = this.#requests.wanted(options, false)
      const { job, units } = this.#requests.apply(fn, args, wanted)
      const task = job.task()
      this.#begin(job, wanted, units)
      return task
    } catch (error) {
      return rejectedTask(error, options)
    }
  }

  /**
   * Calls `fn(item)` for each item, in chunks, and gives the results in the order of the items. Rejects with the first error by
   * index after all chunks have ended; a throwing item skips the rest of its chunk. Otherwise as apply().
   */
  map<T, R>(fn: (item: T) => R, items: Iterable<T>, options?: MapOptions<Awaited<R>[]>): Task<Awaited<R>[]> {
    return this.#map(fn, items, options, 0)
  }
  /** As map(), but each item is a list of arguments. */
  starmap<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    items: Iterable<Readonly<NoInfer<A>>>,
    options?: MapOptions<Awaited<R>[]>,
  ): Task<Awaited<R>[]> {
    return this.#map(fn, items, options, SPREAD)
  }
  #map(fn: Fn, items: Iterable<unknown>, options: MapOptions | undefined, flags: number): Task<any> {
    try {
      const wanted = this.#requests.wanted(options, false)
      const { job, units } = this.#requests.map(fn, items, wanted, flags)
      const task = job.task()
      this.#begin(job, wanted, units)
      return task
    } catch (error) {
      return rejectedTask(error, options)
    }
  }

  /** As apply(), blocking this thread until there is a result. Throws what apply() rejects with. */
  applySync<R>(fn: () => R, args?: readonly [], options?: TaskOptions<Awaited<R>>): Awaited<R>
  applySync<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    args: Readonly<NoInfer<A>>,
    options?: TaskOptions<Awaited<R>>,
  ): Awaited<R>
  applySync(fn: Fn, args: any = [], options?: TaskOptions<any>): any {
    const wanted = this.#requests.wanted(options, true)
    const { job, units } = this.#requests.apply(fn, args, wanted)
    return this.#driven(job, units, wanted)
  }
  /** As map(), blocking this thread until there are all results. */
  mapSync<T, R>(fn: (item: T) => R, items: Iterable<T>, options?: MapOptions<Awaited<R>[]>): Awaited<R>[] {
    return this.#mapSync(fn, items, options, 0)
  }
  /** As starmap(), blocking this thread until there are all results. */
  starmapSync<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    items: Iterable<Readonly<NoInfer<A>>>,
    options?: MapOptions<Awaited<R>[]>,
  ): Awaited<R>[] {
    return this.#mapSync(fn, items, options, SPREAD)
  }
  #mapSync(fn: Fn, items: Iterable<unknown>, options: MapOptions | undefined, flags: number): any {
    const wanted = this.#requests.wanted(options, true)
    const { job, units } = this.#requests.map(fn, items, wanted, flags)
    return this.#driven(job, units, wanted)
  }
  #driven(job: ApplyJob | MapJob, units: Unit[], wanted: Wanted): unknown {
    job.sync = true
    this.#begin(job, wanted, units)
    try {
      this.#engine.drive(() => job.over, Number.POSITIVE_INFINITY)
    } finally {
      job.trace?.end()
    }
    const { ok, value } = job.outcome!
    if (ok) return value
    throw value
  }

  /**
   * Calls `fn(item)` for each item, and gives the results one by one in the order of the items. Items are taken from their source,
   * which may be endless, as there is room for them; it begins at once. Leaving the loop cancels the rest. Results that nobody reads
   * keep neither the program alive nor the pool from ending.
   */
  imap<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options: ImapOptions & { settle: true },
  ): ImapIterator<PromiseSettledResult<Awaited<R>>>
  imap<T, R>(fn: (item: T) => R, items: Iterable<T> | AsyncIterable<T>, options?: ImapOptions): ImapIterator<Awaited<R>>
  imap(fn: Fn, items: Iterable<unknown> | AsyncIterable<unknown>, options?: ImapOptions): ImapIterator<any> {
    return this.#imap(fn, items, options, true)
  }
  /** As imap(), but gives the results in the order in which they come. */
  imapUnordered<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options: ImapOptions & { settle: true },
  ): ImapIterator<PromiseSettledResult<Awaited<R>>>
  imapUnordered<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options?: ImapOptions,
  ): ImapIterator<Awaited<R>>
  imapUnordered(fn: Fn, items: Iterable<unknown> | AsyncIterable<unknown>, options?: ImapOptions): ImapIterator<any> {
    return this.#imap(fn, items, options, false)
  }
  /** As imap(), of an Iterable, as an Iterable whose next() blocks this thread. */
  imapSync<T, R>(fn: (item: T) => R, items: Iterable<T>, options?: ImapOptions): ImapSyncIterator<Awaited<R>> {
    return this.#imapSync(fn, items, options, true)
  }
  /** As imapUnordered(), of an Iterable, as an Iterable whose next() blocks this thread. */
  imapUnorderedSync<T, R>(fn: (item: T) => R, items: Iterable<T>, options?: ImapOptions): ImapSyncIterator<Awaited<R>> {
    return this.#imapSync(fn, items, options, false)
  }
  #imap(
    fn: Fn,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options: ImapOptions | undefined,
    ordered: boolean,
  ): ImapIterator<any> {
    return this.#imapOf(fn, items, options, { ordered, mayBeAsync: true })
  }
  #imapOf(
    fn: Fn,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options: ImapOptions | undefined,
    form: ImapForm,
  ): ImapIterator<any> {
    const wanted = this.#requests.wanted(options, false)
    const job = this.#requests.imap(fn, items, wanted, form)
    job.trace = traceOf(job.call.name)
    const results = new ImapIterator(job, wanted.signal)
    job.trace?.end()
    return results
  }
  #imapSync(fn: Fn, items: Iterable<unknown>, options: ImapOptions | undefined, ordered: boolean): any {
    const wanted = this.#requests.wanted(options, true)
    const job = this.#requests.imap(fn, items, wanted, { ordered, mayBeAsync: false })
    job.trace = traceOf(job.call.name)
    return new ImapSyncIterator(job)
  }
  /** @internal For executors. */
  submit(fn: Fn, args: readonly unknown[]): Future<any> {
    const open = openPromise<Future<any>>(Future)
    const { task } = open
    try {
      const wanted = this.#requests.wanted(undefined, false)
      const { job, units } = this.#requests.apply(fn, args, wanted)
      job.promise(open)
      const engine = this.#engine
      task.adopt({
        cancel: () => engine.cancelQueued(job, new CancelledError('the future was cancelled')),
        running: () => engine.isRunning(job),
        drive: (done, timeout) => engine.drive(done, timeout),
      })
      this.#begin(job, wanted, units)
    } catch (error) {
      task.settled(false, error)
      open.reject(error)
    }
    return task
  }
  /** @internal For executors: `window` items may be under way. */
  imapOf(
    fn: Fn,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options: ImapOptions,
    spread: boolean,
    window?: number,
  ): ImapIterator<any> {
    return this.#imapOf(fn, items, options, { ordered: true, mayBeAsync: true, spread, window })
  }
  /** @internal */
  signalAll(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#state = 'terminated'
    this.#engine.terminate(new CancelledError('the workers were ended'), true, signal)
  }
  /** @internal Gives up what has not been started. */
  cancelQueued(): void {
    for (const job of [...this.#engine.jobs])
      this.#engine.cancelQueued(job, new CancelledError('the executor was shut down'))
  }

  /** Calls `fn(...args)` once in each worker that runs now, and gives the results. Rejects as map(). */
  broadcast<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    args?: Readonly<NoInfer<A>>,
    options?: TaskOptions<Awaited<R>[]>,
  ): Task<Awaited<R>[]> {
    try {
      const wanted = this.#requests.wanted(options, false)
      const { job, submit } = broadcastTo(this.#engine, this.#target, fn, args ?? [], wanted)
      const task = job.task()
      this.#begin(job, wanted, [])
      submit()
      job.check()
      return task
    } catch (error) {
      return rejectedTask(error, options)
    }
  }

  #begin(job: ApplyJob | MapJob, wanted: Wanted, units: readonly Unit[]): void {
    job.trace = traceOf(job.call.name)
    this.#engine.begin(job)
    job.watch(wanted.signal, (reason) => job.cancel(reason))
    for (const unit of units) {
      if (job.over) break
      this.#drained = false
      this.#engine.submit(unit)
    }
    job.check()
    if (!job.sync) job.trace?.end()
  }

  #checkOpen(): void {
    if (this.#state === 'broken')
      throw new PoolBrokenError(this.#broken!.message, this.#broken!.code, { cause: this.#broken!.cause })
    if (this.#state !== 'open') throw new ClosedError(`the pool is ${this.#state}`)
    const { maxQueue } = this.#checked
    if (this.#engine.queued >= maxQueue) {
      this.#engine.weedQueue()
      if (this.#engine.queued >= maxQueue)
        throw new QueueFullError(`${maxQueue} tasks wait for a worker of the pool already (maxQueue)`)
    }
  }

  // ---- the end -------------------------------------------------------------------------------------------------------

  /** No tasks are taken any more; the workers end when those that were are done. Does not block. */
  close(): void {
    if (this.#state === 'open') this.#state = 'closed'
    this.#engine.close()
  }
  /** Ends the workers at once: what is not done rejects with CancelledError, which counts as handled. Does not block. */
  terminate(): void {
    if (this.#state !== 'broken') this.#state = 'terminated'
    this.#engine.terminate(new CancelledError('the pool was terminated'), true)
  }
  /**
   * Waits until all workers have ended, after close() or terminate(): true; false: timed out. Rejects with StateError
   * (`ERR_MP_STATE`) while the pool is open, and with `signal.reason` when aborted.
   */
  async join(options?: WaitOptions): Promise<boolean> {
    const wait = asyncWait(options)
    this.#checkJoinable()
    return await ended(this.#engine, wait)
  }
  /** As join(), blocking this thread. */
  joinSync(options?: WaitSyncOptions): boolean {
    const timeout = syncTimeout(options)
    this.#checkJoinable()
    const { jobs } = this.#engine
    jobs.join()
    return this.#engine.drive(() => {
      jobs.goOn()
      return this.#engine.hasEnded
    }, timeout)
  }
  #checkJoinable(): void {
    this.#engine.checkOurs()
    if (this.#state === 'open') throw new StateError('the pool is open: call close() or terminate() before join()')
  }
  /** Closes the pool and waits for it: `await using pool = new Pool()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await this.join()
  }

  /** How many workers there are at most, from now on. Those that are too many end when they are through. Does not block. */
  resize(processes: number): void {
    checkInteger('processes', processes, 1, 1024)
    this.#engine.checkOurs()
    this.#checkOpen()
    const { options } = this.#engine.crew
    if (options.least === this.#checked.most || options.least > processes) options.least = processes
    options.most = this.#checked.most = processes
    this.#engine.crew.fit()
    this.#engine.dispatch()
  }

  /** What the pool does and has done. */
  stats(): PoolStats {
    return statsOf(this.#engine)
  }
  /** The pids of the workers. */
  get pids(): number[] {
    return this.#engine.crew.all.map((member) => member.host.pid)
  }

  /** Pending tasks keep the event loop alive (the default). */
  ref(): this {
    this.#engine.setRef(true)
    return this
  }
  /** Pending tasks do not keep the event loop alive. */
  unref(): this {
    this.#engine.setRef(false)
    return this
  }

  #listener(): Listener {
    return {
      started: (member) => this.#tell('worker', { id: member.id, pid: member.host.pid }),
      ended: (member, status: ExitStatus | null) =>
        this.#tell('workerExit', {
          id: member.id,
          pid: member.host.pid,
          exitCode: status?.exitCode ?? null,
          signal: status?.signal ?? null,
        }),
      failed: (error) => this.#tell('error', error),
      drained: () => {
        if (this.#drained) return
        this.#drained = true
        this.#tell('drain')
      },
      broken: (message, cause) => {
        if (this.#state === 'terminated' || this.#state === 'broken') return
        this.#state = 'broken'
        this.#broken = new PoolBrokenError(message, 'ERR_MP_POOL_BROKEN', { cause })
        this.#engine.terminate(this.#broken, false, 'SIGKILL')
        this.#tell('error', this.#broken)
      },
      gone: () => {
        this.#forgetInterrupt?.()
        this.#forgetInterrupt = undefined
      },
    }
  }
  #tell(event: string, ...details: unknown[]): void {
    if (this.listenerCount(event) > 0) process.nextTick(() => this.emit(event, ...details))
  }

  [inspect.custom](): string {
    const engine = this.#engine
    return `<${this.constructor.name} ${this.#state} processes=${engine.crew.size} queued=${engine.queued}>`
  }
  /** A pool belongs to its process. */
  [Symbol.for('multiproc.reduce')](): never {
    throw new StateError('a pool cannot be sent to another process')
  }
}

function initialNames([, ...args]: [Fn, ...unknown[]]): string[] {
  return ['initializer', ...args.map((_, k) => `initargs[${k}]`)]
}
function contextMain(context: Context | undefined): 'import' | undefined {
  return context?.Process[CONTEXT].main
}
