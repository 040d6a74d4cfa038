// RLock: a lock that its owner may acquire again. An owner is a thread; its asynchronous tasks are one owner, so only
// with() keeps them apart.
import type { AsyncLocalStorage } from 'node:async_hooks'
import { checkFunction } from '../check'
import { StateError } from '../errors'
import { Kind } from '../memory'
import type { WaitOptions } from '../wait-options'
import type { Acquisition, Held } from './held'
import {
  ACQUISITION,
  type CellPlace,
  COUNTER,
  DEPTH,
  type Named,
  OWNER_MASK,
  OWNERS,
  RobustLock,
  registerLock,
} from './robust-lock'
import { type Turn, takeTurn } from './turns'

/** The with() callbacks that the running code is inside of. */
interface Inside {
  readonly offset: number
  readonly outer: Inside | undefined
  turn: Turn
  ended: boolean
}
let insides: AsyncLocalStorage<Inside> | undefined

function insideOf(offset: number): Inside | undefined {
  for (let i = insides?.getStore(); i !== undefined; i = i.outer) if (i.offset === offset && !i.ended) return i
  return undefined
}

/**
 * A re-entrant lock that processes and worker threads share: its owner may acquire it again, and releases it as often.
 * Asynchronous tasks of one thread are one owner; `with()` keeps them apart, and re-enters inside its own callback only.
 */
export class RLock extends RobustLock {
  constructor(options?: Named)
  /** @internal */
  constructor(options: Named | undefined, place: CellPlace)
  constructor(options?: Named, place?: CellPlace) {
    super(place ?? Kind.rlock, options)
  }
  /** @internal */
  static from(place: CellPlace, options: Named): RLock {
    return new this(options, place)
  }
  /** @internal The lock in the first bytes of a value's or an array's block, which `owner` keeps alive. */
  static over(offset: number, owner: object, kind: number): RLock {
    return new this(undefined, { offset, owner, kind })
  }

  /** @internal */
  tryFast(): boolean {
    const before = Atomics.compareExchange(this.cell, this.at, 0, this.me)
    return before === 0 || (before & OWNER_MASK) === this.me
  }
  /** @internal The depth is 0 whenever the lock is free, unless its owner died. */
  take(held: Acquisition, abandoned: boolean): Held {
    const { cell, at } = this
    const depth = abandoned ? 1 : cell[at + DEPTH]! + 1
    cell[at + DEPTH] = depth
    if (depth === 1) {
      cell[at + COUNTER] = (cell[at + COUNTER]! + 1) | 0
      cell[at + ACQUISITION] = cell[at + COUNTER]!
    }
    return held.begin(cell[at + ACQUISITION]!, abandoned)
  }
  /** @internal */
  releaseHeld(acquisition: number): void {
    const { cell, at } = this.place()
    if (cell[at + ACQUISITION] === acquisition && cell[at + DEPTH]! > 0 && this.isMine()) this.#releaseOne()
  }

  /**
   * Releases one acquisition. Throws StateError: `ERR_MP_RELEASED_TOO_OFTEN` if nobody holds the lock,
   * `ERR_MP_NOT_OWNER` if another owner does.
   */
  release(): void {
    if (this.isMine()) {
      this.#releaseOne()
      return
    }
    this.checkOpen()
    if ((Atomics.load(this.cell, this.at) & OWNER_MASK) < OWNERS)
      throw new StateError(`${this.label()} was released too often: nobody holds it`, 'ERR_MP_RELEASED_TOO_OFTEN')
    const owner = this.owner
    const whose = owner === null ? 'a process that died' : `process ${owner.pid}, thread ${owner.threadId}`
    throw new StateError(`${this.label()} is held by ${whose}: only its owner may release it`, 'ERR_MP_NOT_OWNER')
  }

  /**
   * Runs `fn` while holding the lock; other with() callbacks of this thread wait, except those called from within `fn`.
   * A time-out rejects with TimeoutError (`ERR_MP_TIMEOUT`).
   */
  override async with<R>(fn: (held: Held) => R | PromiseLike<R>, options?: WaitOptions): Promise<R> {
    checkFunction('fn', fn)
    this.checkOpen()
    if (insideOf(this.offset) !== undefined) return super.with(fn, options)
    insides ??= new (require('node:async_hooks') as typeof import('node:async_hooks')).AsyncLocalStorage()
    const turn = await takeTurn(this.offset, this.label(), options)
    const inside: Inside = { offset: this.offset, outer: insides.getStore(), turn, ended: false }
    try {
      return await super.with((held) => insides!.run(inside, () => fn(held)), turn.rest)
    } finally {
      inside.ended = true
      inside.turn.end()
    }
  }

  /** @internal A condition waits inside with(): the other tasks of this thread have their turn meanwhile. */
  override async whileReleased<R>(wait: () => Promise<R>): Promise<R> {
    const inside = insideOf(this.offset)
    inside?.turn.end()
    try {
      return await super.whileReleased(wait)
    } finally {
      if (inside !== undefined) inside.turn = await takeTurn(this.offset, this.label(), undefined)
    }
  }
  #releaseOne(): void {
    const { cell, at } = this.place()
    const depth = cell[at + DEPTH]!
    cell[at + DEPTH] = depth - 1
    if (depth === 1 && Atomics.compareExchange(cell, at, this.me, 0) !== this.me) this.releaseSlowly(this.me)
  }
}

registerLock('RLock', RLock, [Kind.rlock, Kind.lockedValue, Kind.lockedArray])
