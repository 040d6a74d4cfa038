// The class ClusterPool: what it offers, and to whom it passes it on: a Submitter, or a Pool of this machine (`local`).
import { EventEmitter } from 'node:events'
import { inspect } from 'node:util'
import { checkString } from '../check'
import type { ImapIterator as Iterator } from '../pool/imap'
import type { Body } from '../pool/lane'
import type { Wanted } from '../pool/options'
import type { PoolStats } from '../pool/pool'
import type { Task } from '../pool/task'
import type { WaitOptions } from '../wait-options'
import { Broadcast } from './broadcast'
import {
  type ApplyJob,
  asyncWait,
  bytesBody,
  CancelledError,
  ClosedError,
  checkArgs,
  ended,
  ImapIterator,
  type MapJob,
  Pool,
  QueueFullError,
  Requests,
  rejectedTask,
  SPREAD,
  StateError,
  type Unit,
  UnsupportedError,
} from './core'
import { readManifest, writeManifest } from './detach'
import { packParts } from './frames'
import { ClusterFunctions } from './functions'
import { checkName, Names } from './names'
import { peers } from './nats'
import type { NodeInfo } from './node'
import {
  type CheckedOptions,
  type ClusterImapOptions,
  type ClusterMapOptions,
  type ClusterPoolOptions,
  type ClusterTaskOptions,
  checkClusterOptions,
} from './options'
import { Submitter } from './submitter'
import { encodeValue } from './tame'

type Fn = (...args: any[]) => any

/** What `stats()` of a ClusterPool gives. */
export interface ClusterStats extends PoolStats {
  /** The nodes that were heard of lately. */
  nodes: NodeInfo[]
}

/**
 * A Pool whose workers are on other machines: nodes that were started with `npx multiproc worker`, over NATS JetStream.
 *
 *     import { ClusterPool } from 'multiproc/cluster'
 *     import { resize } from './images.mjs'
 *
 *     const pool = new ClusterPool({ servers: 'nats://queue:4222', pool: 'images', retries: 2 })
 *     const sizes = await pool.map(resize, files)
 *     pool.close()
 *     await pool.join()
 *
 * Calls are those of Pool, without the Sync forms. A task runs at least once where it has `retries`, at most once where it has
 * none; its result comes once. Emits 'drain' (nothing is under way any more), 'error'.
 */
export class ClusterPool extends EventEmitter {
  readonly #options: CheckedOptions
  readonly #local: Pool | undefined
  readonly #submitter: Submitter | undefined
  readonly #functions: ClusterFunctions
  readonly #requests: Requests | undefined
  #state: 'open' | 'closed' | 'terminated' | 'detached' | 'broken' = 'open'
  #failure: unknown
  #tasks: ReadonlyMap<string, Task<any>> = new Map()

  /**
   * Connects to the server. Does not wait for it: 'error' tells, and tasks reject, if it cannot be reached.
   * @throws TypeError, RangeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE
   * @throws UnsupportedError ERR_MP_NO_NATS: the client of NATS is not installed
   */
  constructor(options?: ClusterPoolOptions) {
    super()
    const checked = checkClusterOptions(options)
    this.#options = checked
    this.#functions = new ClusterFunctions(checked.free, checked.named)
    if (checked.local !== undefined) {
      this.#local = new Pool(checked.local)
      this.#local.on('drain', () => this.emit('drain'))
      this.#local.on('error', (error) => this.#tell(error))
      return
    }
    peers()
    this.#submitter = new Submitter(new Names(checked.pool), checked, {
      failed: (error) => {
        if (this.#submitter!.ended && this.#state === 'open') {
          this.#state = 'broken'
          this.#failure = error
        }
        this.#tell(error)
      },
      drained: () => void process.nextTick(() => this.emit('drain')),
    })
    const submitter = this.#submitter
    this.#requests = new Requests(
      {
        host: submitter,
        get workers() {
          return submitter.presence.workers
        },
        checkOpen: () => this.#checkOpen(),
        functionOf: (fn) => this.#functions.of(fn),
        body: (values, name, first) => this.#body(values, name, first),
      },
      checked.settings,
    )
  }
  #tell(error: unknown): void {
    if (this.listenerCount('error') > 0) process.nextTick(() => this.emit('error', error))
  }

  /** Resolves when the server was reached. Rejects with what the client of NATS says. */
  async ready(): Promise<void> {
    await this.#submitter?.opened
  }

  // ---- calls ---------------------------------------------------------------------------------------------------------

  /** Calls `fn(...args)` on some node. Otherwise as Pool.apply(). */
  apply<R>(fn: () => R, args?: readonly [], options?: ClusterTaskOptions<Awaited<R>>): Task<Awaited<R>>
  apply<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    args: Readonly<NoInfer<A>>,
    options?: ClusterTaskOptions<Awaited<R>>,
  ): Task<Awaited<R>>
  apply(fn: Fn, args: any = [], options?: ClusterTaskOptions<any>): Task<any> {
    try {
      checkId(options)
      if (this.#local !== undefined) return this.#local.apply(fn, args, options)
      const wanted = this.#requests!.wanted(options, false)
      const { job, units } = this.#requests!.apply(fn, args, wanted)
      return this.#start(job, units, wanted, options?.id)
    } catch (error) {
      return rejectedTask(error, options)
    }
  }
  /** As Pool.map(). */
  map<T, R>(fn: (item: T) => R, items: Iterable<T>, options?: ClusterMapOptions<Awaited<R>[]>): Task<Awaited<R>[]> {
    return this.#map(fn, items, options, 0)
  }
  /** As Pool.starmap(). */
  starmap<A extends readonly unknown[], R>(
    fn: (...args: A) => R,
    items: Iterable<Readonly<NoInfer<A>>>,
    options?: ClusterMapOptions<Awaited<R>[]>,
  ): Task<Awaited<R>[]> {
    return this.#map(fn, items as Iterable<any>, options, SPREAD)
  }
  #map(fn: Fn, iterable: Iterable<any>, options: ClusterMapOptions | undefined, flags: number): Task<any> {
    try {
      checkId(options)
      if (this.#local !== undefined)
        return flags === SPREAD ? this.#local.starmap(fn, iterable, options) : this.#local.map(fn, iterable, options)
      const wanted = this.#requests!.wanted(options, false)
      const { job, units } = this.#requests!.map(fn, iterable, wanted, flags)
      const task = this.#start(job, units, wanted, options?.id)
      job.check()
      return task
    } catch (error) {
      return rejectedTask(error, options)
    }
  }
  #start(job: ApplyJob | MapJob, units: Unit[], wanted: Wanted, id: string | undefined): Task<any> {
    const submitter = this.#submitter!
    const task = job.task()
    submitter.begin(job)
    submitter.name(job, id)
    job.watch(wanted.signal, (reason) => job.cancel(reason))
    for (const unit of units) if (!job.over) submitter.submit(unit)
    return task
  }

  /** As Pool.imap(). */
  imap<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options: ClusterImapOptions & { settle: true },
  ): Iterator<PromiseSettledResult<Awaited<R>>>
  imap<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options?: ClusterImapOptions,
  ): Iterator<Awaited<R>>
  imap(fn: Fn, items: Iterable<unknown> | AsyncIterable<unknown>, options?: ClusterImapOptions): Iterator<any> {
    return this.#local?.imap(fn, items, options) ?? this.#imap(fn, items, options, true)
  }
  /** As Pool.imapUnordered(). */
  imapUnordered<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options: ClusterImapOptions & { settle: true },
  ): Iterator<PromiseSettledResult<Awaited<R>>>
  imapUnordered<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options?: ClusterImapOptions,
  ): Iterator<Awaited<R>>
  imapUnordered(
    fn: Fn,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options?: ClusterImapOptions,
  ): Iterator<any> {
    return this.#local?.imapUnordered(fn, items, options) ?? this.#imap(fn, items, options, false)
  }
  #imap(
    fn: Fn,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    options: ClusterImapOptions | undefined,
    ordered: boolean,
  ): Iterator<any> {
    const wanted = this.#requests!.wanted(options, false)
    const job = this.#requests!.imap(fn, items, wanted, { ordered, mayBeAsync: true })
    return new ImapIterator(job, wanted.signal)
  }

  /** Calls `fn(...args)` once in each worker of each node that is there now, and gives the results. Rejects as map(). */
  broadcast<A extends readonly unknown[], R>(fn: (...args: A) => R, args?: Readonly<NoInfer<A>>): Task<Awaited<R>[]> {
    if (this.#local !== undefined) return this.#local.broadcast(fn, args)
    try {
      checkArgs(args ?? [])
      this.#checkOpen()
      const call = this.#functions.of(fn)
      const wanted = this.#requests!.wanted(undefined, false)
      const job = new Broadcast(this.#submitter!, fn, call, wanted.settings, wanted)
      const task = job.task()
      void job.run(this.#options, encodeValue(args ?? [], 'args', this.#options.free))
      return task
    } catch (error) {
      return rejectedTask(error, undefined)
    }
  }

  #body(values: readonly unknown[], name: 'args' | 'items', first: number): Body {
    const { free } = this.#options
    const parts =
      name === 'args'
        ? [encodeValue(values, name, free)]
        : values.map((value, k) => encodeValue(value, `${name}[${first + k}]`, free))
    return bytesBody(packParts(parts))
  }
  #checkOpen(): void {
    if (this.#state === 'broken') throw this.#failure
    if (this.#state !== 'open') throw new ClosedError(`the pool is ${this.#state}`)
    const { maxQueue } = this.#options
    if (this.#submitter!.entries.size >= maxQueue)
      throw new QueueFullError(`${maxQueue} tasks of the pool are under way already (maxQueue)`)
  }

  // ---- leaving and coming back ---------------------------------------------------------------------------------------

  /** The name under which its tasks are known: for attach(). */
  get id(): string | undefined {
    return this.#submitter?.session
  }
  /**
   * Leaves: the tasks of apply, map and starmap go on without this process, and attach(id) gets their results, for `keep` ms. Here
   * they reject with CancelledError, which counts as handled. Resolves with the id when the server has all of them.
   */
  async detach(): Promise<string> {
    const submitter = this.#remote('detach()')
    if (this.#state !== 'open' && this.#state !== 'closed') throw new StateError(`the pool is ${this.#state}`)
    this.#state = 'detached'
    await submitter.stored()
    await writeManifest(submitter)
    await submitter.leave(new CancelledError('the pool was detached'))
    return submitter.session
  }
  /**
   * Takes up what a pool has left with detach(): `tasks` has its tasks. Rejects with StateError (`ERR_MP_STATE`) if nothing was
   * left under this id, UnsupportedError without a server.
   */
  static async attach(id: string, options?: Omit<ClusterPoolOptions, 'id' | 'local'>): Promise<ClusterPool> {
    checkName('id', id)
    if (checkClusterOptions({ ...options, id }).local !== undefined)
      throw new UnsupportedError('attach() needs a server: this pool would be local')
    const pool = new this({ ...options, id })
    try {
      pool.#tasks = await readManifest(pool.#submitter!, pool.#options.settings)
      return pool
    } catch (error) {
      pool.#state = 'detached'
      pool.#submitter!.leave(new CancelledError('nothing was attached')).catch(() => {})
      throw error
    }
  }
  /** After attach(): the tasks that were left, by their ids (`#1`, `#2` … in their order, where none was given). Their errors count as handled. */
  get tasks(): ReadonlyMap<string, Task<any>> {
    return this.#tasks
  }
  #remote(what: string): Submitter {
    if (this.#submitter === undefined) throw new UnsupportedError(`${what} needs a server: this pool is local`)
    return this.#submitter
  }

  // ---- the end -------------------------------------------------------------------------------------------------------

  /** No tasks are taken any more; the connection ends when those that were are done. Does not block. */
  close(): void {
    if (this.#state === 'open') this.#state = 'closed'
    this.#local?.close()
    this.#submitter?.close()
  }
  /** Gives up at once what is not done: CancelledError, which counts as handled. Nodes abort what they have. Does not block. */
  terminate(): void {
    if (this.#state !== 'broken') this.#state = 'terminated'
    this.#local?.terminate()
    this.#submitter?.terminate()
  }
  /** Waits until it has ended, after close() or terminate(): as Pool.join(). */
  async join(options?: WaitOptions): Promise<boolean> {
    if (this.#local !== undefined) return await this.#local.join(options)
    const wait = asyncWait(options)
    if (this.#state === 'open') throw new StateError('the pool is open: call close() or terminate() before join()')
    return await ended(this.#submitter!, wait)
  }
  /** Closes the pool and waits for it: `await using pool = new ClusterPool(…)`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await this.join()
  }

  /** What this pool's tasks do and have done, and the nodes that are there. `processes`, `busy`: of all nodes. */
  stats(): ClusterStats {
    if (this.#local !== undefined) return { ...this.#local.stats(), nodes: [] }
    const submitter = this.#submitter!
    const nodes = submitter.presence.nodes
    const sum = (key: 'processes' | 'busy'): number => nodes.reduce((total, node) => total + node[key], 0)
    return {
      processes: sum('processes'),
      busy: sum('busy'),
      queued: submitter.entries.size,
      ...submitter.results.counts,
      waitTime: submitter.results.waitTimes.summary(),
      runTime: submitter.results.runTimes.summary(),
      nodes,
    }
  }

  /** Pending tasks keep the event loop alive (the default). An idle pool does not. */
  ref(): this {
    this.#local?.ref()
    this.#submitter?.setRef(true)
    return this
  }
  /** Pending tasks do not keep the event loop alive. */
  unref(): this {
    this.#local?.unref()
    this.#submitter?.setRef(false)
    return this
  }

  [inspect.custom](): string {
    const where = this.#local !== undefined ? 'local' : `pool=${this.#options.pool}`
    return `<${this.constructor.name} ${this.#state} ${where}>`
  }
  /** A pool belongs to its process. */
  [Symbol.for('multiproc.reduce')](): never {
    throw new StateError('a pool cannot be sent to another process')
  }
}

function checkId(options: ClusterTaskOptions | undefined): void {
  if (options?.id !== undefined) checkString('options.id', options.id)
}
