// Lock, RLock, Semaphore, BoundedSemaphore and Condition as the server has them. Their owners are clients: what a client holds goes
// to the next one when its connection ends, whatever ended it.
import { checkInteger } from '../../check'
import { StateError } from '../../errors'
import { type Call, type Client, type Hold, Line, msOf } from '../call'
import { builtin, type ServedType } from '../served'

/** What acquire answers: the number of the acquisition, and whether the one before was left by the end of its owner. */
export type Acquired = [number: number, abandoned: boolean]

let acquisitions = 0

class Owned implements Hold {
  number = ++acquisitions
  depth = 1
  constructor(
    readonly client: Client,
    readonly lock: ServedLock,
  ) {
    client.holds.add(this)
  }
  abandon(): void {
    this.lock.end(this, true)
  }
}

/** Anybody may release a Lock; an RLock only its owner, as often as it acquired it. */
export class ServedLock {
  readonly #recursive: boolean
  readonly #line = new Line<Acquired | null>()
  #owned: Owned | undefined
  #abandoned = false

  constructor(recursive: boolean) {
    this.#recursive = recursive
  }

  acquire(call: Call, timeout?: unknown): Acquired | null | Promise<Acquired | null> {
    const owned = this.#owned
    if (owned === undefined) return this.#give(call.client)
    if (this.#recursive && owned.client === call.client) {
      owned.depth++
      return [owned.number, false]
    }
    const ms = msOf(timeout)
    return ms === 0 ? null : this.#line.wait(call, ms, undefined, () => null)
  }
  #give(client: Client): Acquired {
    const abandoned = this.#abandoned
    this.#abandoned = false
    this.#owned = new Owned(client, this)
    return [this.#owned.number, abandoned]
  }
  release(call: Call): void {
    const owned = this.#owned
    if (this.#recursive && (owned === undefined || owned.client !== call.client))
      throw new StateError('this RLock of a manager is not held by this thread', 'ERR_MP_NOT_OWNER')
    if (owned === undefined)
      throw new StateError(
        'this Lock of a manager was released too often: nobody holds it',
        'ERR_MP_RELEASED_TOO_OFTEN',
      )
    if (--owned.depth === 0) this.end(owned, false)
  }
  /** Ends an acquisition, if it has not ended. */
  releaseHeld(call: Call, number: unknown): void {
    const owned = this.#owned
    if (owned?.number === number && owned?.client === call.client && --owned.depth === 0) this.end(owned, false)
  }
  locked(): boolean {
    return this.#owned !== undefined
  }

  end(owned: Owned, abandoned: boolean): void {
    owned.client.holds.delete(owned)
    if (this.#owned !== owned) return
    this.#owned = undefined
    this.#abandoned = abandoned
    const next = this.#line.first()
    if (next !== undefined) next.resolve(this.#give(next.call.client))
  }

  isHeldBy(client: Client): boolean {
    return this.#owned?.client === client
  }
  /** For a Condition: lets go altogether, and says how to come back. */
  leave(call: Call): () => Promise<void> {
    const owned = this.#owned!
    const { depth, number } = owned
    this.end(owned, false)
    return async () => {
      const again: Call = { client: call.client, onCancel: undefined }
      await this.acquire(again)
      const mine = this.#owned!
      mine.depth = depth
      mine.number = number // for its Held it is the same acquisition
      if (call.client.ended) this.end(mine, true) // it was gone before it could come back
    }
  }
}

class Permits implements Hold {
  count = 0
  constructor(
    readonly client: Client,
    readonly semaphore: ServedSemaphore,
  ) {}
  abandon(): void {
    this.semaphore.abandon(this)
  }
}

class ServedSemaphore {
  readonly #initial: number
  readonly #bounded: boolean
  readonly #line = new Line<Acquired | null>()
  readonly #holders = new Map<Client, Permits>()
  value: number

  constructor(value: number, bounded: boolean) {
    this.value = value
    this.#initial = value
    this.#bounded = bounded
  }
  acquire(call: Call, timeout?: unknown): Acquired | null | Promise<Acquired | null> {
    if (this.value > 0) return this.#give(call.client)
    const ms = msOf(timeout)
    return ms === 0 ? null : this.#line.wait(call, ms, undefined, () => null)
  }
  #give(client: Client): Acquired {
    this.value--
    let permits = this.#holders.get(client)
    if (permits === undefined) {
      permits = new Permits(client, this)
      this.#holders.set(client, permits)
      client.holds.add(permits)
    }
    permits.count++
    return [0, false]
  }
  release(call: Call): void {
    if (this.#bounded && this.value >= this.#initial)
      throw new StateError('this BoundedSemaphore of a manager was released too often', 'ERR_MP_RELEASED_TOO_OFTEN')
    const permits = this.#holders.get(call.client)
    if (permits !== undefined && --permits.count === 0) this.#forget(permits)
    this.#put()
  }
  #put(): void {
    this.value++
    const next = this.#line.first()
    if (next !== undefined) next.resolve(this.#give(next.call.client))
  }
  #forget(permits: Permits): void {
    this.#holders.delete(permits.client)
    permits.client.holds.delete(permits)
  }
  abandon(permits: Permits): void {
    this.#forget(permits)
    for (; permits.count > 0 && this.value < this.#initial; permits.count--) this.#put()
  }
  locked(): boolean {
    return this.value === 0
  }
}

class ServedCondition {
  readonly #lock: ServedLock
  readonly #line = new Line<boolean>()
  constructor(lock: ServedLock) {
    this.#lock = lock
  }
  acquire(call: Call, timeout?: unknown): unknown {
    return this.#lock.acquire(call, timeout)
  }
  release(call: Call): void {
    this.#lock.release(call)
  }
  releaseHeld(call: Call, number: unknown): void {
    this.#lock.releaseHeld(call, number)
  }
  locked(): boolean {
    return this.#lock.locked()
  }
  /** However it ends, the lock is taken again before the answer. */
  async wait(call: Call, timeout?: unknown): Promise<boolean> {
    this.#check(call)
    const back = this.#lock.leave(call)
    const waiting = this.#line.wait(call, msOf(timeout), undefined, () => false)
    const inLine = call.onCancel
    let returned: (() => void) | undefined
    const cancelled = new Promise<boolean>((resolve) => {
      call.onCancel = () => {
        void inLine?.()
        resolve(false)
        return new Promise<void>((done) => {
          returned = done
        })
      }
    })
    const notified = await Promise.race([waiting, cancelled])
    await back()
    returned?.()
    return notified
  }
  notify(call: Call, n: unknown = 1): void {
    this.#check(call)
    checkInteger('n', n, 0, 2 ** 31 - 1)
    for (const waiter of this.#line.all().slice(0, n)) waiter.resolve(true)
  }
  notifyAll(call: Call): void {
    this.#check(call)
    for (const waiter of this.#line.all()) waiter.resolve(true)
  }
  #check(call: Call): void {
    if (!this.#lock.isHeldBy(call.client))
      throw new StateError('the lock of this Condition of a manager is not held by this thread', 'ERR_MP_NOT_OWNER')
  }
}

const WAITS = { waits: true }
const LOCKS = 'acquire release releaseHeld locked'
export const LOCK: ServedType = builtin('Lock', LOCKS, '', () => new ServedLock(false), WAITS)
export const RLOCK: ServedType = builtin('RLock', LOCKS, '', () => new ServedLock(true), WAITS)

function semaphore(type: string, bounded: boolean): ServedType {
  const make = ([value = 1]: readonly unknown[]): ServedSemaphore => {
    checkInteger('value', value, 0, 2 ** 31 - 1)
    return new ServedSemaphore(value, bounded)
  }
  return builtin(type, 'acquire release locked', 'value', make, WAITS)
}
export const SEMAPHORE = semaphore('Semaphore', false)
export const BOUNDED_SEMAPHORE = semaphore('BoundedSemaphore', true)

/** `targetOf`: of a proxy. */
export function conditionType(targetOf: (proxy: unknown) => unknown): ServedType {
  const make = ([lock]: readonly unknown[]): ServedCondition => {
    if (lock === undefined || lock === null) return new ServedCondition(new ServedLock(true))
    const target = targetOf(lock)
    if (!(target instanceof ServedLock))
      throw new TypeError('the lock of a Condition of a manager must be a Lock or an RLock of the same manager')
    return new ServedCondition(target)
  }
  return builtin('Condition', `${LOCKS} wait notify notifyAll`, '', make, WAITS)
}
