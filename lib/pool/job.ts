// Jobs: what one call of the pool asks for. A job makes units, and is told of each of its items once.
//
//   begin ─▶ active ─ settled ─▶ gone
//             ▲  ▼
//            rests: an imap that goes on when its consumer does, or while somebody joins the pool
import type { Trace } from './tracing'
import type { PoolFunction, Unit } from './unit'

/** What holds for all units of a job. */
export interface Settings {
  priority: number
  /** Of one call of the function, ms. */
  timeout: number
  /** How often a call is run again whose worker was lost. */
  retries: number
  /** How long an aborted call has to end by itself, ms. */
  grace: number
}

/** What runs the units of jobs: the engine of this machine's workers, or that of a cluster. */
export interface JobHost {
  begin(job: Job): void
  /** `job.rests` has changed. */
  rested(job: Job): void
  submit(unit: Unit): void
  /** The job is settled. */
  finish(job: Job): void
  /** What of the job is queued never runs; what runs is aborted. */
  drop(job: Job): void
  /** Blocks until `done`: true; false: timed out. */
  drive(done: () => boolean, timeout: number): boolean
}

export abstract class Job {
  readonly settings: Settings
  readonly call: PoolFunction
  /** The function itself: as long as it is needed it counts as known. */
  readonly fn: object
  /** Settled: what is still to come of it is of no interest. */
  over = false
  /** Nothing of it is under way: it waits for its consumer. */
  rests = false
  /** It is driven by a Sync call: nothing of it may wait for the event loop. */
  sync = false
  /** Who follows it. */
  trace: Trace | undefined
  /** The function has told of its progress itself. */
  reported = false
  onProgress: ((done: number, total: number) => void) | undefined
  #unwatch: (() => void) | undefined

  constructor(fn: object, call: PoolFunction, settings: Settings) {
    this.fn = fn
    this.call = call
    this.settings = settings
  }
  abstract itemDone(item: number, value: unknown): void
  abstract itemFailed(item: number, error: unknown): void
  /** These will never run: an item before them has thrown. */
  skipped(from: number, to: number): void {
    void from
    void to
  }
  /** The pool gives it up: cancelled, terminated, broken. */
  abstract giveUp(error: unknown, handled: boolean): void
  /** Somebody waits for the end of the pool: one that rests goes on without its consumer. */
  goOn(): void {}

  /** `aborted` is called when the signal aborts, unless the job is settled by then. */
  watch(signal: AbortSignal | undefined, aborted: (reason: unknown) => void): void {
    if (signal === undefined || this.over) return
    const abort = (): void => aborted(signal.reason)
    if (signal.aborted) {
      abort()
      return
    }
    signal.addEventListener('abort', abort, { once: true })
    this.#unwatch = () => signal.removeEventListener('abort', abort)
  }
  /** A signal may outlive all that it was for. */
  unwatch(): void {
    this.#unwatch?.()
    this.#unwatch = undefined
  }
}

/** The jobs of a host that are not settled. */
export class Jobs extends Set<Job> {
  #resting = 0
  #joined = false

  /** Is anybody waiting for something of them? */
  get active(): boolean {
    return this.size > this.#resting
  }
  override delete(job: Job): boolean {
    if (!super.delete(job)) return false
    if (job.rests) this.#resting--
    job.unwatch()
    return true
  }
  rested(job: Job): void {
    this.#resting += job.rests ? 1 : -1
    if (job.rests && this.#joined) queueMicrotask(() => this.goOn())
  }
  /** Somebody waits for their end. */
  join(): void {
    this.#joined = true
    this.goOn()
  }
  goOn(): void {
    for (const job of [...this]) if (job.rests) job.goOn()
  }
}
