// Lock: mutual exclusion between processes and threads. Anybody may release it, as in Python.
import { StateError } from '../errors'
import { Kind } from '../memory'
import type { Acquisition, Held } from './held'
import { ACQUISITION, type CellPlace, COUNTER, type Named, RobustLock, registerLock } from './robust-lock'

/**
 * A lock that processes and worker threads share. It is not re-entrant: an owner that acquires it again waits for itself.
 * When its owner dies it goes to the next, whose `held.abandoned` is true.
 *
 * ```ts
 * const held = await lock.acquire()
 * try { … } finally { held.release() }
 * ```
 */
export class Lock extends RobustLock {
  constructor(options?: Named)
  /** @internal */
  constructor(options: Named | undefined, place: CellPlace)
  constructor(options?: Named, place?: CellPlace) {
    super(place ?? Kind.lock, options)
  }
  /** @internal */
  static from(place: CellPlace, options: Named): Lock {
    return new this(options, place)
  }

  /** @internal */
  tryFast(): boolean {
    return Atomics.compareExchange(this.cell, this.at, 0, this.me) === 0
  }
  /** @internal */
  take(held: Acquisition, abandoned: boolean): Held {
    // Only who holds the lock touches the number, so a plain increment does.
    const number = (this.cell[this.at + COUNTER]! + 1) | 0
    this.cell[this.at + COUNTER] = number
    this.cell[this.at + ACQUISITION] = number
    return held.begin(number, abandoned)
  }
  /** @internal */
  releaseHeld(acquisition: number): void {
    const { cell, at } = this.place()
    if (cell[at + ACQUISITION] !== acquisition) return
    if (Atomics.compareExchange(cell, at, this.me, 0) !== this.me) this.releaseSlowly(this.me)
  }

  /** Releases the lock, whoever holds it. Throws StateError (`ERR_MP_RELEASED_TOO_OFTEN`) if nobody does. */
  release(): void {
    if (Atomics.compareExchange(this.cell, this.at, this.me, 0) === this.me) return
    if (!this.releaseSlowly(0))
      throw new StateError(`${this.label()} was released too often: nobody holds it`, 'ERR_MP_RELEASED_TOO_OFTEN')
  }
}

registerLock('Lock', Lock, [Kind.lock])
