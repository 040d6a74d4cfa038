// What Lock and RLock have in common: a lock cell in shared memory that survives the death of whoever holds it.
//
// Uncontended, acquiring and releasing are one Atomics operation each; native code only waits and wakes. The protocol of
// the word is described in native/core/lock.h.
import { type InspectOptions, inspect } from 'node:util'
import { binding } from '../binding'
import { checkFunction, checkOptions, checkString } from '../check'
import { ClosedError, StateError } from '../errors'
import { log } from '../log/log'
import { adopt, allocate, attach, type BlockHandle, drop, handleOf, here, inWindow, Kind, viewsAt } from '../memory'
import { registerShared, SHARED } from '../serialize/shared'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import { abandonWaits, acquireOrWait, isAwaited, pumpSoon } from './async-waits'
import { Acquisition, type Held, runHeld, runHeldSync } from './held'
import { inheritedWait } from './inherited'
import { writeLabel } from './label'

/** Options of every shared object. */
export interface Named {
  /** Labels the object in messages. */
  name?: string | undefined
}

/** In a lock word, beside two flags: whose it is. Below OWNERS it is free, or marked. */
export const OWNER_MASK = 0x3fffffff
export const OWNERS = 4096
// Words of the cell that only its owner touches. The counter makes each acquisition's number its own.
export const DEPTH = 1
export const ACQUISITION = 2
export const COUNTER = 5

/** What a closed lock looks at: a word that no fast path can take or release. */
const CLOSED_CELL = Int32Array.of(OWNER_MASK, 0, 0, 0, 0, 0)

/** An existing cell: a lock within a value or an array, or one that came from another process. */
/** Who holds a lock: a thread. */
export interface LockOwner {
  /** Its process. */
  pid: number
  /** As of worker_threads; 0: the main thread. */
  threadId: number
}

export interface CellPlace {
  offset: number
  kind: number
  /** Keeps the block alive. Absent: the lock itself does. */
  owner?: object
}

const CELL_BYTES = 32
/** A cell and its label. */
const BYTES = 64

const TIMED_OUT = 2
const INTERRUPTED = 3

export abstract class RobustLock {
  /** @internal */
  cell: Int32Array
  /** @internal Index of the lock word in `cell`. */
  at: number
  /** @internal Of the lock word, in the root. */
  readonly offset: number
  readonly #kind: number
  readonly #owner: object | undefined
  readonly #name: string | undefined
  #last: { cell: Int32Array; at: number } | undefined

  /** @internal */
  protected constructor(place: number | CellPlace, options: Named | undefined) {
    checkOptions('options', options)
    if (options?.name !== undefined) checkString('options.name', options.name)
    this.#name = options?.name
    attach()
    if (typeof place === 'number') {
      this.#kind = place
      this.offset = allocate(this, BYTES, place)
      writeLabel(this.offset + CELL_BYTES, this.#name, new.target)
    } else {
      this.#kind = place.kind
      this.offset = place.offset
      this.#owner = place.owner
    }
    this.cell = viewsAt(this.offset).i32
    this.at = inWindow(this.offset) / 4
  }

  /** @internal This thread's owner id. */
  get me(): number {
    return here.me
  }
  /** @internal */ abstract take(held: Acquisition, abandoned: boolean): Held
  /** @internal */ abstract tryFast(): boolean
  /** @internal */ abstract releaseHeld(acquisition: number): void
  abstract release(): void

  /** The label given as `{ name }`. */
  get name(): string | undefined {
    return this.#name
  }

  /** Is it held by anybody, in any process? Never blocks. */
  locked(): boolean {
    return this.owner !== null
  }

  /** Who holds it; null: nobody, or somebody who died. */
  get owner(): LockOwner | null {
    this.checkOpen()
    const owner = Atomics.load(this.cell, this.at) & OWNER_MASK
    return owner < OWNERS ? null : binding().ownerInfo(owner)
  }

  /**
   * Acquires the lock; the event loop stays free. `null` after a time-out. Rejects with `signal.reason` when aborted;
   * then nothing was taken. A lock whose owner died is acquired, too, with `held.abandoned`.
   */
  acquire(options?: { timeout?: undefined; signal?: AbortSignal }): Promise<Held>
  acquire(options?: WaitOptions): Promise<Held | null>
  async acquire(options?: WaitOptions): Promise<Held | null> {
    const { timeout, signal } = asyncWait(options)
    signal?.throwIfAborted()
    const held = new Acquisition(this)
    if (!this.#behindOthers() && this.tryFast()) return this.take(held, false)
    this.checkOpen()
    if (timeout === 0) return this.#tryNow(held)
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const settle = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => {
        leave()
        settle()
        reject(signal!.reason)
      }
      const answer = acquireOrWait(this.offset, {
        acquired: (abandoned) => {
          settle()
          resolve(this.#taken(held, abandoned))
        },
        closed: () => {
          settle()
          reject(new ClosedError(`${this.label()} was closed`))
        },
        forked: () => {
          settle()
          reject(inheritedWait(this.label()))
        },
      })
      if (typeof answer === 'string') {
        resolve(this.#taken(held, answer === 'abandoned'))
        return
      }
      const leave = answer
      signal?.addEventListener('abort', onAbort, { once: true })
      if (timeout < 2 ** 31)
        timer = setTimeout(() => {
          leave()
          settle()
          resolve(null)
        }, timeout)
    })
  }

  #taken(held: Acquisition, abandoned: boolean): Held {
    if (abandoned)
      log('warn', () => `${this.label()} was held by a process that was killed: what it guards may be half changed`)
    return this.take(held, abandoned)
  }

  /**
   * Acquires the lock, blocking this thread in the kernel until it is free; `null` after a time-out. A lock whose owner
   * died is acquired, too, with `held.abandoned`.
   */
  acquireSync(options?: { timeout?: undefined }): Held
  acquireSync(options?: WaitSyncOptions): Held | null
  acquireSync(options?: WaitSyncOptions): Held | null {
    const timeout = syncTimeout(options)
    const held = new Acquisition(this)
    if (this.tryFast()) return this.take(held, false)
    this.checkOpen()
    const result = binding().lockAcquire(this.offset, timeout, this.#kind === Kind.lock ? 1 : 2)
    if (result === TIMED_OUT) return null
    if (result === INTERRUPTED) throw new StateError('the thread is being terminated', 'ERR_MP_TERMINATED')
    return this.#taken(held, result === 1)
  }

  /** Acquires the lock if that needs no waiting, else gives `null`. Never blocks. */
  tryAcquire(): Held | null {
    const held = new Acquisition(this)
    if (this.tryFast()) return this.take(held, false)
    this.checkOpen()
    return this.#tryNow(held)
  }

  /**
   * Runs `fn` while holding the lock, and gives its result; the lock is released however `fn` ends.
   * A time-out rejects with TimeoutError (`ERR_MP_TIMEOUT`).
   */
  async with<R>(fn: (held: Held) => R | PromiseLike<R>, options?: WaitOptions): Promise<R> {
    checkFunction('fn', fn)
    return await runHeld(await this.acquire(options), `${this.label()} was not free in time`, fn)
  }

  /** Runs `fn` while holding the lock, blocking until it is free. A time-out throws TimeoutError. */
  withSync<R>(fn: (held: Held) => R, options?: WaitSyncOptions): R {
    checkFunction('fn', fn)
    return runHeldSync(this.acquireSync(options), `${this.label()} was not free in time`, fn)
  }

  /** Lets go of the shared memory now rather than at the next garbage collection. Does not release the lock. */
  close(): void {
    if (this.cell === CLOSED_CELL) return
    abandonWaits(this.offset)
    // A Held of ours can still release it: then the memory stays until this object is collected.
    if (this.isMine()) this.#last = { cell: this.cell, at: this.at }
    else if (this.#owner === undefined) drop(this, this.offset)
    this.cell = CLOSED_CELL
    this.at = 0
  }
  /** As close(), for `using`. Does not release. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** What it is called; the memory behind it is nobody's business. */
  toJSON(): object {
    return { type: this.constructor.name, ...(this.#name !== undefined && { name: this.#name }) }
  }
  [inspect.custom](_depth: number, options: InspectOptions): string {
    const state =
      this.cell === CLOSED_CELL
        ? { closed: true }
        : { ...(this.#name !== undefined && { name: this.#name }), owner: this.owner }
    return `${this.constructor.name} ${inspect(state, options)}`
  }

  /** @internal Gives the lock up whatever its depth; restore() makes a new acquisition the same as the one before. */
  releaseAll(): { depth: number; acquisition: number } {
    const saved = { depth: this.cell[this.at + DEPTH]!, acquisition: this.cell[this.at + ACQUISITION]! }
    if (saved.depth > 1) this.cell[this.at + DEPTH] = 1
    this.release()
    return saved
  }
  /** @internal */
  restore({ depth, acquisition }: { depth: number; acquisition: number }): void {
    this.cell[this.at + DEPTH] = depth
    this.cell[this.at + ACQUISITION] = acquisition
  }
  /** @internal Gives the lock up while `wait` waits, and has it again afterwards. */
  async whileReleased<R>(wait: () => Promise<R>): Promise<R> {
    const acquisition = this.releaseAll()
    try {
      return await wait()
    } finally {
      await this.acquire()
      this.restore(acquisition)
    }
  }
  /** @internal Does this thread hold it? */
  isMine(): boolean {
    const { cell, at } = this.place()
    return (Atomics.load(cell, at) & OWNER_MASK) === this.me
  }
  /** @internal The cell, also of a lock that was closed while this thread held it. */
  place(): { cell: Int32Array; at: number } {
    return this.#last ?? this
  }

  /** @internal `Lock 'name'`. */
  label(): string {
    return this.#name === undefined ? `this ${this.constructor.name}` : `${this.constructor.name} '${this.#name}'`
  }

  /** @internal */
  protected checkOpen(): void {
    if (this.cell === CLOSED_CELL) throw new ClosedError(`${this.label()} is closed`)
  }

  /** @internal Releases by the slow path: somebody waits, or it is not ours. False: not held (by `owner`). */
  protected releaseSlowly(owner: number): boolean {
    if (this.#last === undefined) this.checkOpen()
    const released = binding().lockRelease(this.offset, owner)
    if (isAwaited(this.offset)) pumpSoon(this.offset)
    return released
  }

  /** @internal What a message carries. */
  travel(hold: (offset: number) => void): LockTicket {
    this.checkOpen()
    hold(this.offset)
    return { ...handleOf(this.offset), kind: this.#kind, name: this.#name }
  }

  #behindOthers(): boolean {
    return isAwaited(this.offset)
  }

  #tryNow(held: Acquisition): Held | null {
    const result = binding().lockTry(this.offset)
    return result === TIMED_OUT ? null : this.take(held, result === 1)
  }
}

export interface LockTicket extends BlockHandle {
  kind: number
  name: string | undefined
}

/** Registers how a class of locks travels: to the same cell, as the same class. */
export function registerLock(
  tag: string,
  C: { prototype: RobustLock; from(place: CellPlace, options: Named): RobustLock },
  kinds: number[],
): void {
  Object.defineProperty(C.prototype, SHARED, { value: tag })
  registerShared(tag, {
    write: (lock: RobustLock, hold) => lock.travel(hold),
    read(ticket: LockTicket) {
      if (!kinds.includes(ticket?.kind)) throw new StateError(`a message names a ${tag} that is none`, 'ERR_MP_CORRUPT')
      const keeper = {}
      adopt(keeper, ticket, ticket.kind)
      return C.from({ offset: ticket.offset, kind: ticket.kind, owner: keeper }, { name: ticket.name })
    },
  })
}
