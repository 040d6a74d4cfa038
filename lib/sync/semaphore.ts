// Semaphore and BoundedSemaphore: permits. Who is next in line gets the permit from whoever releases it, so nobody starves.
//
//   state    VALUE permits that are free · LIMIT the initial value
//   cell     held: permits that this owner took and did not release; they come back when it dies
import { checkFunction, invalidType, outOfRange } from '../check'
import { StateError } from '../errors'
import type { BlockHandle } from '../memory'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import { type Held, Permit, runHeld, runHeldSync } from './held'
import { ASYNC, LIMIT, VALUE } from './monitor'
import type { Named } from './robust-lock'
import { registerSync, SyncObject } from './sync-object'

const MAX = 2 ** 30
const SYNC = 0

/**
 * A counter of permits that processes and worker threads share. `acquire` waits for a permit and takes it, `release` gives
 * one back, or a further one: semaphores also serve as signals. A permit that was taken through `acquire` and not released
 * comes back when its owner is killed, never above the initial value.
 */
export class Semaphore extends SyncObject {
  /** @param value how many permits there are at first, 0 to 2^30 */
  constructor(value?: number, options?: Named)
  /** @internal */
  constructor(value: undefined, options: Named, handle: BlockHandle)
  constructor(value: number | undefined = 1, options?: Named, handle?: BlockHandle) {
    if (typeof value !== 'number') throw invalidType('value', `an integer from 0 to ${MAX}`, value)
    if (!Number.isInteger(value) || value < 0 || value > MAX)
      throw outOfRange('value', `an integer from 0 to ${MAX}`, value)
    super(options, handle)
    if (handle === undefined) {
      this.put(VALUE, value)
      this.put(LIMIT, value)
    }
  }

  /** This thread's cell for blocking calls; −1: it has none yet. */
  #cell = -1

  /** Permits that are free just now. Does not block. */
  get value(): number {
    this.enter()
    if (this.get(VALUE) < this.get(LIMIT)) this.recover()
    const value = this.get(VALUE)
    this.exit()
    return value
  }
  /** Is there no permit to be had just now? */
  locked(): boolean {
    return this.value === 0
  }

  /** Takes a permit if one is free and nobody waits for it; else gives `null`. Never blocks. */
  tryAcquire(): Held | null {
    if (this.#cell >= 0 && this.quickStep(this.#cell, -1, MAX)) return new Permit(this)
    this.enter()
    this.#cell = this.myCell(SYNC)
    const taken = this.#takeNow(this.#cell)
    this.exit()
    return taken ? new Permit(this) : null
  }

  /** Takes a permit; the event loop stays free. `null` after a time-out. Rejects with `signal.reason` when aborted. */
  acquire(options?: { timeout?: undefined; signal?: AbortSignal }): Promise<Held>
  acquire(options?: WaitOptions): Promise<Held | null>
  async acquire(options?: WaitOptions): Promise<Held | null> {
    const { timeout, signal } = asyncWait(options)
    signal?.throwIfAborted()
    this.enter()
    const cell = this.myCell(ASYNC)
    const taken = this.#takeNow(cell)
    if (!taken && timeout > 0) this.beginWait(cell)
    this.exit()
    if (taken) return new Permit(this)
    if (timeout === 0) return null
    return await this.waitAsync(cell, timeout, signal, (result) => (result === null ? null : new Permit(this)))
  }

  /** Takes a permit, blocking this thread in the kernel until there is one; `null` after a time-out. */
  acquireSync(options?: { timeout?: undefined }): Held
  acquireSync(options?: WaitSyncOptions): Held | null
  acquireSync(options?: WaitSyncOptions): Held | null {
    const timeout = syncTimeout(options)
    if (this.#cell >= 0 && this.quickStep(this.#cell, -1, MAX)) return new Permit(this)
    this.enter()
    const cell = this.myCell(SYNC)
    this.#cell = cell
    const taken = this.#takeNow(cell)
    if (!taken && timeout > 0) this.beginWait(cell)
    this.exit()
    if (taken) return new Permit(this)
    return timeout > 0 && this.block(cell, timeout) !== null ? new Permit(this) : null
  }

  /** Gives a permit back, or a further one. BoundedSemaphore throws StateError (`ERR_MP_RELEASED_TOO_OFTEN`) for that. */
  release(): void {
    if (this.#cell >= 0 && this.quickStep(this.#cell, 1, this.bounded() ? this.get(LIMIT) : MAX)) return
    this.enter()
    const value = this.get(VALUE)
    if (this.bounded() && value >= this.get(LIMIT)) {
      this.exit()
      throw new StateError(`${this.label()} was released too often`, 'ERR_MP_RELEASED_TOO_OFTEN')
    }
    if (value >= MAX) {
      this.exit()
      throw new StateError(`${this.label()} has as many permits as there can be`, 'ERR_MP_RELEASED_TOO_OFTEN')
    }
    // Given back by whoever took it, if by this thread; else it is a signal, or given back on somebody's behalf.
    let cell = this.myCell(SYNC)
    if (this.held(cell) === 0) cell = this.#holdingCell() ?? cell
    const held = this.held(cell)
    this.step({ value: value + 1 }, cell, { held: held > 0 ? held - 1 : 0 })
    if (this.waitingCount > 0) {
      this.recover()
      this.#grantAll()
    }
    this.exit()
  }

  /** Runs `fn` while holding a permit. A time-out rejects with TimeoutError. */
  async with<R>(fn: (held: Held) => R | PromiseLike<R>, options?: WaitOptions): Promise<R> {
    checkFunction('fn', fn)
    return await runHeld(await this.acquire(options), `${this.label()} had no permit in time`, fn)
  }
  /** Runs `fn` while holding a permit, blocking until there is one. A time-out throws TimeoutError. */
  withSync<R>(fn: (held: Held) => R, options?: WaitSyncOptions): R {
    checkFunction('fn', fn)
    return runHeldSync(this.acquireSync(options), `${this.label()} had no permit in time`, fn)
  }

  /** @internal */
  protected bounded(): boolean {
    return false
  }
  #takeNow(cell: number): boolean {
    if (this.get(VALUE) === 0 || this.waitingCount > 0) this.recover()
    const value = this.get(VALUE)
    if (value === 0 || this.waitingCount > 0) return false
    this.step({ value: value - 1 }, cell, { held: this.held(cell) + 1 })
    return true
  }
  #holdingCell(): number | undefined {
    for (const cell of this.mine()) if (this.held(cell) > 0) return cell
    return undefined
  }
  #grantAll(): void {
    for (let value = this.get(VALUE); value > 0; value--) {
      const cell = this.firstWaiting()
      if (cell < 0) return
      this.grant(cell, 1, { value: value - 1 }, this.held(cell) + 1)
    }
  }

  /** @internal */
  protected ownerDied(cell: number, unused: number): void {
    const value = this.get(VALUE) + unused // what it was granted, and never took
    const back = Math.min(this.held(cell) - unused, Math.max(0, this.get(LIMIT) - value))
    this.step({ value: value + back }, cell, { held: 0, granted: 0 })
  }
  /** @internal */
  protected afterDeath(): void {
    this.#grantAll()
  }
  /** @internal A release whose grant did not come. */
  protected override mend(): void {
    this.#grantAll()
  }
  /** @internal */
  protected override get type(): number {
    return 1
  }
  /** @internal */
  protected shown(): object {
    return { value: this.value, waiting: this.waitingCount }
  }
}

/** A Semaphore that cannot have more permits than at first: a release too many throws. */
export class BoundedSemaphore extends Semaphore {
  /** @internal */
  protected override get type(): number {
    return 2
  }
  protected override bounded(): boolean {
    return true
  }
}

registerSync(
  'Semaphore',
  Semaphore,
  (_, ticket) => ticket,
  (ticket) => new Semaphore(undefined, ticket, ticket),
)
registerSync(
  'BoundedSemaphore',
  BoundedSemaphore,
  (_, ticket) => ticket,
  (ticket) => new BoundedSemaphore(undefined, ticket, ticket),
)
