// Reads what flat.ts has written. The bytes may be anything: each length is checked against what is left before it is used, what is
// made is never larger than a constant times the bytes, and the nesting is bounded.
//
// Objects with the same keys are made by one function per list of keys (a shape), which V8 runs as an object literal. Shapes are
// found by the bytes of their keys, in a table of fixed size in which a new one displaces the old.
import { SerializationError } from '../errors'
import {
  ARRAY,
  ARRAY_BUFFER,
  type Area,
  BIGINT,
  BIGINT64,
  DATE,
  DOUBLE,
  FALSE,
  INT32,
  LONG_ARRAY,
  LONG_STRING,
  MAX_DEPTH,
  NULL,
  NULL_OBJECT,
  OBJECT,
  SMALL,
  STRING,
  TRUE,
  UNDEFINED,
  VIEW,
  WIDE_KEY,
  WIDE_STRING,
  ZERO,
} from './flat'
import { BUFFER, FLOAT16, Float16, VIEWS } from './views'
import { FLAT } from './wire'

/**
 * The value that writeFlat wrote from `at` to `end`. It has nothing in common with the area. Throws SerializationError where the
 * bytes are not exactly one value.
 */
export function readFlat(area: Area, at: number, end: number): unknown {
  if (!(at >= 0 && at + 2 <= end && end <= area.size) || area.u8[at] !== FLAT) throw malformed('not a flat message')
  position = at + 1
  const value = readValue(area, end, 0)
  if (position !== end) throw malformed('bytes after the value')
  return value
}

/** Where the next value starts. No user code runs while a message is read, so that one variable does. */
let position = 0

function malformed(detail: string): SerializationError {
  return new SerializationError(`malformed message: ${detail}`)
}
/** Moves on by `bytes`, all of which are there; returns where they start. */
function take(bytes: number, end: number): number {
  const at = position
  if (bytes > end - at) throw malformed('it ends too early')
  position = at + bytes
  return at
}

function readValue(area: Area, end: number, depth: number): unknown {
  const u8 = area.u8
  const at = position
  if (at >= end) throw malformed('it ends too early')
  position = at + 1
  const tag = u8[at]!
  if (tag >= SMALL) return tag - ZERO
  switch (tag) {
    case NULL:
      return null
    case UNDEFINED:
      return undefined
    case FALSE:
      return false
    case TRUE:
      return true
    case INT32:
      return area.view.getInt32(take(4, end), true)
    case DOUBLE:
      return area.view.getFloat64(take(8, end), true)
    case STRING: {
      const length = u8[take(1, end)]!
      return shortString(u8, take(length, end), length)
    }
    case OBJECT:
      return readObject(area, end, depth + 1)
    case ARRAY:
      return readArray(u8[take(1, end)]!, area, end, depth + 1)
    default:
      return readRare(tag, area, end, depth)
  }
}

function readRare(tag: number, area: Area, end: number, depth: number): unknown {
  const { u8, view } = area
  switch (tag) {
    case LONG_STRING: {
      const length = view.getUint32(take(4, end), true)
      const at = take(length, end)
      return u8.toString('latin1', at, at + length)
    }
    case WIDE_STRING: {
      const length = view.getUint32(take(4, end), true)
      if (length % 2 !== 0) throw malformed('half a character')
      const at = take(length, end)
      return u8.toString('utf16le', at, at + length)
    }
    case LONG_ARRAY:
      return readArray(view.getUint32(take(4, end), true), area, end, depth + 1)
    case NULL_OBJECT: {
      const shape = readShape(area, end, depth + 1)
      return fill(Object.create(null), shape.keys, area, end, depth + 1)
    }
    case DATE:
      return new Date(view.getFloat64(take(8, end), true))
    case BIGINT64:
      return view.getBigInt64(take(8, end), true)
    case BIGINT: {
      const sign = u8[take(1, end)]!
      const length = view.getUint32(take(4, end), true)
      const at = take(length, end)
      const digits = u8.toString('latin1', at, at + length)
      if (sign > 1 || !/^[0-9a-f]+$/.test(digits)) throw malformed('not a bigint')
      const size = BigInt(`0x${digits}`)
      return sign === 1 ? -size : size
    }
    case VIEW: {
      const index = u8[take(1, end)]!
      const copy = readBytes(area, end)
      if (index === BUFFER) return Buffer.from(copy)
      const View = index === FLOAT16 ? Float16 : VIEWS[index]
      if (View === undefined) throw malformed('an unknown kind of view')
      const itemSize = (View as any).BYTES_PER_ELEMENT ?? 1
      if (copy.byteLength % itemSize !== 0) throw malformed('half an item')
      return new View(copy)
    }
    case ARRAY_BUFFER:
      return readBytes(area, end)
    default:
      throw malformed(`unknown tag ${tag}`)
  }
}
function readBytes({ u8, view }: Area, end: number): ArrayBuffer {
  const length = view.getUint32(take(4, end), true)
  const at = take(length, end)
  const copy = new Uint8Array(length)
  copy.set(u8.subarray(at, at + length))
  return copy.buffer
}

/** Latin-1. String.fromCharCode is faster than a call of Buffer's up to a dozen characters. */
function shortString(u8: Uint8Array, at: number, length: number): string {
  const fromUnits = String.fromCharCode
  switch (length) {
    case 0:
      return ''
    case 1:
      return fromUnits(u8[at]!)
    case 2:
      return fromUnits(u8[at]!, u8[at + 1]!)
    case 3:
      return fromUnits(u8[at]!, u8[at + 1]!, u8[at + 2]!)
    case 4:
      return fromUnits(u8[at]!, u8[at + 1]!, u8[at + 2]!, u8[at + 3]!)
    case 5:
      return fromUnits(u8[at]!, u8[at + 1]!, u8[at + 2]!, u8[at + 3]!, u8[at + 4]!)
    case 6:
      return fromUnits(u8[at]!, u8[at + 1]!, u8[at + 2]!, u8[at + 3]!, u8[at + 4]!, u8[at + 5]!)
    default:
      return length <= 12
        ? shortString(u8, at, 6) + shortString(u8, at + 6, length - 6)
        : (u8 as Buffer).toString('latin1', at, at + length)
  }
}

function readArray(length: number, area: Area, end: number, depth: number): unknown[] {
  if (depth > MAX_DEPTH) throw malformed('it is nested too deeply')
  // Each item has a byte at least.
  if (length > end - position) throw malformed('it ends too early')
  const array: unknown[] = []
  for (let k = 0; k < length; k++) array.push(readValue(area, end, depth))
  return array
}

type Read = (area: Area, end: number, depth: number) => unknown
interface Shape {
  /** The bytes of the keys as they are in messages. */
  bytes: Uint8Array
  count: number
  keys: string[]
  /** How often it was met before it got its own function. */
  met: number
  make: ((read: Read, area: Area, end: number, depth: number) => object) | null
}
const SHAPES = 256
const MAX_SHAPE_BYTES = 512
const MAX_SHAPE_KEYS = 64
/** Worth a function of its own from the eighth on. */
const OFTEN = 8
const shapes: (Shape | undefined)[] = new Array(SHAPES).fill(undefined)

function readObject(area: Area, end: number, depth: number): object {
  const shape = readShape(area, end, depth)
  if (shape.make !== null) return shape.make(readValue, area, end, depth)
  if (++shape.met === OFTEN) shape.make = maker(shape.keys)
  return fill({}, shape.keys, area, end, depth)
}

function readShape({ u8, view }: Area, end: number, depth: number): Shape {
  if (depth > MAX_DEPTH) throw malformed('it is nested too deeply')
  const head = take(3, end)
  const count = u8[head]!
  const length = view.getUint16(head + 1, true)
  const at = take(length, end)
  // Each value has a byte at least.
  if (count > end - position) throw malformed('it ends too early')
  let hash = length
  for (let k = 0; k < length; k++) hash = Math.imul(hash, 31) + u8[at + k]!
  const place = (hash ^ (hash >>> 15)) & (SHAPES - 1)
  const known = shapes[place]
  if (known !== undefined && known.count === count && known.bytes.length === length) {
    const { bytes } = known
    let k = 0
    while (k < length && bytes[k] === u8[at + k]) k++
    if (k === length) return known
  }
  const bytes = Uint8Array.prototype.slice.call(u8, at, at + length)
  const shape: Shape = { bytes, count, keys: keysIn(bytes, count), met: 0, make: null }
  if (length <= MAX_SHAPE_BYTES && count <= MAX_SHAPE_KEYS) shapes[place] = shape
  return shape
}
function keysIn(bytes: Uint8Array, count: number): string[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const keys: string[] = []
  let at = 0
  for (let k = 0; k < count; k++) {
    if (at >= text.length) throw malformed('a key is missing')
    const wide = text[at] === WIDE_KEY
    if (wide && at + 3 > text.length) throw malformed('a key is cut off')
    const start = wide ? at + 3 : at + 1
    const end = start + (wide ? 2 * text.readUInt16LE(at + 1) : text[at]!)
    if (end > text.length) throw malformed('a key is cut off')
    keys.push(text.toString(wide ? 'utf16le' : 'latin1', start, end))
    at = end
  }
  if (at !== text.length) throw malformed('bytes after the keys')
  return keys
}

function fill(object: any, keys: string[], area: Area, end: number, depth: number): object {
  for (let k = 0; k < keys.length; k++) {
    const key = keys[k]!
    const value = readValue(area, end, depth)
    // What every object inherits (`__proto__`) must not be assigned to.
    if (key in object)
      Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true })
    else object[key] = value
  }
  return object
}
/** A function with one object literal: `{ "id": read(…), … }`. Keys are in it as JSON, so that no key is read as code. */
function maker(keys: string[]): Shape['make'] {
  const member = (key: string): string =>
    `${key === '__proto__' ? '["__proto__"]' : JSON.stringify(key)}:read(area,end,depth)`
  try {
    return new Function('read', 'area', 'end', 'depth', `return {${keys.map(member).join(',')}}`) as Shape['make']
  } catch {
    return null // this process must not make functions from text (--disallow-code-generation-from-strings)
  }
}
