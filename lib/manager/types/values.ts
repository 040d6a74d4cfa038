// Value and Array as the server has them: the package's own, in the memory of the server's process, so that types, ranges and
// atomics are the same.
import { RawArray, RawValue } from '../../shared'
import { builtin, type ServedType } from '../served'
import { RLOCK, ServedLock } from './locks'

/** Calls are atomic anyway; the lock is for who makes several. */
class WithLock {
  #lock: ServedLock | undefined
  getLock(): ServedLock {
    this.#lock ??= new ServedLock(true)
    return this.#lock
  }
}

class ServedValue extends WithLock {
  readonly #value: any
  constructor(type: unknown, initial: unknown) {
    super()
    this.#value = initial === undefined ? new RawValue(type as any) : new RawValue(type as any, initial as any)
  }
  get value(): unknown {
    return this.#value.value
  }
  set value(value: unknown) {
    this.#value.value = value
  }
  get(): unknown {
    return this.#value.value
  }
  set(value: unknown): void {
    this.#value.value = value
  }
  async update(change: (value: unknown) => unknown): Promise<unknown> {
    const value = await change(this.#value.value)
    this.#value.value = value
    return value
  }
  /** An atomic of the value's; those that its type has not are TypeErrors. */
  atomic(name: string, args: unknown[]): unknown {
    if (typeof this.#value[name] !== 'function') throw new TypeError(`a Value of this type has no ${name}()`)
    return this.#value[name](...args)
  }
}
const ATOMICS = ['add', 'sub', 'and', 'or', 'xor', 'exchange', 'compareExchange', 'load', 'store']
for (const name of ATOMICS)
  Object.defineProperty(ServedValue.prototype, name, {
    value(this: ServedValue, ...args: unknown[]) {
      return this.atomic(name, args)
    },
  })

class ServedArray extends WithLock {
  readonly items: any
  constructor(type: unknown, init: unknown) {
    super()
    this.items = new RawArray(type as any, init as any)
  }
  get length(): number {
    return this.items.length
  }
  get(index: number): unknown {
    return this.items[this.#index(index)]
  }
  /** As a TypedArray's: several from an offset on; or one, of an index. */
  set(first: unknown, second: unknown): void {
    if (typeof first === 'number') this.items[this.#index(first)] = second
    else this.items.set(first, second)
  }
  at(index: number): unknown {
    return this.items.at(index)
  }
  slice(start?: number, end?: number): unknown {
    return this.items.slice(start, end)
  }
  copy(): unknown {
    return this.items.slice()
  }
  fill(value: unknown, start?: number, end?: number): void {
    this.items.fill(value, start, end)
  }
  #index(index: unknown): number {
    if (!Number.isInteger(index) || (index as number) < 0 || (index as number) >= this.items.length)
      throw new RangeError(`there is no index ${String(index)}: the array has ${this.items.length} items`)
    return index as number
  }
}
const INDEX = /^\d{1,10}$/
const resultType = (name: string): ServedType | undefined => (name === 'getLock' ? RLOCK : undefined)

export const VALUE: ServedType = builtin(
  'Value',
  `get set update getLock ${ATOMICS.join(' ')}`,
  'value',
  ([type, initial]) => new ServedValue(type, initial),
  { resultType },
)
export const ARRAY: ServedType = builtin(
  'Array',
  'get set at slice copy fill getLock',
  'length',
  ([type, init]) => new ServedArray(type, init),
  {
    resultType,
    property: (_array, name) => name === 'length' || INDEX.test(name),
    get: (array: ServedArray, name) => (name === 'length' ? array.length : array.get(Number(name))),
    set: (array: ServedArray, name, value) => {
      if (name === 'length') throw new TypeError('the length of an Array cannot be changed')
      array.set(Number(name), value)
    },
  },
)
