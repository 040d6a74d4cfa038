// RWLock: any number of readers, or one writer. Writers go first.
//
//   state    VALUE readers · X 1 while somebody writes · Y 1 if a writer died writing and nobody has written since
//   cell     held: its owner's reads, or its one write; a tag says which of the two

import { StateError } from '../errors'
import type { BlockHandle } from '../memory'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import { Acquisition, type Held } from './held'
import { ASYNC, VALUE, X, Y } from './monitor'
import type { Named } from './robust-lock'
import { registerSync, SyncObject } from './sync-object'

const SYNC = 0
const WRITE = 2

/** A grant's result. */
const ABANDONED = 1

/** A lock for many readers or one writer, shared by processes and worker threads. Waiting writers go before new readers. */
export class RWLock extends SyncObject {
  constructor(options?: Named)
  /** @internal */
  constructor(options: Named, handle: BlockHandle)
  constructor(options?: Named, handle?: BlockHandle) {
    super(options, handle)
  }

  /** Acquires it for reading, beside other readers. `null` after a time-out. Rejects with `signal.reason` when aborted. */
  read(options?: { timeout?: undefined; signal?: AbortSignal }): Promise<Held>
  read(options?: WaitOptions): Promise<Held | null>
  read(options?: WaitOptions): Promise<Held | null> {
    return this.#acquire(0, options)
  }
  /** Acquires it for writing, alone. `held.abandoned`: the writer before died writing. */
  write(options?: { timeout?: undefined; signal?: AbortSignal }): Promise<Held>
  write(options?: WaitOptions): Promise<Held | null>
  write(options?: WaitOptions): Promise<Held | null> {
    return this.#acquire(WRITE, options)
  }
  /** As read(), blocking this thread. */
  readSync(options?: { timeout?: undefined }): Held
  readSync(options?: WaitSyncOptions): Held | null
  readSync(options?: WaitSyncOptions): Held | null {
    return this.#acquireSync(0, options)
  }
  /** As write(), blocking this thread. */
  writeSync(options?: { timeout?: undefined }): Held
  writeSync(options?: WaitSyncOptions): Held | null
  writeSync(options?: WaitSyncOptions): Held | null {
    return this.#acquireSync(WRITE, options)
  }

  async #acquire(mode: number, options: WaitOptions | undefined): Promise<Held | null> {
    const { timeout, signal } = asyncWait(options)
    signal?.throwIfAborted()
    const begun = this.#begin(mode | ASYNC, timeout)
    if (typeof begun !== 'number') return begun
    return await this.waitAsync(begun, timeout, signal, (result) => this.#held(begun, result))
  }
  #acquireSync(mode: number, options: WaitSyncOptions | undefined): Held | null {
    const timeout = syncTimeout(options)
    const begun = this.#begin(mode | SYNC, timeout)
    return typeof begun === 'number' ? this.#held(begun, this.block(begun, timeout, true)) : begun
  }

  /** The Held if it can be had at once; null if there is no time to wait; else the cell in which the wait has begun. */
  #begin(tag: number, timeout: number): Held | null | number {
    this.enter()
    if (this.waitingCount > 0 || this.get(X) !== 0 || this.get(VALUE) > 0) this.recover()
    const cell = this.myCell(tag)
    const free = this.get(X) === 0 && (tag & WRITE ? this.get(VALUE) === 0 : !this.#writerWaits())
    const abandoned = this.get(Y)
    if (free) this.#take(cell)
    else if (timeout > 0) this.beginWait(cell)
    this.exit()
    if (free) return this.#held(cell, abandoned)
    return timeout > 0 ? cell : null
  }
  #writerWaits(): boolean {
    return this.waitingCount > 0 && this.firstWaiting((cell) => (this.tag(cell) & WRITE) !== 0) >= 0
  }
  #take(cell: number): void {
    if (this.tag(cell) & WRITE) this.step({ x: 1, y: 0 }, cell, { held: 1 })
    else this.step({ value: this.get(VALUE) + 1 }, cell, { held: this.held(cell) + 1 })
  }
  #held(cell: number, result: number | null): Held | null {
    return result === null ? null : new Acquisition(this).begin(cell, result === ABANDONED)
  }

  /** @internal Called once for each Held, with the cell that counts it. */
  releaseHeld(cell: number): void {
    this.enter()
    if (this.tag(cell) & WRITE) this.step({ x: 0 }, cell, { held: 0 })
    else this.step({ value: this.get(VALUE) - 1 }, cell, { held: this.held(cell) - 1 })
    if (this.waitingCount > 0) {
      this.recover()
      this.#grantNext()
    }
    this.exit()
  }

  #grantNext(): void {
    if (this.get(X) !== 0) return
    const writer = this.firstWaiting((cell) => (this.tag(cell) & WRITE) !== 0)
    if (writer >= 0) {
      if (this.get(VALUE) === 0) this.grant(writer, 1, { x: 1, y: 0 }, 1, this.get(Y))
      return
    }
    for (const cell of this.cells()) {
      const want = this.want(cell)
      if (want > 0) this.grant(cell, want, { value: this.get(VALUE) + want }, this.held(cell) + want, this.get(Y))
    }
  }

  /** @internal */
  protected ownerDied(cell: number): void {
    const held = this.held(cell)
    if (held === 0) return
    if (this.tag(cell) & WRITE) this.step({ x: 0, y: ABANDONED }, cell, { held: 0 })
    else this.step({ value: this.get(VALUE) - held }, cell, { held: 0 })
  }
  /** @internal */
  protected afterDeath(): void {
    this.#grantNext()
  }
  /** @internal A release whose grants did not come. */
  protected override mend(): void {
    this.#grantNext()
  }
  /** @internal A writer that gives up keeps no readers out. */
  protected override afterLeave(): void {
    this.#grantNext()
  }
  /** @internal */
  protected override get type(): number {
    return 6
  }
  /** @internal */
  protected shown(): object {
    this.enter()
    this.recover()
    const shown = { readers: this.get(VALUE), writing: this.get(X) === 1, waiting: this.waitingCount }
    this.exit()
    return shown
  }
  /** Nobody can release without the Held that acquiring gave. */
  release(): never {
    throw new StateError(`${this.label()} is released by the Held that read() and write() give`)
  }
}

registerSync(
  'RWLock',
  RWLock,
  (_, ticket) => ticket,
  (ticket) => new RWLock(ticket, ticket),
)
