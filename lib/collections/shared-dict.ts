// SharedDict: a Map in shared memory.
import { binding } from '../binding'
import { checkFunction, invalidType } from '../check'
import { Cursor, NOTHING, pack, packed, putPacked, type SharedKey, unpack, writeKey } from './packing'
import {
  type CollectionOptions,
  type CollectionTicket,
  registerCollection,
  SharedCollection,
} from './shared-collection'

/** What a SharedDict can be filled from. */
export type DictSource<K, V> = Iterable<readonly [K, V]> | Readonly<Record<string, V>>

/**
 * A dictionary that lies wholly in shared memory: no server, and reads and writes at its speed. It is what a Map is, with keys that
 * are compared by value (strings, numbers, bigints, booleans, null, undefined) and values that are copied in and out: whatever a
 * message can carry but open files and sockets; shared objects in it stay what they are, and are held. It goes to other processes
 * and threads as every shared object does.
 *
 * Each operation is whole, whoever is killed: others see the old value or the new one. Operations block while another
 * thread has the lock (usually for less than a microsecond). Throw ClosedError (`ERR_MP_CLOSED`), ENOSPC when there is no memory,
 * SerializationError for what cannot travel, TypeError and RangeError for what can be no key, DeadlockError.
 * @example
 * const counts = new SharedDict({ apples: 1 })
 * counts.set('pears', 2)
 * counts.update('apples', (n) => n + 1) // nobody comes in between
 */
export class SharedDict<K extends SharedKey = any, V = any> extends SharedCollection implements Iterable<[K, V]> {
  constructor(entries?: DictSource<K, V> | null, options?: CollectionOptions)
  /** @internal */
  constructor(entries: undefined, options: undefined, ticket: CollectionTicket)
  constructor(entries?: DictSource<K, V> | null, options?: CollectionOptions, ticket?: CollectionTicket) {
    const pairs = entries === undefined || entries === null ? undefined : pairsOf<K, V>('entries', entries)
    super(true, options, ticket)
    if (pairs !== undefined) for (const [key, value] of pairs) this.set(key as K, value as V)
  }

  /** How many keys there are. */
  get size(): number {
    return binding().collectionCount(this.number())
  }
  /** A copy of the value; undefined: there is none. */
  get(key: K): V | undefined {
    const value = this.#read(key)
    return value === NOTHING ? undefined : (value as V)
  }
  /** Is there such a key? Does not copy the value. */
  has(key: K): boolean {
    const number = this.number()
    return binding().dictHas(number, writeKey(key)) === 1
  }
  /** Sets the value of a key, new or not; a new one is the last in the order. */
  set(key: K, value: V): this {
    const number = this.number()
    pack(key, true, value)
    if (packed.message === 0) binding().dictSet(number, packed.key, packed.length, 0)
    else putPacked(() => binding().dictSet(number, packed.key, 0, packed.message))
    return this
  }
  /** False: there was no such key. */
  delete(key: K): boolean {
    const number = this.number()
    return binding().dictDelete(number, writeKey(key)) === 1
  }
  /** Removes a key and gives its value, which nobody else gets, or `fallback`. */
  pop(key: K): V | undefined
  pop<D>(key: K, fallback: D): V | D
  pop(key: K, fallback?: unknown): unknown {
    return this.lock.withSync(() => {
      const value = this.#read(key)
      if (value === NOTHING) return fallback
      this.delete(key)
      return value
    })
  }
  /** The values of several keys, of one moment. */
  getMany(keys: Iterable<K>): (V | undefined)[] {
    return this.lock.withSync(() => Array.from(keys, (key) => this.get(key)))
  }
  /** The value of a key; if there is none `value` becomes it, and nobody else's. */
  setDefault(key: K, value: V): V {
    return this.lock.withSync(() => {
      const found = this.#read(key)
      if (found !== NOTHING) return found as V
      this.set(key, value)
      return value
    })
  }

  /**
   * Reads a value, changes it and writes it back while nobody comes in between: `fn` gets the value, or undefined, and what
   * it returns is set and returned. It must not wait; other processes do meanwhile. If it throws nothing is changed.
   */
  update(key: K, fn: (value: V | undefined, key: K) => V): V
  /** As assign(), which is Python's `update`. */
  update(entries: DictSource<K, V>): void
  update(source: K | DictSource<K, V>, fn?: (value: V | undefined, key: K) => V): V | undefined {
    if (fn !== undefined) {
      checkFunction('fn', fn)
      const key = source as K
      return this.lock.withSync(() => {
        const value = fn(this.get(key), key)
        this.set(key, value)
        return value
      })
    }
    this.assign(source as DictSource<K, V>)
    return undefined
  }
  /** Sets all of these pairs, and lets nobody see some of them only. A process that is killed meanwhile may have set some. */
  assign(entries: DictSource<K, V>): void {
    const pairs = pairsOf<K, V>('entries', entries)
    this.lock.withSync(() => {
      for (const [key, value] of pairs) this.set(key, value)
    })
  }

  // Others may write meanwhile: who iterates meets each key that is there from the beginning to the end once, in the order in which
  // they came, with the value of that moment; no keys that are new; those removed meanwhile if it had come to them before.

  /** Its pairs, in the order in which the keys came. Others may write meanwhile: see the class. */
  *entries(): IterableIterator<[K, V]> {
    const cursor = new Cursor(this.number())
    for (;;) {
      this.number()
      const value = cursor.next(true)
      if (value === NOTHING) return
      yield [cursor.key as K, value as V]
    }
  }
  /** Its keys, as entries(). */
  *keys(): IterableIterator<K> {
    const cursor = new Cursor(this.number())
    for (;;) {
      this.number()
      if (cursor.next(false) === NOTHING) return
      yield cursor.key as K
    }
  }
  /** Its values, as entries(). */
  *values(): IterableIterator<V> {
    for (const [, value] of this.entries()) yield value
  }
  /** As entries(). */
  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.entries()
  }
  /** Calls `fn` for each pair, as entries(). */
  forEach(fn: (value: V, key: K, dict: this) => void, thisArg?: unknown): void {
    checkFunction('fn', fn)
    for (const [key, value] of this.entries()) fn.call(thisArg, value, key, this)
  }
  /** All of it at one moment, as a Map of this process's own. */
  copy(): Map<K, V> {
    return this.lock.withSync(() => new Map(this.entries()))
  }
  /** An object, with keys as text. */
  toJSON(): Record<string, V> {
    return Object.fromEntries(Array.from(this.copy(), ([key, value]) => [String(key), value]))
  }
  /** @internal */
  protected shown(): Map<K, V> {
    return this.copy()
  }

  #read(key: K): unknown {
    const number = this.number()
    return unpack(binding().dictGet(number, writeKey(key)))
  }
}

/** Pairs of an iterable or of an object's own properties. Throws TypeError for anything else. */
function pairsOf<K, V>(argument: string, source: unknown): [K, V][] {
  if (typeof source !== 'object' || source === null)
    throw invalidType(argument, 'an iterable of pairs, or an object', source)
  if (!(Symbol.iterator in source)) return Object.entries(source) as [K, V][]
  return Array.from(source as Iterable<[K, V]>, (pair) => {
    if (typeof pair !== 'object' || pair === null) throw invalidType(argument, 'an iterable of pairs', source)
    return [pair[0], pair[1]]
  })
}

registerCollection('SharedDict', SharedDict, (ticket) => new SharedDict(undefined, undefined, ticket))
