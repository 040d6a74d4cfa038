// Condition: waiting, with a lock, for what somebody else brings about under the same lock.
//
//   state    X: how many are still to be notified, by a notify under way or because a notified waiter died
//   wait     begin in the own cell · release the lock · sleep · take the lock again
//   notify   grants to those who wait longest; a grant that its owner's death leaves unused goes to the next
import { checkFunction, checkInteger, invalidType } from '../check'
import { StateError } from '../errors'
import type { BlockHandle } from '../memory'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import type { Held } from './held'
import { Lock } from './lock'
import { ASYNC, X } from './monitor'
import { RLock } from './rlock'
import type { Named } from './robust-lock'
import { registerSync, SyncObject, type SyncTicket } from './sync-object'

const SYNC = 0
const ALL = 0x7fffffff

/** A condition variable that processes and worker threads share, with its lock (given, or an RLock of its own). */
export class Condition extends SyncObject {
  readonly #lock: Lock | RLock

  constructor(lock?: Lock | RLock | null, options?: Named)
  /** @internal */
  constructor(lock: Lock | RLock, options: Named, handle: BlockHandle)
  constructor(lock?: Lock | RLock | null, options?: Named, handle?: BlockHandle) {
    if (lock !== undefined && lock !== null && !(lock instanceof Lock) && !(lock instanceof RLock))
      throw invalidType('lock', 'a Lock or an RLock', lock)
    super(options, handle)
    this.#lock = lock ?? new RLock(options)
  }
  /** @internal */
  get lock(): Lock | RLock {
    return this.#lock
  }

  /** Acquires the condition's lock: as Lock.acquire. */
  acquire(options?: { timeout?: undefined; signal?: AbortSignal }): Promise<Held>
  acquire(options?: WaitOptions): Promise<Held | null>
  async acquire(options?: WaitOptions): Promise<Held | null> {
    this.checkOpen()
    return this.#lock.acquire(options)
  }
  /** Acquires the condition's lock, blocking: as Lock.acquireSync. */
  acquireSync(options?: { timeout?: undefined }): Held
  acquireSync(options?: WaitSyncOptions): Held | null
  acquireSync(options?: WaitSyncOptions): Held | null {
    this.checkOpen()
    return this.#lock.acquireSync(options)
  }
  /** Acquires the condition's lock if that needs no waiting: as Lock.tryAcquire. */
  tryAcquire(): Held | null {
    this.checkOpen()
    return this.#lock.tryAcquire()
  }
  /** Releases the condition's lock: as Lock.release. */
  release(): void {
    this.#lock.release()
  }
  /** Runs `fn` with the condition's lock: as Lock.with. */
  async with<R>(fn: (held: Held) => R | PromiseLike<R>, options?: WaitOptions): Promise<R> {
    this.checkOpen()
    return this.#lock.with(fn, options)
  }
  /** Runs `fn` with the condition's lock, blocking: as Lock.withSync. */
  withSync<R>(fn: (held: Held) => R, options?: WaitSyncOptions): R {
    this.checkOpen()
    return this.#lock.withSync(fn, options)
  }

  /**
   * Releases the lock, waits to be notified, and takes the lock again: true; false after a time-out. An abort rejects with
   * `signal.reason`. In each case the lock is held again. Throws StateError (`ERR_MP_NOT_OWNER`) if it is not held.
   */
  async wait(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = asyncWait(options)
    this.#checkHeld('wait')
    signal?.throwIfAborted()
    const cell = this.#begin(ASYNC)
    const notified = await this.#lock.whileReleased(() =>
      this.waitAsync(cell, timeout, signal, (result) => result !== null),
    )
    if (notified) this.confirm(cell)
    return notified
  }

  /** As wait(), blocking this thread. */
  waitSync(options?: WaitSyncOptions): boolean {
    const timeout = syncTimeout(options)
    this.#checkHeld('wait')
    const cell = this.#begin(SYNC)
    const acquisition = this.#lock.releaseAll()
    let notified: boolean
    try {
      notified = this.block(cell, timeout) !== null
    } finally {
      this.#lock.acquireSync()
      this.#lock.restore(acquisition)
    }
    if (notified) this.confirm(cell)
    return notified
  }

  /** Waits until `predicate` (which may be asynchronous, and runs with the lock held) is true; false after a time-out. */
  async waitFor(predicate: () => unknown, options?: WaitOptions): Promise<boolean> {
    checkFunction('predicate', predicate)
    const { timeout, signal } = asyncWait(options)
    this.#checkHeld('wait')
    const deadline = performance.now() + timeout
    while (!(await predicate())) {
      const left = deadline - performance.now()
      if (left <= 0) return false
      await this.wait({ timeout: left, signal })
    }
    return true
  }
  /** As waitFor(), blocking this thread. */
  waitForSync(predicate: () => unknown, options?: WaitSyncOptions): boolean {
    checkFunction('predicate', predicate)
    const timeout = syncTimeout(options)
    this.#checkHeld('wait')
    const deadline = performance.now() + timeout
    for (;;) {
      const holds = predicate()
      if (holds instanceof Promise) throw invalidType('predicate', 'a function that gives no promise', predicate)
      if (holds) return true
      const left = deadline - performance.now()
      if (left <= 0) return false
      this.waitSync({ timeout: left })
    }
  }

  /** Lets the `n` that have waited longest go on, when they get the lock. Throws StateError if the lock is not held. */
  notify(n = 1): void {
    checkInteger('n', n, 0, ALL)
    this.#checkHeld('notify')
    this.#notify(n)
  }
  /** Lets all that wait go on. */
  notifyAll(): void {
    this.#checkHeld('notify')
    this.#notify(ALL)
  }

  #notify(n: number): void {
    this.enter()
    if (this.waitingCount > 0) this.recover()
    this.step({ x: n })
    this.mend()
    this.exit()
  }
  /** @internal Notifies as many as X says are still to be. */
  protected override mend(): void {
    for (let left = this.get(X); left > 0; left--) {
      const cell = this.firstWaiting()
      if (cell < 0) break
      this.grant(cell, 1, { x: left - 1 })
    }
    if (this.get(X) !== 0) this.step({ x: 0 })
  }
  #begin(tag: number): number {
    this.enter()
    const cell = this.myCell(tag)
    this.beginWait(cell)
    this.exit()
    return cell
  }
  #checkHeld(verb: string): void {
    this.checkOpen()
    if (!this.#lock.isMine())
      throw new StateError(`cannot ${verb}: this thread does not hold the lock of ${this.label()}`, 'ERR_MP_NOT_OWNER')
  }

  /** @internal A notification is used when its waiter has the lock again: if it dies before, the next one gets it. */
  protected override get confirms(): boolean {
    return true
  }
  /** @internal */
  protected ownerDied(cell: number, unused: number): void {
    this.step({ x: Math.min(this.get(X) + unused, ALL) }, cell, { granted: 0, held: 0 })
  }
  /** @internal */
  protected afterDeath(): void {
    this.mend()
  }
  /** @internal */
  protected override get type(): number {
    return 3
  }
  /** @internal */
  protected shown(): object {
    return { waiting: this.waitingCount, lock: this.#lock }
  }
}

registerSync(
  'Condition',
  Condition,
  (condition, ticket) => ({ ...ticket, lock: condition.lock }),
  (data: SyncTicket & { lock: Lock | RLock }) => new Condition(data.lock, data, data),
)
