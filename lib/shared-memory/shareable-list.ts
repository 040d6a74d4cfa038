// ShareableList: a list of fixed length in shared memory, in CPython's layout.
//
//   0              n (int64)
//   8              n + 1 offsets (int64) into the data: where each item's slot begins, and where the last one ends
//   8 (n + 2)      data: slots, multiples of 8 bytes
//   then           n formats of Python's struct module, 8 bytes each, padded with zeros
//   then           n codes (1 byte): 0 number or boolean, 1 text, 2 bytes, 3 None
//
// CPython cuts trailing zeros off texts and bytes when it reads them: what it could not give back is refused here. It reserves a byte
// for each character of a text, and cuts off what does not fit: here the slot is as long as the bytes. What is read is checked: another process may have written anything.
import { inspect, isDeepStrictEqual } from 'node:util'
import { checkInteger, checkOptions, checkString, invalidType, invalidValue, outOfRange } from '../check'
import { MultiprocError, SerializationError } from '../errors'
import { registerShared, SHARED } from '../serialize/shared'
import { SharedMemory, type SharedMemoryOptions } from './shared-memory'

/** What a ShareableList can hold. Integers come back as numbers where that is exact, otherwise as bigints. */
export type ShareableValue = number | bigint | boolean | string | Uint8Array | null
/** What ShareableList takes. */
export type ShareableListOptions = Pick<SharedMemoryOptions, 'name' | 'track'>

const FORMATS = { int: 'q', float: 'd', bool: 'xxxxxxx?', none: 'xxxxxx?x' } as const
const CODES = { value: 0, text: 1, bytes: 2, none: 3 } as const
/** The longest format that has 8 bytes: `9999999s`, rounded down to whole words. */
const MAX_SLOT = 9_999_992
const WORD = 8

interface Item {
  code: number
  /** undefined: text or bytes. */
  format: string | undefined
  bytes: Uint8Array
}

/**
 * A list in shared memory: `new ShareableList(iterable, { name?, track? })` makes one, `new ShareableList({ name })` attaches one,
 * also one that CPython made. Its length is fixed, and each item has the room of what it was made with: text and bytes up to the
 * next multiple of 8 (8 more if their length is one), anything else 8 bytes. It has no lock. Never blocks. Throws as SharedMemory, and
 * TypeError or RangeError for what it cannot hold.
 * @example
 * const list = new ShareableList(['howdy', 1, 2.5, true, null])
 * list.set(1, 42)
 * list.shm.close()
 */
export class ShareableList<T = any> implements Iterable<T> {
  /** The memory it lies in: `close()`, `unlink()` and `name` are there. */
  readonly shm: SharedMemory
  /** How many items. */
  readonly length: number
  readonly #view: DataView
  readonly #formats: number

  constructor(values: Iterable<T> & Iterable<ShareableValue>, options?: ShareableListOptions)
  constructor(options: { name: string; track?: boolean })
  /** @internal */
  constructor(options: undefined, ticket: SharedMemory)
  constructor(
    source: Iterable<T> | { name: string; track?: boolean } | undefined = [],
    options?: ShareableListOptions | SharedMemory,
  ) {
    if (options instanceof SharedMemory) this.shm = options
    else if (isIterable(source)) this.shm = made([...source], options)
    else {
      checkOptions('options', source)
      if (typeof source !== 'object') throw invalidType('values', 'an iterable, or { name }', source)
      const { name, track } = source
      checkString('options.name', name)
      this.shm = new SharedMemory({ name, ...(track !== undefined && { track }) })
    }
    this.#view = new DataView(this.shm.buffer)
    try {
      this.length = this.#word(0, 0, Math.floor((this.shm.size - 2 * WORD) / (2 * WORD + 1)))
      this.#formats = this.#data + this.#word(this.length + 1, 0, this.shm.size)
      if (this.#formats + this.length * (WORD + 1) > this.shm.size) throw corrupt(this.shm)
    } catch (error) {
      if (!(options instanceof SharedMemory)) this.shm.close()
      throw error
    }
  }

  /** The format that Python's struct module has for all items. */
  get format(): string {
    return Array.from({ length: this.length }, (_, i) => this.#format(i)).join('')
  }

  /** Item `index`; a negative one counts from the end. Throws RangeError (`ERR_OUT_OF_RANGE`), ClosedError. */
  get(index: number): T {
    const i = this.#index(index)
    const [begin, room] = this.#slot(i)
    const format = this.#format(i)
    const code = this.#code(i)
    if (code === CODES.none) return null as T
    if (code === CODES.value) {
      if (room >= WORD && format === FORMATS.int) return exact(this.#view.getBigInt64(begin, true)) as T
      if (room >= WORD && format === FORMATS.float) return this.#view.getFloat64(begin, true) as T
      if (room >= WORD && format === FORMATS.bool) return (this.#view.getUint8(begin + 7) !== 0) as T
      throw corrupt(this.shm)
    }
    const length = /^\d{1,7}s$/.test(format) ? Number(format.slice(0, -1)) : Number.POSITIVE_INFINITY
    if (length > room || (code !== CODES.text && code !== CODES.bytes)) throw corrupt(this.shm)
    const bytes = new Uint8Array(this.shm.buffer, begin, length).slice()
    let end = length
    while (end > 0 && bytes[end - 1] === 0) end--
    if (code === CODES.bytes) return bytes.subarray(0, end) as Uint8Array as T
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, end)) as T
    } catch {
      throw corrupt(this.shm)
    }
  }

  /**
   * Replaces item `index`, also by one of another type. Throws RangeError (`ERR_OUT_OF_RANGE`) when there is no such item, or no room
   * for it, TypeError for what a list cannot hold, ClosedError. A reader in the same moment may see half of it.
   */
  set(index: number, value: T): void {
    const i = this.#index(index)
    const item = itemOf('value', value)
    const [begin, room] = this.#slot(i)
    if (item.bytes.length > room)
      throw outOfRange(
        'value',
        `of at most ${room} bytes, the room of item ${i} (this has ${item.bytes.length})`,
        value,
      )
    const old = this.#format(i)
    const format =
      item.format ?? (/^\d+s$/.test(old) && Number.parseInt(old, 10) >= item.bytes.length ? old : `${room}s`)
    const target = new Uint8Array(this.shm.buffer)
    putFormat(target, this.#formats + i * WORD, format)
    target[this.#formats + this.length * WORD + i] = item.code
    if (item.format === undefined) target.fill(0, begin + item.bytes.length, begin + room)
    target.set(item.bytes, begin)
  }

  /** How many items equal `value`; bytes by their content. */
  count(value: ShareableValue): number {
    let n = 0
    for (const item of this) if (equal(item, value)) n++
    return n
  }
  /** Where the first item is that equals `value`; −1: nowhere. */
  indexOf(value: ShareableValue): number {
    for (let i = 0; i < this.length; i++) if (equal(this.get(i), value)) return i
    return -1
  }

  /** Its items, each read when its turn comes. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = 0; i < this.length; i++) yield this.get(i)
  }
  /** Closes its memory here: as `shm.close()`. */
  [Symbol.dispose](): void {
    this.shm.close()
  }
  /** What JSON.stringify() writes of it: what it is called, never what is in the memory. */
  toJSON(): object {
    return { type: 'ShareableList', name: this.shm.name, length: this.length }
  }
  [inspect.custom](depth: number, options: object): string {
    const { name, closed } = this.shm
    if (closed || depth < 0) return `ShareableList(${this.length}) ${inspect({ name, closed }, options)}`
    return `ShareableList(${this.length}) ${inspect([...this], options)} ${inspect({ name }, options)}`
  }

  get #data(): number {
    return (this.length + 2) * WORD
  }
  /** Word `i` from the start: an integer within the bounds. */
  #word(i: number, min: number, max: number): number {
    if ((i + 1) * WORD > this.shm.size) throw corrupt(this.shm)
    const value = Number(this.#view.getBigInt64(i * WORD, true))
    if (!(value >= min && value <= max)) throw corrupt(this.shm)
    return value
  }
  #index(index: number): number {
    checkInteger('index', index, -this.length, this.length - 1)
    this.shm.checkOpen()
    return index < 0 ? index + this.length : index
  }
  /** Where the item lies, and how much room it has. */
  #slot(i: number): [begin: number, room: number] {
    const last = this.#formats - this.#data
    const begin = this.#word(i + 1, 0, last)
    return [this.#data + begin, this.#word(i + 2, begin, last) - begin]
  }
  #format(i: number): string {
    this.shm.checkOpen()
    const bytes = new Uint8Array(this.shm.buffer, this.#formats + i * WORD, WORD)
    return String.fromCharCode(...bytes).replace(/\0+$/, '')
  }
  #code(i: number): number {
    return this.#view.getUint8(this.#formats + this.length * WORD + i)
  }
}

function isIterable(value: unknown): value is Iterable<any> {
  return typeof value === 'string' || (typeof value === 'object' && value !== null && Symbol.iterator in value)
}

function made(values: unknown[], options: ShareableListOptions | undefined): SharedMemory {
  checkOptions('options', options)
  const items = values.map((value, i) => itemOf(`values[${i}]`, value))
  const rooms = items.map((item, i) => roomFor(item, values[i]))
  const n = items.length
  const data = (n + 2) * WORD
  const formats = data + rooms.reduce((sum, room) => sum + room, 0)
  const shm = new SharedMemory({ ...options, create: true, size: formats + n * (WORD + 1) })
  const view = new DataView(shm.buffer)
  const target = shm.buf
  view.setBigInt64(0, BigInt(n), true)
  let offset = 0
  for (const [i, { code, format, bytes }] of items.entries()) {
    target.set(bytes, data + offset)
    putFormat(target, formats + i * WORD, format ?? `${rooms[i]}s`)
    target[formats + n * WORD + i] = code
    offset += rooms[i]!
    view.setBigInt64((i + 2) * WORD, BigInt(offset), true)
  }
  return shm
}

/** As CPython, which goes by the characters of a text: what fills its words gets one more. But never less than the bytes. */
function roomFor({ format, bytes }: Item, value: unknown): number {
  if (format !== undefined) return WORD
  const characters = typeof value === 'string' ? [...value].length : bytes.length
  return Math.max(Math.floor(characters / WORD) + 1, Math.ceil(bytes.length / WORD)) * WORD
}

function putFormat(target: Uint8Array, at: number, format: string): void {
  for (let k = 0; k < WORD; k++) target[at + k] = k < format.length ? format.charCodeAt(k) : 0
}

/** The bytes of a value. Throws for what CPython's format cannot hold. */
function itemOf(argument: string, value: unknown): Item {
  const bytes = new Uint8Array(WORD)
  const view = new DataView(bytes.buffer)
  if (value === null) return { code: CODES.none, format: FORMATS.none, bytes }
  switch (typeof value) {
    case 'boolean':
      bytes[7] = value ? 1 : 0
      return { code: CODES.value, format: FORMATS.bool, bytes }
    case 'bigint':
      if (BigInt.asIntN(64, value) !== value) throw outOfRange(argument, 'an integer of 64 bits', value)
      view.setBigInt64(0, value, true)
      return { code: CODES.value, format: FORMATS.int, bytes }
    case 'number':
      if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
        view.setBigInt64(0, BigInt(value), true)
        return { code: CODES.value, format: FORMATS.int, bytes }
      }
      view.setFloat64(0, value, true)
      return { code: CODES.value, format: FORMATS.float, bytes }
    case 'string': {
      const text = new TextEncoder().encode(value)
      if (/\p{Cs}/u.test(value)) throw invalidValue(argument, 'text without lone surrogates', value)
      return { code: CODES.text, format: undefined, bytes: checkBytes(argument, value, text) }
    }
  }
  if (value instanceof Uint8Array)
    return { code: CODES.bytes, format: undefined, bytes: checkBytes(argument, value, value) }
  throw invalidType(argument, 'a number, bigint, boolean, string, Uint8Array or null', value)
}

function checkBytes(argument: string, value: unknown, bytes: Uint8Array): Uint8Array {
  if (bytes.at(-1) === 0)
    throw invalidValue(argument, "text or bytes that do not end with NUL, which Python's format cannot keep", value)
  if (bytes.length >= MAX_SLOT) throw outOfRange(argument, `of less than ${MAX_SLOT} bytes`, bytes.length)
  return bytes
}

function exact(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value
}
function equal(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0
  // biome-ignore lint/suspicious/noDoubleEquals: 1 and 1n are the same integer
  return typeof a === 'bigint' || typeof b === 'bigint' ? typeof a !== 'string' && a == b : isDeepStrictEqual(a, b)
}
function corrupt(shm: SharedMemory): MultiprocError {
  return new MultiprocError(`what lies in SharedMemory '${shm.name}' is no ShareableList`, 'ERR_MP_CORRUPT')
}

Object.defineProperty(ShareableList.prototype, SHARED, { value: 'ShareableList' })
registerShared('ShareableList', {
  write: ({ shm }: ShareableList): SharedMemory => shm,
  read(shm: unknown): ShareableList {
    if (!(shm instanceof SharedMemory)) throw new SerializationError('a received ShareableList is malformed')
    return new ShareableList(undefined, shm)
  },
})
