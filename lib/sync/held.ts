// What acquiring gives: the right to release just this acquisition, once.
import { TimeoutError } from '../errors'
import { here } from '../memory'

/** Proof of one acquisition. Releasing twice does nothing, and never ends a later acquisition. */
export interface Held {
  /** Releases it, if that has not been done. Never releases a later acquisition. Does not block. */
  release(): void
  /** As release(), for `using held = await lock.acquire()`. */
  [Symbol.dispose](): void
  /** The owner before died while holding the lock: what it protects may be half changed. */
  readonly abandoned: boolean
}

interface Releasable {
  /** Releases this acquisition if it is still the current one. */
  releaseHeld(acquisition: number): void
}

/** Made before the acquisition, so that nothing can fail between taking the lock and having its Held. */
export class Acquisition implements Held {
  #lock: Releasable | undefined
  #number = 0
  #abandoned = false
  /** What was acquired before a fork is the parent's: in the child this releases nothing. */
  readonly #fork = here.forks

  constructor(lock: Releasable) {
    this.#lock = lock
  }
  /** @internal The lock was taken, by the acquisition of this number. */
  begin(number: number, abandoned: boolean): this {
    this.#number = number
    this.#abandoned = abandoned
    return this
  }
  get abandoned(): boolean {
    return this.#abandoned
  }
  release(): void {
    const lock = this.#lock
    if (lock === undefined) return
    this.#lock = undefined
    if (this.#fork !== here.forks) return
    lock.releaseHeld(this.#number)
  }
  [Symbol.dispose](): void {
    this.release()
  }
}

/** What acquiring a semaphore gives. No permit differs from another. */
export class Permit implements Held {
  #semaphore: { release(): void } | undefined
  readonly #fork = here.forks

  constructor(semaphore: { release(): void }) {
    this.#semaphore = semaphore
  }
  get abandoned(): boolean {
    return false
  }
  release(): void {
    const semaphore = this.#semaphore
    if (semaphore === undefined) return
    this.#semaphore = undefined
    if (this.#fork === here.forks) semaphore.release()
  }
  [Symbol.dispose](): void {
    this.release()
  }
}

/** Runs `fn` with what was acquired, and releases it however `fn` ends. `late`: what to say if nothing was, in time. */
export async function runHeld<R>(held: Held | null, late: string, fn: (held: Held) => R | PromiseLike<R>): Promise<R> {
  if (held === null) throw new TimeoutError(late)
  try {
    return await fn(held)
  } finally {
    held.release()
  }
}
/** The same for an `fn` that is done when it returns. */
export function runHeldSync<R>(held: Held | null, late: string, fn: (held: Held) => R): R {
  if (held === null) throw new TimeoutError(late)
  try {
    return fn(held)
  } finally {
    held.release()
  }
}
