// imap and imapUnordered: items are taken from their source only as far as there is room in a window, so that an endless source
// needs no more memory than a short one.
//
//   source ─▶ [chunk being filled] ─▶ units ─▶ results by item ─▶ next()
//             └───────── at most `window` items, until they are taken ───┘
import { CancelledError, TimeoutError } from '../errors'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import { Job, type JobHost } from './job'
import type { Body } from './lane'
import type { Wanted } from './options'
import { CHUNKED, PROGRESSING, SETTLE, SPREAD, TIMED } from './protocol'
import { type PoolFunction, Unit } from './unit'

type Outcome = { ok: true; value: unknown } | { ok: false; error: unknown }
type Source = Iterator<unknown> | AsyncIterator<unknown>

export interface ImapPlan {
  ordered: boolean
  source: Source
  async: boolean
  /** How many items may be under way. */
  window: number
  /** The bytes of a chunk, of which `first` is the index of the first item. Throws SerializationError. */
  body(items: readonly unknown[], first: number): Body
  /** Items are lists of arguments. */
  spread?: boolean
}

export class ImapJob extends Job {
  readonly #engine: JobHost
  readonly #plan: ImapPlan
  readonly #chunkSize: number
  readonly #settle: boolean
  readonly #flags: number
  /** How many items may be taken ahead of the consumer. */
  #window: number
  /** The consumer has got an error, and has not asked again: a loop was left by it. */
  #left = false
  #chunk: unknown[] = []
  #chunkFirst = 0
  #pulled = 0
  #given = 0
  #taken = 0
  #pulling = false
  #exhausted = false
  /** What the source has thrown, after its last item. */
  #sourceError: { error: unknown } | undefined
  /** The first error, for those who follow it. */
  #failure: { error: unknown } | undefined
  /** null: behind an item of its chunk that has thrown. Ordered: by item. Unordered: in the order of their coming. */
  readonly #ready = new Map<number, Outcome | null>()
  readonly #waiters: (() => void)[] = []

  constructor(engine: JobHost, fn: object, call: PoolFunction, wanted: Wanted, plan: ImapPlan) {
    super(fn, call, wanted.settings)
    this.#engine = engine
    this.#plan = plan
    this.#window = plan.window
    this.#chunkSize = wanted.chunkSize ?? 1
    this.#settle = wanted.settle
    this.onProgress = wanted.onProgress
    this.#flags =
      CHUNKED |
      (this.#settle ? SETTLE : 0) |
      (plan.spread === true ? SPREAD : 0) |
      (wanted.settings.timeout === Number.POSITIVE_INFINITY ? 0 : TIMED) |
      (wanted.onProgress ? PROGRESSING : 0)
    engine.begin(this)
  }

  // ---- from the source -----------------------------------------------------------------------------------------------

  pull(): void {
    if (this.#pulling || this.over) return
    if (this.#plan.async) void this.#pullAsync()
    else this.#pullNow()
    this.#check()
    this.#look()
  }
  get #room(): boolean {
    return !this.#exhausted && !this.over && this.#pulled - this.#taken < this.#window
  }
  #pullNow(): void {
    this.#pulling = true
    try {
      while (this.#room) {
        const next = (this.#plan.source as Iterator<unknown>).next()
        if (next.done) this.#exhaust()
        else this.#add(next.value)
      }
    } catch (error) {
      this.#exhaust({ error })
    } finally {
      this.#pulling = false
    }
    // What is begun must not wait for a chunk that the window keeps from being filled.
    if (this.#given === this.#taken + this.#ready.size) this.#send()
  }
  async #pullAsync(): Promise<void> {
    this.#pulling = true
    try {
      while (this.#room) {
        const next = await this.#plan.source.next()
        if (this.over) return
        if (next.done) this.#exhaust()
        else {
          this.#add(next.value)
          // The source may be slow: nobody waits for it to fill a chunk.
          if (this.#given === this.#taken + this.#ready.size) this.#send()
        }
      }
    } catch (error) {
      if (!this.over) this.#exhaust({ error })
    } finally {
      this.#pulling = false
    }
    this.#check()
    this.#look()
  }
  #add(item: unknown): void {
    this.#chunk.push(item)
    this.#pulled++
    if (this.#chunk.length >= this.#chunkSize) this.#send()
  }
  #exhaust(failure?: { error: unknown }): void {
    this.#exhausted = true
    this.#sourceError = failure
    if (failure === undefined) this.#send()
    else {
      // As in Python: a chunk that was not filled when its source failed is not run.
      this.#pulled -= this.#chunk.length
      this.#chunk = []
    }
  }
  #send(): void {
    const items = this.#chunk
    if (items.length === 0) return
    const first = this.#chunkFirst
    this.#chunk = []
    this.#chunkFirst = first + items.length
    this.#given += items.length
    try {
      const body = this.#plan.body(items, first)
      this.#engine.submit(new Unit(this, this.call, this.#flags, first, items.length, body))
    } catch (error) {
      if (this.#settle) for (let k = 0; k < items.length; k++) this.itemFailed(first + k, error)
      else {
        this.itemFailed(first, error)
        this.skipped(first + 1, first + items.length)
      }
    }
  }

  // ---- to the consumer -----------------------------------------------------------------------------------------------

  itemDone(item: number, value: unknown): void {
    this.#arrived(item, { ok: true, value })
  }
  itemFailed(item: number, error: unknown): void {
    this.#failure ??= { error }
    this.#arrived(item, { ok: false, error })
  }
  override skipped(from: number, to: number): void {
    for (let item = from; item < to; item++) this.#arrived(item, null)
  }
  #arrived(item: number, outcome: Outcome | null): void {
    if (this.over) return
    this.#ready.set(item, outcome)
    this.#check()
    if (this.#waiters.length > 0) this.#wake()
    else this.#look()
  }
  giveUp(error: unknown): void {
    if (this.over) return
    this.#failure = { error }
    this.#finish()
    this.#exhausted = true
    this.#sourceError = { error }
    this.#chunk = []
    this.#release()
    this.#wake()
  }
  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter()
  }

  /** The next result; undefined: it is not there yet. `done` is the end. */
  take(): IteratorResult<unknown> | { failed: unknown } | undefined {
    let outcome: Outcome | null | undefined
    this.#left = false
    do {
      outcome = this.#next()
      if (outcome === undefined) return this.#takeEnd()
      this.#taken++
      this.pull()
    } while (outcome === null)
    if (this.#settle)
      return {
        done: false,
        value: outcome.ok
          ? { status: 'fulfilled', value: outcome.value }
          : { status: 'rejected', reason: outcome.error },
      }
    if (outcome.ok) return { done: false, value: outcome.value }
    this.#left = true
    return { failed: outcome.error }
  }
  #next(): Outcome | null | undefined {
    if (this.#plan.ordered) {
      const outcome = this.#ready.get(this.#taken)
      if (outcome !== undefined) this.#ready.delete(this.#taken)
      return outcome
    }
    for (const [item, first] of this.#ready) {
      this.#ready.delete(item)
      return first
    }
    return undefined
  }
  #takeEnd(): IteratorResult<unknown> | { failed: unknown } | undefined {
    if (!this.over && !(this.#exhausted && this.#taken === this.#pulled)) return undefined
    const failure = this.#sourceError
    this.#sourceError = undefined
    this.#check()
    return failure === undefined ? { done: true, value: undefined } : { failed: failure.error }
  }
  /** Nothing of it is in the pool any more: the pool may close. */
  #check(): void {
    if (this.over || !this.#exhausted || this.#taken + this.#ready.size < this.#pulled) return
    this.#failure ??= this.#sourceError
    this.#finish()
  }
  /** Does it wait for its consumer? */
  #look(): void {
    const rests =
      !this.over && !this.#pulling && this.#waiters.length === 0 && this.#given === this.#taken + this.#ready.size
    if (rests === this.rests || this.over) return
    this.rests = rests
    this.#engine.rested(this)
  }
  override goOn(): void {
    if (this.#left) {
      this.cancel(new CancelledError('the iteration was left'))
      return
    }
    this.#window += this.#plan.window
    this.pull()
  }
  #finish(): void {
    this.#engine.finish(this)
    this.trace?.settle(this.#failure === undefined, this.#failure?.error, this.sync, () => {})
    if (this.sync) this.trace?.end()
  }
  whenMore(callback: () => void): () => void {
    this.#waiters.push(callback)
    return () => {
      const index = this.#waiters.indexOf(callback)
      if (index >= 0) this.#waiters.splice(index, 1)
    }
  }
  drive(done: () => boolean, timeout: number): boolean {
    return this.#engine.drive(done, timeout)
  }

  /** Results that are there can still be taken; then comes the error. */
  abort(error: unknown): void {
    if (this.over) return
    this.giveUp(error)
    this.#engine.drop(this)
  }
  /** The consumer has left: what is not done never will be. */
  cancel(error: unknown): void {
    if (this.over) return
    this.giveUp(error)
    this.#sourceError = undefined
    this.#ready.clear()
    this.#taken = this.#pulled
    this.#engine.drop(this)
  }
  #release(): void {
    const { source } = this.#plan
    try {
      const returned: unknown = source.return?.()
      if (returned instanceof Promise) returned.catch(() => {})
    } catch {
      // it is over anyway
    }
  }
}

/** Results of imap, asynchronously. `next()` takes WaitOptions; after an error it goes on with the next result. */
export class ImapIterator<R> implements AsyncIterableIterator<R> {
  readonly #job: ImapJob
  #last: Promise<unknown> = Promise.resolve()
  #left = false

  constructor(job: ImapJob, signal: AbortSignal | undefined) {
    this.#job = job
    job.watch(signal, (reason) => job.abort(reason))
    job.pull()
  }
  /** Rejects with what the function has thrown, TimeoutError after `timeout` ms, or `signal.reason`. */
  next(options?: WaitOptions): Promise<IteratorResult<R>> {
    const next = this.#last.then(() => this.#next(options))
    this.#last = next.catch(() => {})
    return next
  }
  async #next(options: WaitOptions | undefined): Promise<IteratorResult<R>> {
    const { timeout, signal } = asyncWait(options)
    signal?.throwIfAborted()
    if (this.#left) return { done: true, value: undefined }
    const deadline = performance.now() + timeout
    for (;;) {
      const got = this.#job.take()
      if (got !== undefined) {
        if ('failed' in got) throw got.failed
        return got as IteratorResult<R>
      }
      await new Promise<void>((resolve, reject) => {
        const left = deadline - performance.now()
        if (left <= 0) return reject(new TimeoutError('no result came in time'))
        const end = (settle: () => void): void => {
          stop()
          clearTimeout(timer)
          signal?.removeEventListener('abort', abort)
          settle()
        }
        const abort = (): void => end(() => reject(signal!.reason))
        const stop = this.#job.whenMore(() => end(resolve))
        const timer =
          left < 2 ** 31
            ? setTimeout(() => end(() => reject(new TimeoutError('no result came in time'))), left)
            : undefined
        signal?.addEventListener('abort', abort, { once: true })
      })
    }
  }
  /** Cancels what has not been done. */
  async return(value?: unknown): Promise<IteratorResult<R>> {
    this.#left = true
    this.#job.cancel(new CancelledError('the iteration was left'))
    return { done: true, value: value as R }
  }
  /** As return(), and rejects with `error`. */
  async throw(error: unknown): Promise<IteratorResult<R>> {
    await this.return()
    throw error
  }
  /** Itself. */
  [Symbol.asyncIterator](): this {
    return this
  }
  /** As return(). */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }
}

/** Results of imapSync: `next()` blocks this thread. */
export class ImapSyncIterator<R> implements IterableIterator<R> {
  readonly #job: ImapJob
  #left = false

  constructor(job: ImapJob) {
    this.#job = job
    job.sync = true
    job.pull()
  }
  /** Throws what the function has thrown, or TimeoutError after `timeout` ms. */
  next(options?: WaitSyncOptions): IteratorResult<R> {
    const timeout = syncTimeout(options)
    if (this.#left) return { done: true, value: undefined }
    let got: ReturnType<ImapJob['take']>
    const taken = (): boolean => {
      got ??= this.#job.take()
      return got !== undefined
    }
    if (!this.#job.drive(taken, timeout)) throw new TimeoutError('no result came in time')
    if ('failed' in got!) throw got.failed
    return got as IteratorResult<R>
  }
  /** Cancels what has not been done. */
  return(value?: unknown): IteratorResult<R> {
    this.#left = true
    this.#job.cancel(new CancelledError('the iteration was left'))
    return { done: true, value: value as R }
  }
  /** Itself. */
  [Symbol.iterator](): this {
    return this
  }
}
