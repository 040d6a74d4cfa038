// Keys and values on their way into a collection and out of it, through two areas of memory that the addon knows.
//
//   out    key · value behind it        JavaScript writes, the addon copies into the collection
//   into   value (or key · value)       the addon copies out of the collection, JavaScript reads
//   info   what else a call tells
//
//   value   flat ─────────────▶ area        (lib/serialize/flat.ts: no copy in between)
//           else encode() ───▶ area, if short and without shared objects
//                         └──▶ a message, which holds them; it becomes the value
//
// User code may run while a value is written or read, and use collections itself: what it has overwritten is written again,
// and what it could overwrite is read from a copy.
import { binding } from '../binding'
import { invalidType, outOfRange } from '../check'
import { SerializationError } from '../errors'
import { attach } from '../memory'
import { type Area, area, decodeSync, encode, encodeCustom, FLAT, readFlat, serializer, writeFlat } from '../serialize'

/** What a key may be: compared by its value, as in a Map. */
export type SharedKey = string | number | bigint | boolean | null | undefined

// What reading gives, unless it is a length.
const ABSENT = -1
const MESSAGE = -2
/** There is no value. */
export const NOTHING = Symbol('nothing')

// In info.
const LENGTH = 0
const PLACE = 1
const SEQUENCE = 2
const POSITION = 3
const KEY = 4

const AREA_BYTES = 64 << 10
/** In messages, as channels have it. */
const VALUE = 1

interface Areas {
  out: Area
  into: Area
  info: Float64Array
  /** The longest key, and the longest value that is no message. */
  most: number
}
let made: Areas | undefined
/** Counts the uses of the out area. */
let uses = 0

function areas(): Areas {
  made ??= make()
  return made
}
function make(): Areas {
  attach()
  const out = new ArrayBuffer(AREA_BYTES)
  const into = new ArrayBuffer(AREA_BYTES)
  const info = new Float64Array(5)
  binding().collectionAreas(new Uint8Array(out), new Uint8Array(into), info)
  return { out: area(out), into: area(into), info, most: binding().maxInline }
}
/** Before the first call on a collection. */
export function prepare(): void {
  areas()
}

/** Writes the key at the start of the out area and gives its length. Throws TypeError, RangeError. */
export function writeKey(key: unknown): number {
  const { out, most } = made!
  uses++
  if (typeof key === 'number') {
    // As a Map has it: 0 and -0 are one key, and so are all NaN.
    if (key === 0) key = 0
    else if (Number.isNaN(key)) key = Number.NaN
  } else if (typeof key === 'object' ? key !== null : typeof key === 'function' || typeof key === 'symbol')
    throw invalidType('key', 'a string, a number, a bigint, a boolean, null or undefined', key)
  const end = writeFlat(key, out, 0, most)
  if (end < 0)
    throw outOfRange('key', `of at most ${most} bytes`, typeof key === 'string' ? `${key.slice(0, 20)}…` : key)
  return end
}

/** What becomes a value: so many bytes in the area behind the key, or a message. */
export const packed = { key: 0, length: 0, message: 0 }

/** Writes the key (unless there is none) and the value. `packed` tells of them until the next call. Throws SerializationError. */
export function pack(key: unknown, keyed: boolean, value: unknown): typeof packed {
  const { out, most } = made!
  packed.message = 0
  packed.key = keyed ? writeKey(key) : 0
  if (serializer() === null) {
    const use = ++uses
    const end = writeFlat(value, out, packed.key, packed.key + most)
    if (end >= 0 && use === uses) {
      packed.length = end - packed.key
      return packed
    }
  }
  return packOwn(key, keyed, value)
}

function packOwn(key: unknown, keyed: boolean, value: unknown): typeof packed {
  const { out, most } = made!
  const holds: number[] = []
  const own = serializer()
  const bytes =
    own !== null
      ? encodeCustom(own, value)
      : encode(value, { name: 'value', hold: (offset) => holds.push(offset), sending: refuseResource })
  packed.key = keyed ? writeKey(key) : 0
  packed.length = 0
  packed.message = 0
  if (bytes.byteLength <= most && holds.length === 0) {
    out.u8.set(bytes, packed.key)
    packed.length = bytes.byteLength
  } else packed.message = binding().createMessage(bytes, VALUE, holds)
  return packed
}

function refuseResource(end: () => void): void {
  end()
  throw new SerializationError('an open file or socket cannot lie in a shared collection: send it in a message')
}

/** Runs the call that takes what pack() has made. If it throws, or refuses it (0), a message is given up. */
export function putPacked(call: () => number, refusedAt?: number): number {
  const { message } = packed
  if (message === 0) return call()
  let taken = false
  try {
    const result = call()
    taken = result !== refusedAt
    return result
  } finally {
    if (!taken) binding().endMessage(message)
  }
}

/** The value that a call has found; NOTHING: none. Throws SerializationError. */
export function unpack(code: number, at = 0): unknown {
  if (code >= 0) {
    const { into } = made!
    if (into.u8[at] === FLAT) return readFlat(into, at, at + code)
    return decodeSync(new Uint8Array(into.u8.subarray(at, at + code)))
  }
  if (code === ABSENT) return NOTHING
  return readMessage(code)
}

function readMessage(code: number): unknown {
  if (code !== MESSAGE) throw new SerializationError('a value of no known kind')
  const { info } = made!
  const message = info[PLACE]!
  try {
    const bytes = new Uint8Array(info[LENGTH]!)
    binding().readMessage(message, bytes)
    return decodeSync(bytes)
  } finally {
    binding().endItem(message)
  }
}

/** Goes through a dictionary: the keys that are there when it begins, in the order in which they came. */
export class Cursor {
  readonly #collection: number
  readonly #end: number
  #sequence = 0
  #position = 2 ** 32 - 1
  key: unknown

  constructor(collection: number) {
    this.#collection = collection
    this.#end = binding().dictEnd(collection)
  }
  /** The next key is in `key`: its value, or true. NOTHING: there is none. */
  next(withValue: boolean): unknown {
    const code = binding().dictNext(this.#collection, this.#sequence, this.#end, this.#position, withValue ? 1 : 0)
    if (code === ABSENT) return NOTHING
    const { into, info } = made!
    this.#sequence = info[SEQUENCE]!
    this.#position = info[POSITION]!
    const keyBytes = info[KEY]!
    this.key = readFlat(into, 0, keyBytes)
    return withValue ? unpack(code, keyBytes) : true
  }
}
