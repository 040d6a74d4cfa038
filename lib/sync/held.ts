// What acquiring gives: the right to release just this acquisition, once.

/** Proof of one acquisition. Releasing twice does nothing, and never ends a later acquisition. */
export interface Held {
  release(): void
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
    lock.releaseHeld(this.#number)
  }
  [Symbol.dispose](): void {
    this.release()
  }
}
