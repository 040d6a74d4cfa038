// Event: a flag that others can wait for.
//
//   state    VALUE 0 or 1; read without the monitor
import type { BlockHandle } from '../memory'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import { ASYNC, VALUE } from './monitor'
import type { Named } from './robust-lock'
import { registerSync, SyncObject } from './sync-object'

const SYNC = 0

/** A flag that processes and worker threads share: some wait until it is set, somebody sets it. */
export class Event extends SyncObject {
  constructor(options?: Named)
  /** @internal */
  constructor(options: Named, handle: BlockHandle)
  constructor(options?: Named, handle?: BlockHandle) {
    super(options, handle)
  }

  /** Never blocks. */
  isSet(): boolean {
    this.checkOpen()
    return Atomics.load(this.words, this.base + VALUE) === 1
  }

  /** Sets the flag; all who wait for it go on. */
  set(): void {
    this.enter()
    if (this.get(VALUE) === 0) this.step({ value: 1 })
    this.#wakeAll()
    this.exit()
  }

  #wakeAll(): void {
    if (this.waitingCount > 0)
      for (const cell of this.cells()) if (this.want(cell) > 0) this.grant(cell, this.want(cell))
  }
  /** @internal */
  protected override mend(): void {
    if (this.get(VALUE) === 1) this.#wakeAll()
  }

  /** Clears the flag: who waits from now on waits for the next set(). */
  clear(): void {
    this.enter()
    if (this.get(VALUE) === 1) this.step({ value: 0 })
    this.exit()
  }

  /** Waits until the flag is set: true; false after a time-out. Rejects with `signal.reason` when aborted. */
  async wait(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = asyncWait(options)
    signal?.throwIfAborted()
    if (this.isSet()) return true
    if (timeout === 0) return false
    const cell = this.#beginUnlessSet(ASYNC)
    return cell === undefined || (await this.waitAsync(cell, timeout, signal, (result) => result !== null))
  }

  /** Blocks this thread until the flag is set: true; false after a time-out. */
  waitSync(options?: WaitSyncOptions): boolean {
    const timeout = syncTimeout(options)
    if (this.isSet()) return true
    if (timeout === 0) return false
    const cell = this.#beginUnlessSet(SYNC)
    return cell === undefined || this.block(cell, timeout) !== null
  }

  /** undefined: it was set meanwhile. */
  #beginUnlessSet(tag: number): number | undefined {
    this.enter()
    const cell = this.get(VALUE) === 1 ? undefined : this.myCell(tag)
    if (cell !== undefined) this.beginWait(cell)
    this.exit()
    return cell
  }

  /** @internal */
  protected ownerDied(): void {}
  /** @internal */
  protected afterDeath(): void {}
  /** @internal */
  protected override get type(): number {
    return 4
  }
  /** @internal */
  protected shown(): object {
    return { set: this.isSet() }
  }
}

registerSync(
  'Event',
  Event,
  (_, ticket) => ticket,
  (ticket) => new Event(ticket, ticket),
)
