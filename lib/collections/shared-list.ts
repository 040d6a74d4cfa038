// SharedList: an Array in shared memory.
//
//   get, set, push, pop, shift      one call each, whatever the length
//   insert, delete, splice, sort …  a new list beside the one in force, which one change publishes: as long as the list is
import { isDeepStrictEqual } from 'node:util'
import { binding } from '../binding'
import { checkFunction, checkInteger, invalidType, outOfRange } from '../check'
import { NOTHING, pack, packed, putPacked, unpack } from './packing'
import {
  type CollectionOptions,
  type CollectionTicket,
  registerCollection,
  SharedCollection,
} from './shared-collection'

const REFUSED = 0

/**
 * A list that lies wholly in shared memory: no server, and reads and writes at its speed. It has the methods of an Array, with
 * values that are copied in and out, as SharedDict has them; `get(i)` and `set(i, value)` stand for `list[i]`. Negative indexes count
 * from the end.
 *
 * Each operation is whole, whoever is killed, splice() and sort(), too. Operations block while another thread has the lock. Throw
 * as SharedDict, and RangeError (`ERR_OUT_OF_RANGE`) when an item is to be set that is not there.
 * @example
 * const list = new SharedList(['a', 'b'])
 * list.push('c')
 * list.set(-1, 'd')
 */
export class SharedList<T = any> extends SharedCollection implements Iterable<T> {
  constructor(values?: Iterable<T> | null, options?: CollectionOptions)
  /** @internal */
  constructor(values: undefined, options: undefined, ticket: CollectionTicket)
  constructor(values?: Iterable<T> | null, options?: CollectionOptions, ticket?: CollectionTicket) {
    if (values !== undefined && values !== null && typeof (values as any)[Symbol.iterator] !== 'function')
      throw invalidType('values', 'an iterable', values)
    super(false, options, ticket)
    for (const value of values ?? []) this.#push(value)
  }

  /** How many items there are. */
  get length(): number {
    return binding().collectionCount(this.number())
  }
  /** A copy of item `index`; undefined: there is none. */
  get(index: number): T | undefined {
    const value = this.#read(index)
    return value === NOTHING ? undefined : (value as T)
  }
  /** The same as get(). */
  at(index: number): T | undefined {
    return this.get(index)
  }
  /** Is there an item `index`? */
  has(index: number): boolean {
    checkIndex(index)
    const { length } = this
    return index < length && index >= -length
  }
  /** Replaces item `index`. Throws RangeError if there is none. */
  set(index: number, value: T): this {
    checkIndex(index)
    if (index < 0) {
      this.lock.withSync(() => {
        const { length } = this
        if (index < -length) throw this.#missing(index)
        this.set(index + length, value)
      })
      return this
    }
    const number = this.number()
    pack(undefined, false, value)
    const call = (): number => binding().listSet(number, index, packed.length, packed.message)
    if ((packed.message === 0 ? call() : putPacked(call, REFUSED)) === REFUSED) throw this.#missing(index)
    return this
  }
  /**
   * Reads an item, changes it and writes it back while nobody comes in between: what `fn` returns is set and returned. It must not
   * wait; other processes do meanwhile. Throws RangeError if there is no such item.
   */
  update(index: number, fn: (value: T, index: number) => T): T {
    checkFunction('fn', fn)
    return this.lock.withSync(() => {
      const found = this.#read(index)
      if (found === NOTHING) throw this.#missing(index)
      const value = fn(found as T, index)
      this.set(index, value)
      return value
    })
  }

  /** Appends items; gives the new length. Others see all of them or none. */
  push(...values: T[]): number {
    if (values.length === 1) return this.#push(values[0]!)
    return this.extend(values)
  }
  /** The same with the items of an iterable. */
  extend(values: Iterable<T>): number {
    return this.lock.withSync(() => {
      for (const value of values) this.#push(value)
      return this.length
    })
  }
  /** Removes the last item and gives it, to nobody else; undefined: there is none. */
  pop(): T | undefined {
    return this.#pop(0)
  }
  /** Removes the first item and gives it, to nobody else; undefined: there is none. Takes no longer than pop(). */
  shift(): T | undefined {
    return this.#pop(1)
  }
  /** Puts items before all others; gives the new length. */
  unshift(...values: T[]): number {
    return this.lock.withSync(() => {
      this.splice(0, 0, ...values)
      return this.length
    })
  }
  /** Puts items before item `index`. */
  insert(index: number, ...values: T[]): void {
    this.splice(index, 0, ...values)
  }
  /** Removes item `index`: those behind it move up. False: there was none. */
  delete(index: number): boolean {
    checkIndex(index)
    return this.lock.withSync(() => {
      const { length } = this
      if (index >= length || index < -length) return false
      this.#replace(index < 0 ? index + length : index, 1, [])
      return true
    })
  }
  /** Removes the first item that equals this value, deeply. False: there was none. */
  remove(value: T): boolean {
    return this.lock.withSync(() => {
      const index = this.indexOf(value)
      return index >= 0 && this.delete(index)
    })
  }
  /** As Array's: replaces items by others, and gives those removed. */
  splice(start: number, deleteCount = Number.POSITIVE_INFINITY, ...values: T[]): T[] {
    checkWhole('start', start)
    checkWhole('deleteCount', deleteCount)
    return this.lock.withSync(() => {
      const { length } = this
      const from = start < 0 ? Math.max(0, start + length) : Math.min(start, length)
      const count = Math.min(Math.max(0, deleteCount), length - from)
      const removed = Array.from({ length: count }, (_, i) => this.get(from + i) as T)
      if (count > 0 || values.length > 0) this.#replace(from, count, values)
      return removed
    })
  }
  /** As Array's, in place. `compare` must not wait; other processes do meanwhile. */
  sort(compare?: (a: T, b: T) => number): this {
    if (compare !== undefined) checkFunction('compare', compare)
    this.lock.withSync(() => {
      const values = this.slice()
      const order = values.map((_, i) => ({ i, text: compare === undefined ? String(values[i]) : '' }))
      // As Array's: undefined last, and without `compare` by text.
      order.sort((a, b) => {
        const [x, y] = [values[a.i] as T, values[b.i] as T]
        if (x === undefined || y === undefined) return Number(x === undefined) - Number(y === undefined)
        if (compare !== undefined) return compare(x, y)
        return a.text < b.text ? -1 : a.text > b.text ? 1 : 0
      })
      this.#arrange(order.map(({ i }) => i))
    })
    return this
  }
  /** As Array's, in place, at once for all others. */
  reverse(): this {
    this.lock.withSync(() => this.#arrange(Array.from({ length: this.length }, (_, i) => i).reverse()))
    return this
  }

  /** Items at one moment, as an Array of this process's own. Arguments as Array's. */
  slice(start?: number, end?: number): T[] {
    return this.lock.withSync(() => {
      const { length } = this
      const from = place(start ?? 0, length)
      const to = place(end ?? length, length)
      const values: T[] = []
      for (let i = from; i < to; i++) values.push(this.get(i) as T)
      return values
    })
  }
  /** All of it at one moment, as an Array of this process's own. */
  copy(): T[] {
    return this.slice()
  }
  /** Where the first item is that equals this value, deeply, as items are copies; −1: nowhere. */
  indexOf(value: T): number {
    return this.lock.withSync(() => {
      const { length } = this
      for (let i = 0; i < length; i++) {
        const item = this.get(i)
        // isDeepStrictEqual tells 0 from -0; an Array does not.
        if (item === value || isDeepStrictEqual(item, value)) return i
      }
      return -1
    })
  }
  /** Is there an item that equals this value, deeply? */
  includes(value: T): boolean {
    return this.indexOf(value) >= 0
  }

  // Others may write meanwhile: who iterates goes from index to index, and no farther than the list was long.

  /** Index and item, one after the other, at most as many as there were at the start. Others may write meanwhile. */
  *entries(): IterableIterator<[number, T]> {
    const { length } = this
    for (let i = 0; i < length; i++) {
      const value = this.#read(i)
      if (value === NOTHING) return
      yield [i, value as T]
    }
  }
  /** The indices, as entries(). */
  *keys(): IterableIterator<number> {
    for (const [index] of this.entries()) yield index
  }
  /** The items, as entries(). */
  *values(): IterableIterator<T> {
    for (const [, value] of this.entries()) yield value
  }
  /** As values(). */
  [Symbol.iterator](): IterableIterator<T> {
    return this.values()
  }
  /** Calls `fn` for each item, as entries(). */
  forEach(fn: (value: T, index: number, list: this) => void, thisArg?: unknown): void {
    checkFunction('fn', fn)
    for (const [index, value] of this.entries()) fn.call(thisArg, value, index, this)
  }
  /** As copy(), for JSON.stringify(). */
  toJSON(): T[] {
    return this.copy()
  }
  /** @internal */
  protected shown(): T[] {
    return this.copy()
  }

  #read(index: number): unknown {
    checkIndex(index)
    if (index >= 0) return unpack(binding().listGet(this.number(), index))
    return this.lock.withSync(() => {
      const { length } = this
      return index < -length ? NOTHING : unpack(binding().listGet(this.number(), index + length))
    })
  }
  #push(value: T): number {
    const number = this.number()
    pack(undefined, false, value)
    if (packed.message === 0) return binding().listPush(number, packed.length, 0)
    return putPacked(() => binding().listPush(number, 0, packed.message))
  }
  #pop(first: 0 | 1): T | undefined {
    const value = unpack(binding().listPop(this.number(), first))
    return value === NOTHING ? undefined : (value as T)
  }

  /** Other items instead of `count` of them. With the lock. */
  #replace(from: number, count: number, values: T[]): void {
    const number = this.number()
    const { length } = this
    this.#rebuild(length - count + values.length, (staged) => {
      staged.at = binding().stageCopy(number, staged.at, 0, from)
      for (const value of values) {
        pack(undefined, false, value)
        putPacked(() => (staged.at = binding().stagePush(number, staged.at, packed.length, packed.message)))
      }
      staged.at = binding().stageCopy(number, staged.at, from + count, length - from - count)
    })
  }
  /** The same items in another order. With the lock. */
  #arrange(order: number[]): void {
    const number = this.number()
    this.#rebuild(order.length, (staged) => {
      for (const index of order) staged.at = binding().stageCopy(number, staged.at, index, 1)
    })
  }
  /** `fill` puts items into a new list, which moves when it grows. */
  #rebuild(items: number, fill: (staged: { at: number }) => void): void {
    const number = this.number()
    const staged = { at: binding().stageList(number, items, items * 32) }
    try {
      fill(staged)
      binding().publishList(number, staged.at)
    } catch (error) {
      binding().dropStaged(staged.at)
      throw error
    }
  }
  #missing(index: number): RangeError {
    return outOfRange('index', `of one of the ${this.length} items of ${this.label()}`, index)
  }
}

function checkIndex(index: unknown): asserts index is number {
  if (!Number.isInteger(index) || Math.abs(index as number) >= 2 ** 31)
    checkInteger('index', index, -(2 ** 31), 2 ** 31 - 1)
}
function checkWhole(argument: string, value: unknown): asserts value is number {
  if (value !== Number.POSITIVE_INFINITY)
    checkInteger(argument, value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
}
function place(index: number, length: number): number {
  checkWhole('index', index)
  return index < 0 ? Math.max(0, index + length) : Math.min(index, length)
}

registerCollection('SharedList', SharedList, (ticket) => new SharedList(undefined, undefined, ticket))
