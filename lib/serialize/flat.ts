// The fast path for small plain values: written straight into a byte area (a slot of a ring in shared memory) and read from it,
// without V8's serializer. It carries what JSON does and more (undefined, -0, bigints, dates, bytes), exactly as structured clone
// would; whatever it does not carry it refuses, and the caller takes encode(). Reading is in flat-read.ts.
//
//   message  FLAT value
//   value    0x40…0xff: the integer tag - 0x60  ·  else a tag of below and what stands beside it there; numbers are little-endian
//   object   OBJECT | NULL_OBJECT, u8 count, u16 length of the keys, keys, then the values in the same order
//   key      u8 length and Latin-1, or WIDE_KEY, u16 length in code units and UTF-16
//
// No user code runs while a value is written, with one exception: an accessor at an index of an array, which cannot be seen at
// the price that arrays have here. It is read as structured clone reads it. A writeFlat inside of it returns -1.
import { types } from 'node:util'
import { Met } from './met'
import { hasHiddenState } from './plain'
import { isSharedBuffer } from './shared'
import { BUFFER, byName, VIEWS } from './views'
import { FLAT } from './wire'

/** Bytes with the views that reading and writing needs. All offsets are bytes from its start. */
export interface Area {
  readonly u8: Buffer
  readonly view: DataView
  readonly size: number
}
export function area(buffer: ArrayBuffer, offset = 0, size = buffer.byteLength - offset): Area {
  return { u8: Buffer.from(buffer, offset, size), view: new DataView(buffer, offset, size), size }
}

export const NULL = 0
export const UNDEFINED = 1
export const FALSE = 2
export const TRUE = 3
/** i32 */
export const INT32 = 4
/** f64 */
export const DOUBLE = 5
/** i64 */
export const BIGINT64 = 6
/** u8 sign (1: negative), u32 length, hexadecimal digits */
export const BIGINT = 7
/** u8 length, Latin-1 */
export const STRING = 8
/** u32 length, Latin-1 */
export const LONG_STRING = 9
/** u32 length in bytes, UTF-16 */
export const WIDE_STRING = 10
/** u8 count, values */
export const ARRAY = 11
/** u32 count, values */
export const LONG_ARRAY = 12
export const OBJECT = 13
export const NULL_OBJECT = 14
/** f64 */
export const DATE = 15
/** u8 index of the class (views.ts), u32 length in bytes, bytes */
export const VIEW = 16
/** u32 length, bytes */
export const ARRAY_BUFFER = 17

export const SMALL = 0x40
export const ZERO = 0x60
export const WIDE_KEY = 0xff
export const MAX_DEPTH = 64

const MIN_SMALL = SMALL - ZERO
const MAX_SMALL = 0xff - ZERO
/** To here a loop is faster than a call of Buffer's. */
const SHORT = 32

const { getPrototypeOf, getOwnPropertyNames, getOwnPropertySymbols, getOwnPropertyDescriptor, hasOwn, isExtensible } =
  Object
const { isProxy } = types
const objectPrototype = Object.prototype
const arrayPrototype = Array.prototype

/**
 * Writes `value` at `at` and returns where it ends. Returns -1 where the value is not of the kinds above, or does not fit before
 * `limit`; what was written until then means nothing. Never throws, unless an accessor at an array's index does.
 */
export function writeFlat(value: unknown, area: Area, at: number, limit = area.size): number {
  if (at + 2 > limit) return -1
  area.u8[at] = FLAT
  if (typeof value !== 'object' || value === null) return writeValue(value, area, at + 1, limit, 0)
  if (writing) return -1
  writing = true
  try {
    return writeValue(value, area, at + 1, limit, 0)
  } finally {
    met.forget()
    writing = false
  }
}
let writing = false

/** The objects of the value that is being written: none may be met twice. */
const met = new Met()

function writeValue(value: unknown, area: Area, at: number, limit: number, depth: number): number {
  const u8 = area.u8
  if (at >= limit) return -1
  switch (typeof value) {
    case 'number':
      if ((value | 0) === value) {
        if (value >= MIN_SMALL && value <= MAX_SMALL) {
          if (value === 0 && 1 / value < 0) return writeDouble(DOUBLE, value, area, at, limit)
          u8[at] = value + ZERO
          return at + 1
        }
        if (at + 5 > limit) return -1
        u8[at] = INT32
        area.view.setInt32(at + 1, value, true)
        return at + 5
      }
      return writeDouble(DOUBLE, value, area, at, limit)
    case 'string':
      return writeString(value, area, at, limit)
    case 'object':
      if (value === null) {
        u8[at] = NULL
        return at + 1
      }
      if (depth === MAX_DEPTH || isProxy(value)) return -1
      switch (getPrototypeOf(value)) {
        case objectPrototype:
          return writeObject(OBJECT, value, area, at, limit, depth + 1)
        case arrayPrototype:
          return writeArray(value as unknown[], area, at, limit, depth + 1)
        case null:
          return writeObject(NULL_OBJECT, value, area, at, limit, depth + 1)
        default:
          return writeBuiltin(value, area, at, limit)
      }
    case 'boolean':
      u8[at] = value ? TRUE : FALSE
      return at + 1
    case 'undefined':
      u8[at] = UNDEFINED
      return at + 1
    case 'bigint':
      return writeBigint(value, area, at, limit)
    default:
      return -1
  }
}

function writeDouble(tag: number, value: number, area: Area, at: number, limit: number): number {
  if (at + 9 > limit) return -1
  area.u8[at] = tag
  area.view.setFloat64(at + 1, value, true)
  return at + 9
}
function writeBigint(value: bigint, area: Area, at: number, limit: number): number {
  if (BigInt.asIntN(64, value) === value) {
    if (at + 9 > limit) return -1
    area.u8[at] = BIGINT64
    area.view.setBigInt64(at + 1, value, true)
    return at + 9
  }
  const digits = (value < 0n ? -value : value).toString(16)
  if (at + 6 + digits.length > limit) return -1
  area.u8[at] = BIGINT
  area.u8[at + 1] = value < 0n ? 1 : 0
  area.view.setUint32(at + 2, digits.length, true)
  area.u8.write(digits, at + 6, 'latin1')
  return at + 6 + digits.length
}

function writeString(value: string, area: Area, at: number, limit: number): number {
  const u8 = area.u8
  const length = value.length
  if (length <= SHORT) {
    const start = at + 2
    if (start + length > limit) return -1
    let k = 0
    for (; k < length; k++) {
      const unit = value.charCodeAt(k)
      if (unit > 0xff) break
      u8[start + k] = unit
    }
    if (k === length) {
      u8[at] = STRING
      u8[at + 1] = length
      return start + length
    }
  } else {
    const start = at + 5
    const room = limit - start
    if (length > room) return -1
    // UTF-8 has as many bytes as units where all is ASCII. What is cut off for want of room has up to 3 bytes less than that.
    if (room >= length + 4 ? u8.write(value, start, room, 'utf8') === length : isAscii(value, u8, start, length)) {
      u8[at] = LONG_STRING
      area.view.setUint32(at + 1, length, true)
      return start + length
    }
  }
  const start = at + 5
  if (start + 2 * length > limit) return -1
  u8[at] = WIDE_STRING
  area.view.setUint32(at + 1, 2 * length, true)
  u8.write(value, start, 'utf16le')
  return start + 2 * length
}
function isAscii(value: string, u8: Buffer, start: number, length: number): boolean {
  return Buffer.byteLength(value, 'utf8') === length && u8.write(value, start, length, 'latin1') === length
}

function writeArray(array: unknown[], area: Area, at: number, limit: number, depth: number): number {
  if (!Array.isArray(array)) return -1
  const length = array.length
  // Each item takes a byte at least: no time is spent on what cannot fit.
  if (at + (length <= 0xff ? 2 : 5) + length > limit) return -1
  if (
    !isExtensible(array) ||
    // Items and extra properties are as many as items only where there is no extra property, or a hole for each.
    Object.values(array).length !== length ||
    getOwnPropertySymbols(array).length !== 0 ||
    !met.add(array)
  )
    return -1
  if (length <= 0xff) {
    area.u8[at] = ARRAY
    area.u8[at + 1] = length
    at += 2
  } else {
    area.u8[at] = LONG_ARRAY
    area.view.setUint32(at + 1, length, true)
    at += 5
  }
  for (let k = 0; k < length; k++) {
    const item = array[k]
    if (item === undefined && !hasOwn(array, k)) return -1
    at = writeValue(item, area, at, limit, depth)
    if (at < 0) return -1
  }
  return at
}

function writeObject(tag: number, object: object, area: Area, at: number, limit: number, depth: number): number {
  const u8 = area.u8
  if (
    ArrayBuffer.isView(object) ||
    !isExtensible(object) ||
    getOwnPropertySymbols(object).length !== 0 ||
    !met.add(object)
  )
    return -1
  const keys = getOwnPropertyNames(object)
  const count = keys.length
  if (count === 0 && hasHiddenState(object)) return -1
  if (count > 0xff || at + 4 > limit) return -1
  u8[at] = tag
  u8[at + 1] = count
  const start = at + 4
  let end = start
  for (let k = 0; k < count; k++) {
    end = writeKey(keys[k]!, area, end, limit)
    if (end < 0) return -1
  }
  if (end - start > 0xffff) return -1
  area.view.setUint16(at + 2, end - start, true)
  for (let k = 0; k < count; k++) {
    const d = getOwnPropertyDescriptor(object, keys[k]!)
    if (d?.writable !== true || !d.enumerable || !d.configurable) return -1
    end = writeValue(d.value, area, end, limit, depth)
    if (end < 0) return -1
  }
  return end
}
function writeKey(key: string, area: Area, at: number, limit: number): number {
  const u8 = area.u8
  const length = key.length
  if (length < WIDE_KEY) {
    const start = at + 1
    if (start + length > limit) return -1
    let k = 0
    for (; k < length; k++) {
      const unit = key.charCodeAt(k)
      if (unit > 0xff) break
      u8[start + k] = unit
    }
    if (k === length) {
      u8[at] = length
      return start + length
    }
  }
  const start = at + 3
  if (length > 0x7fff || start + 2 * length > limit) return -1
  u8[at] = WIDE_KEY
  area.view.setUint16(at + 1, length, true)
  u8.write(key, start, 'utf16le')
  return start + 2 * length
}
const viewIndex = new Map<object, number>(VIEWS.map((View, index) => [View.prototype, index]))
viewIndex.set(Buffer.prototype, BUFFER)
const Float16 = (globalThis as any).Float16Array
if (Float16) viewIndex.set(Float16.prototype, byName.get('Float16Array')!)

/** Dates and bytes. */
function writeBuiltin(object: object, area: Area, at: number, limit: number): number {
  const proto = getPrototypeOf(object)
  if (ArrayBuffer.isView(object)) {
    if (!isExtensible(object)) return -1
    const index = viewIndex.get(proto)
    if (index === undefined || hasOwn(object, 'buffer') || hasOwn(object, 'byteOffset') || hasOwn(object, 'byteLength'))
      return -1
    const { buffer, byteOffset, byteLength } = object
    if (!isOwnMemory(buffer) || !met.add(object)) return -1
    // Two views of one memory stay that; but Buffers in Buffer's pool have nothing to do with each other.
    if ((index !== BUFFER || byteLength === buffer.byteLength) && !met.add(buffer)) return -1
    if (at + 6 + byteLength > limit) return -1
    area.u8[at] = VIEW
    area.u8[at + 1] = index
    area.view.setUint32(at + 2, byteLength, true)
    area.u8.set(new Uint8Array(buffer, byteOffset, byteLength), at + 6)
    return at + 6 + byteLength
  }
  if (proto !== Date.prototype && proto !== ArrayBuffer.prototype) return -1
  if (!isExtensible(object) || hasProperties(object)) return -1
  if (proto === ArrayBuffer.prototype && types.isArrayBuffer(object)) {
    const { byteLength } = object
    if (!isOwnMemory(object) || !met.add(object) || at + 5 + byteLength > limit) return -1
    area.u8[at] = ARRAY_BUFFER
    area.view.setUint32(at + 1, byteLength, true)
    area.u8.set(new Uint8Array(object), at + 5)
    return at + 5 + byteLength
  }
  if (types.isDate(object) && proto === Date.prototype && met.add(object))
    return writeDouble(DATE, Date.prototype.getTime.call(object), area, at, limit)
  return -1
}
function hasProperties(object: object): boolean {
  return getOwnPropertyNames(object).length !== 0 || getOwnPropertySymbols(object).length !== 0
}
/** Ordinary memory of this process. One without bytes may have lost them to somebody else: encode() looks closer. */
function isOwnMemory(buffer: ArrayBufferLike): boolean {
  return (
    getPrototypeOf(buffer) === ArrayBuffer.prototype &&
    buffer.byteLength !== 0 &&
    buffer.byteLength <= 0xffffffff &&
    !(buffer as any).resizable &&
    !isSharedBuffer(buffer)
  )
}
