// dict, list, set and Namespace as the server has them: JavaScript's own, with a few methods that are one call instead of two.
import { invalidType } from '../../check'
import { builtin, type ServedType } from '../served'

/** Entries, or an object whose own properties they are. */
function entriesOf(init: unknown): Iterable<[unknown, unknown]> {
  if (init === undefined || init === null) return []
  if (typeof init === 'object') {
    if (Symbol.iterator in init) return init as Iterable<[unknown, unknown]>
    return Object.entries(init)
  }
  throw invalidType('init', 'an iterable of entries or an object', init)
}

class Dict extends Map<unknown, unknown> {
  // What is copied out is plain: an array, not an iterator over the original.
  override keys(): any {
    return [...super.keys()]
  }
  override values(): any {
    return [...super.values()]
  }
  override entries(): any {
    return [...super.entries()]
  }
  copy(): Map<unknown, unknown> {
    return new Map(super.entries())
  }
  getMany(keys: readonly unknown[]): unknown[] {
    return keys.map((key) => this.get(key))
  }
  assign(init: unknown): void {
    for (const [key, value] of entriesOf(init)) this.set(key, value)
  }
  pop(key: unknown, otherwise?: unknown): unknown {
    if (!this.has(key)) return otherwise
    const value = this.get(key)
    this.delete(key)
    return value
  }
  /** The value of the key, which is `value` if there was none. */
  setDefault(key: unknown, value: unknown): unknown {
    if (!this.has(key)) this.set(key, value)
    return this.get(key)
  }
  async update(key: unknown, change: (value: unknown) => unknown): Promise<unknown> {
    return changed(await change(this.get(key)), (value) => this.set(key, value))
  }
}
function changed<T>(value: T, set: (value: T) => void): T {
  set(value)
  return value
}

export const DICT: ServedType = builtin(
  'dict',
  'get set has delete clear keys values entries forEach copy getMany assign pop setDefault update',
  'size',
  ([init]) => new Dict(entriesOf(init)),
)

class List extends Array<unknown> {
  // Results are plain arrays.
  static override get [Symbol.species](): ArrayConstructor {
    return Array
  }
  static of_(init: unknown): List {
    const list = new List()
    if (init === undefined || init === null) return list
    if (typeof (init as any)[Symbol.iterator] !== 'function') throw invalidType('init', 'an iterable', init)
    for (const item of init as Iterable<unknown>) list.push(item)
    return list
  }
  override keys(): any {
    return [...super.keys()]
  }
  override values(): any {
    return [...super.values()]
  }
  override entries(): any {
    return [...super.entries()]
  }
  copy(): unknown[] {
    return Array.from(this)
  }
  get(index: number): unknown {
    return this[index]
  }
  set(index: number, value: unknown): void {
    this[indexOf(index)] = value
  }
  /** All items of an iterable, at the end. */
  extend(items: Iterable<unknown>): number {
    for (const item of items) this.push(item)
    return this.length
  }
  clear(): void {
    this.length = 0
  }
  /** Takes the first item that is equal. Was there one? */
  remove(value: unknown): boolean {
    const index = this.indexOf(value)
    if (index >= 0) this.splice(index, 1)
    return index >= 0
  }
  insert(index: number, value: unknown): void {
    this.splice(index, 0, value)
  }
}
function indexOf(name: unknown): number {
  const index = Number(name)
  if (!Number.isInteger(index) || index < 0 || index >= 2 ** 32 - 1)
    throw invalidType('index', 'an index of a list', name)
  return index
}
const INDEX = /^\d{1,10}$/

export const LIST: ServedType = builtin(
  'list',
  'at push pop shift unshift splice slice concat includes indexOf lastIndexOf join reverse sort fill copyWithin find findIndex findLast ' +
    'findLastIndex filter map forEach some every reduce reduceRight flat flatMap toSorted toReversed toSpliced with keys values entries ' +
    'copy get set extend clear remove insert',
  'length',
  ([init]) => List.of_(init),
  {
    property: (_list, name) => name === 'length' || INDEX.test(name),
  },
)

class Members extends Set<unknown> {
  override keys(): any {
    return [...super.keys()]
  }
  override values(): any {
    return [...super.values()]
  }
  override entries(): any {
    return [...super.entries()]
  }
  copy(): Set<unknown> {
    return new Set(super.values())
  }
  /** Any member, which is taken out; undefined: there is none. */
  pop(): unknown {
    for (const member of super.values()) {
      this.delete(member)
      return member
    }
    return undefined
  }
  extend(members: Iterable<unknown>): void {
    for (const member of members) this.add(member)
  }
}
// Node 20 has none of these yet.
const algebra: Record<string, (this: Members, other: Iterable<unknown>) => unknown> = {
  union(other) {
    return new Set([...this.copy(), ...other])
  },
  intersection(other) {
    return new Set([...other].filter((member) => this.has(member)))
  },
  difference(other) {
    const without = new Set(other)
    return new Set([...this.copy()].filter((member) => !without.has(member)))
  },
  symmetricDifference(other) {
    const both = new Set(other)
    return new Set([...[...this.copy()].filter((m) => !both.has(m)), ...[...both].filter((m) => !this.has(m))])
  },
  isSubsetOf(other) {
    const all = new Set(other)
    return [...this.copy()].every((member) => all.has(member))
  },
  isSupersetOf(other) {
    return [...other].every((member) => this.has(member))
  },
  isDisjointFrom(other) {
    return [...other].every((member) => !this.has(member))
  },
}
for (const [name, value] of Object.entries(algebra))
  Object.defineProperty(Members.prototype, name, { value, configurable: true, writable: true })

export const SET: ServedType = builtin(
  'set',
  `add has delete clear keys values entries forEach copy pop extend ${Object.keys(algebra).join(' ')}`,
  'size',
  ([init]) => {
    if (init !== undefined && init !== null && typeof (init as any)[Symbol.iterator] !== 'function')
      throw invalidType('init', 'an iterable', init)
    return new Members(init as Iterable<unknown> | undefined)
  },
)

/** Its names are keys of a map, so none of them is special. */
class Names {
  readonly names = new Map<string, unknown>()
  get(name: unknown): unknown {
    return this.names.get(String(name))
  }
  set(name: unknown, value: unknown): void {
    this.names.set(String(name), value)
  }
  has(name: unknown): boolean {
    return this.names.has(String(name))
  }
  delete(name: unknown): boolean {
    return this.names.delete(String(name))
  }
  keys(): string[] {
    return [...this.names.keys()]
  }
  entries(): [string, unknown][] {
    return [...this.names]
  }
  copy(): object {
    return Object.fromEntries(this.names)
  }
}
export const NAMESPACE: ServedType = builtin(
  'Namespace',
  'get set has delete keys entries copy',
  '',
  ([init]) => {
    const names = new Names()
    if (init !== undefined && init !== null) {
      if (typeof init !== 'object') throw invalidType('init', 'an object', init)
      for (const [name, value] of Object.entries(init)) names.set(name, value)
    }
    return names
  },
  {
    property: () => true,
    get: (names: Names, name) => names.get(name),
    set: (names: Names, name, value) => names.set(name, value),
  },
)
