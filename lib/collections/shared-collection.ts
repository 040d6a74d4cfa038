// What SharedDict and SharedList have in common: a block of shared memory, the lock that protects it, closing, travelling.
//
//   SharedCollection ──holds──▶ collection (native/core/collection.h) ──holds──▶ lock, table, values
//                    ──holds──▶ lock: an ordinary RLock, so that a dead owner's is handed on
//
// Each operation is a call of the addon that takes the lock, or finds that this thread has it already, by getLock().
import { type InspectOptions, inspect } from 'node:util'
import { binding } from '../binding'
import { checkOptions, checkString } from '../check'
import { ClosedError, SerializationError } from '../errors'
import { adopt, attach, type BlockHandle, drop, handleOf, Kind } from '../memory'
import { registerShared, SHARED } from '../serialize/shared'
import { RLock } from '../sync'
import { prepare } from './packing'

/** What SharedDict and SharedList take. */
export interface CollectionOptions {
  /** What messages call it. */
  name?: string | undefined
}

/** What a message carries. */
export interface CollectionTicket extends BlockHandle {
  name?: string
}

/** Numbers of collections that were garbage-collected are given to others. */
const collected = new FinalizationRegistry((collection: number) => binding().forgetCollection(collection))
const CLOSED = -1

export abstract class SharedCollection {
  readonly #name: string | undefined
  readonly #offset: number
  readonly #lock: RLock
  /** Keeps the block of a lock that came from elsewhere. */
  readonly #keeper: object | undefined
  #number: number
  #lent = false

  /** @internal */
  protected constructor(keyed: boolean, options: CollectionOptions | undefined, ticket?: CollectionTicket) {
    checkOptions('options', options)
    const { name } = ticket ?? options ?? {}
    if (name !== undefined) checkString('options.name', name)
    this.#name = name
    attach()
    prepare()
    if (ticket === undefined) {
      this.#lock = new RLock(name === undefined ? undefined : { name })
      this.#offset = binding().createCollection(this, this.#lock.offset, keyed)
    } else {
      adopt(this, ticket, Kind.collection)
      this.#offset = ticket.offset
      const handle = binding().collectionLock(this.#offset)
      this.#keeper = {}
      adopt(this.#keeper, handle, Kind.rlock)
      this.#lock = RLock.from({ offset: handle.offset, kind: Kind.rlock, owner: this.#keeper }, { name })
    }
    this.#number = binding().openCollection(this.#offset)
    collected.register(this, this.#number, this)
  }

  /** The label given as `{ name }`. */
  get name(): string | undefined {
    return this.#name
  }

  /**
   * Its lock. Whoever has it does several operations as one: others wait, in whatever process. The lock of a thread that
   * died goes to the next one; each single operation of the dead one was done or not done.
   */
  getLock(): RLock {
    this.number()
    this.#lent = true
    return this.#lock
  }
  /** @internal */
  protected get lock(): RLock {
    this.number()
    return this.#lock
  }
  /** @internal For the calls of the addon. Throws ClosedError. */
  protected number(): number {
    if (this.#number === CLOSED) throw new ClosedError(`${this.label()} is closed`)
    return this.#number
  }
  /** @internal */
  protected get closed(): boolean {
    return this.#number === CLOSED
  }

  /** Removes everything, at once. Throws ENOSPC. */
  clear(): void {
    binding().collectionClear(this.number())
  }

  /** Lets go of the shared memory now rather than at the next garbage collection. Others keep it. */
  close(): void {
    if (this.#number === CLOSED) return
    collected.unregister(this)
    binding().forgetCollection(this.#number)
    this.#number = CLOSED
    drop(this, this.#offset)
    if (this.#lent || this.#lock.isMine()) return // whoever has the lock keeps it
    this.#lock.close()
    if (this.#keeper !== undefined) drop(this.#keeper, this.#lock.offset)
  }
  /** As close(), for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal A plain copy, for messages to people. */
  protected abstract shown(): unknown
  [inspect.custom](_depth: number, options: InspectOptions): string {
    if (this.closed) return `${this.label()} [closed]`
    const held = this.#lock.tryAcquire()
    if (held === null) return `${this.label()} ${inspect({ locked: this.#lock.owner }, options)}`
    try {
      return `${this.label()} ${inspect(this.shown(), options)}`
    } finally {
      held.release()
    }
  }
  /** @internal `SharedDict "name"`. */
  protected label(): string {
    return `${this.constructor.name}${this.#name === undefined ? '' : ` ${JSON.stringify(this.#name)}`}`
  }
  /** @internal */
  travel(hold: (offset: number) => void): CollectionTicket {
    this.number()
    hold(this.#offset)
    return { ...handleOf(this.#offset), ...(this.#name !== undefined && { name: this.#name }) }
  }
}

/** Registers how a class of these travels: to the same memory, as the same class. */
export function registerCollection<T extends SharedCollection>(
  tag: string,
  C: { prototype: T },
  read: (ticket: CollectionTicket) => T,
): void {
  Object.defineProperty(C.prototype, SHARED, { value: tag })
  registerShared(tag, {
    write: (collection: T, hold) => collection.travel(hold),
    read(ticket) {
      if (
        !Number.isSafeInteger(ticket?.offset) ||
        !Number.isSafeInteger(ticket.generation) ||
        !(ticket.name === undefined || typeof ticket.name === 'string')
      )
        throw new SerializationError(`a received ${tag} is malformed`)
      return read(ticket)
    },
  })
}
