// Barrier: a number of parties that wait for each other, round after round.
//
//   state    VALUE arrived in this round · X the round · Y broken, acting · LIMIT parties · EXTRA arrived for the next
//            round while the action of this one runs
//   cell     want: this owner's arrivals that wait; held: twice (the round of its last arrival + 1), and 1 more while it
//            runs the action. A tag has the round's parity, so that those who arrive early for the next round wait apart.
//
// Who came to this round or to the last one, and is killed, breaks the barrier: the others would wait for it. Who ends in
// order has left it before.
import { checkFunction, checkInteger, checkOptions } from '../check'
import { BrokenBarrierError } from '../errors'
import type { BlockHandle } from '../memory'
import { asyncWait, syncTimeout, timeoutOf, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import { ASYNC, EXTRA, LIMIT, VALUE, X, Y } from './monitor'
import type { Named } from './robust-lock'
import { registerSync, SyncObject, type SyncTicket } from './sync-object'

const SYNC = 0
const ODD_ROUND = 2
const BROKEN = 1
const ACTING = 2
const MAX_PARTIES = 2 ** 15

/** In a cell's held. */
const ACTS = 1
const stamp = (round: number, acts: number): number => (((round + 1) & 0x3fffffff) << 1) | acts

/** Barriers that this thread came to, by their offsets. */
const attended = new Map<number, WeakRef<Barrier>>()

/** A grant's result. */
const RELEASED = 0
const FAILED = 1

export interface BarrierOptions extends Named {
  /** Called once each round by the process that arrives last, before anybody is released; may be asynchronous. */
  action?: (() => unknown) | undefined
  /** Default time-out of wait, ms. */
  timeout?: number | undefined
}

type Arrival =
  | { last: false; cell: number; index: number }
  /** The last one: `action` is to be run before finish(), if there is one. */
  | { last: true; index: number }

/** A meeting point of `parties` waiters. When one of them dies or gives up, it breaks: all get BrokenBarrierError. */
export class Barrier extends SyncObject {
  readonly #action: (() => unknown) | undefined
  readonly #timeout: number

  constructor(parties: number, options?: BarrierOptions)
  /** @internal */
  constructor(parties: number, options: BarrierOptions, handle: BlockHandle)
  constructor(parties: number, options?: BarrierOptions, handle?: BlockHandle) {
    checkInteger('parties', parties, 1, MAX_PARTIES)
    checkOptions('options', options)
    if (options?.action !== undefined) checkFunction('options.action', options.action)
    const timeout = timeoutOf(options)
    super(options, handle)
    this.#action = options?.action
    this.#timeout = timeout
    if (handle === undefined) this.put(LIMIT, parties)
  }

  /** How many have to come. */
  get parties(): number {
    this.checkOpen()
    return this.get(LIMIT)
  }
  /** How many are waiting just now. Does not block. */
  get waiting(): number {
    this.enter()
    this.recover()
    const waiting = this.get(Y) & ACTING ? 0 : this.get(VALUE)
    this.exit()
    return waiting
  }
  /** Was it broken, by a time-out, an abort or a death? reset() mends it. */
  get broken(): boolean {
    this.enter()
    this.recover()
    const broken = (this.get(Y) & BROKEN) !== 0
    this.exit()
    return broken
  }

  /**
   * Waits until all parties have come: the index of this arrival, 0 to parties − 1, different for each of a round.
   * Rejects with BrokenBarrierError if the barrier is or gets broken; a time-out or an abort breaks it.
   */
  async wait(options?: WaitOptions): Promise<number> {
    const { timeout, signal } = this.#withDefault(options, asyncWait(options))
    signal?.throwIfAborted()
    const arrival = this.#arrive(ASYNC)
    if (arrival.last) {
      if (this.#action !== undefined) {
        try {
          await this.#action()
        } catch (error) {
          this.#break()
          throw error
        }
      }
      this.#finish()
      return arrival.index
    }
    let result: number | null
    try {
      result = await this.waitAsync(arrival.cell, timeout, signal, (r) => r)
    } catch (reason) {
      this.#break()
      throw reason
    }
    return this.#end(result, arrival.index)
  }

  /** As wait(), blocking this thread. */
  waitSync(options?: WaitSyncOptions): number {
    const { timeout } = this.#withDefault(options, { timeout: syncTimeout(options) })
    const arrival = this.#arrive(SYNC)
    if (arrival.last) {
      if (this.#action !== undefined) {
        try {
          this.#action()
        } catch (error) {
          this.#break()
          throw error
        }
      }
      this.#finish()
      return arrival.index
    }
    return this.#end(this.block(arrival.cell, timeout), arrival.index)
  }

  /** Makes it whole and empty again; who waits just now gets BrokenBarrierError. */
  reset(): void {
    this.enter()
    this.recover()
    for (const cell of this.cells()) this.step({}, cell, { held: 0 })
    this.#grantRound(this.get(X), FAILED)
    this.#grantRound(this.get(X) + 1, FAILED)
    this.put(EXTRA, 0)
    this.step({ value: 0, x: (this.get(X) + 1) | 0, y: 0 })
    this.exit()
  }
  /** Breaks it: all who wait, and all who come before a reset(), get BrokenBarrierError. */
  abort(): void {
    this.#break()
  }

  #withDefault<T extends { timeout: number }>(options: WaitSyncOptions | undefined, checked: T): T {
    return options?.timeout === undefined ? { ...checked, timeout: this.#timeout } : checked
  }
  #tagOf(round: number, form: number): number {
    return form | (round & 1 ? ODD_ROUND : 0)
  }

  #arrive(form: number): Arrival {
    if (attended.size === 0) process.once('exit', leaveAll)
    if (attended.get(this.offset)?.deref() !== this) attended.set(this.offset, new WeakRef(this))
    this.enter()
    this.recover()
    const flags = this.get(Y)
    if (flags & BROKEN) {
      this.exit()
      throw new BrokenBarrierError(`${this.label()} is broken`)
    }
    const early = (flags & ACTING) !== 0
    const round = this.get(X) + (early ? 1 : 0)
    const index = early ? this.get(EXTRA) : this.get(VALUE)
    const cell = this.myCell(this.#tagOf(round, form))
    if (!early && index + 1 >= this.get(LIMIT)) {
      this.step({ value: index + 1, y: flags | ACTING }, cell, { held: stamp(round, ACTS) })
      this.exit()
      return { last: true, index }
    }
    if (early) this.put(EXTRA, index + 1)
    else this.step({ value: index + 1 })
    this.step({}, cell, { held: stamp(round, 0) })
    this.beginWait(cell)
    this.exit()
    return { last: false, cell, index }
  }

  /** The last one has done its action: the round is over. */
  #finish(): void {
    this.enter()
    const round = this.get(X)
    for (const cell of this.mine()) this.step({}, cell, { held: this.held(cell) & ~ACTS })
    if (this.get(Y) & ACTING) {
      const next = this.get(EXTRA)
      this.put(EXTRA, 0)
      // First the new round, then the grants of the old one: who is killed in between leaves waiters whose round is over.
      this.step({ value: next, x: (round + 1) | 0, y: 0 })
      this.#grantRound(round, RELEASED)
    }
    this.exit()
  }

  #break(): void {
    this.enter()
    for (const cell of this.mine()) this.step({}, cell, { held: this.held(cell) & ~ACTS })
    this.#breakNow()
    this.exit()
  }
  #breakNow(): void {
    this.put(EXTRA, 0)
    this.step({ value: 0, y: BROKEN })
    this.#grantRound(this.get(X), FAILED)
    this.#grantRound(this.get(X) + 1, FAILED)
  }
  #grantRound(round: number, result: number): void {
    const odd = round & 1 ? ODD_ROUND : 0
    for (const cell of this.cells())
      if ((this.tag(cell) & ODD_ROUND) === odd && this.want(cell) > 0)
        this.grant(cell, this.want(cell), {}, this.held(cell), result)
  }

  #end(result: number | null, index: number): number {
    if (result === RELEASED) return index
    if (result === null) this.#break()
    throw new BrokenBarrierError(
      result === null ? `${this.label()} was not reached by all in time` : `${this.label()} is broken`,
    )
  }

  /** This thread ends in order: nobody is to wait for it because it came before. */
  leave(): void {
    this.enter()
    for (const cell of this.mine()) if (this.want(cell) === 0) this.step({}, cell, { held: 0 })
    this.exit()
  }

  /** @internal */
  protected ownerDied(cell: number): void {
    const held = this.held(cell)
    const round = this.get(X)
    const lately = [stamp(round, 0), stamp(round - 1, 0), stamp(round + 1, 0)].includes(held & ~ACTS)
    if (held !== 0 && (held & ACTS || lately)) this.#breakNow()
  }
  /** @internal */
  protected afterDeath(): void {}
  /** @internal */
  protected override mend(): void {
    const flags = this.get(Y)
    if (flags & BROKEN) {
      this.#breakNow()
    } else if (!(flags & ACTING)) {
      // The new round had begun, the old one was not released; or somebody came whose wait had not begun.
      this.#grantRound(this.get(X) + 1, RELEASED)
      if (this.waitingCount !== this.get(VALUE)) this.#breakNow()
    }
  }
  /** @internal */
  protected override get type(): number {
    return 5
  }
  /** @internal */
  protected shown(): object {
    return { parties: this.parties, waiting: this.waiting, broken: this.broken }
  }
  /** @internal */
  protected travelOptions(): BarrierOptions {
    return {
      ...(this.#action && { action: this.#action }),
      ...(this.#timeout !== Number.POSITIVE_INFINITY && { timeout: this.#timeout }),
    }
  }
  /** @internal */
  static ticketOf(barrier: Barrier, ticket: SyncTicket): object {
    return { ...ticket, ...barrier.travelOptions(), parties: barrier.parties }
  }
}

function leaveAll(): void {
  for (const reference of attended.values()) {
    const barrier = reference.deref()
    if (barrier !== undefined && !barrier.closed) barrier.leave()
  }
}

registerSync(
  'Barrier',
  Barrier,
  (barrier, ticket) => Barrier.ticketOf(barrier, ticket),
  (data: SyncTicket & BarrierOptions & { parties: number }) => new Barrier(data.parties, data, data),
)
