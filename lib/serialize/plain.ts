// The fast way: a quick look whether V8's serializer alone carries a value faithfully. It may say no to a value that would do; it
// never says yes to one that would arrive as something else.
import { types } from 'node:util'
import { Met } from './met'
import { isSharedBuffer } from './shared'

const { getPrototypeOf, getOwnPropertyNames, getOwnPropertySymbols, getOwnPropertyDescriptor, isExtensible } = Object

export function isPlain(root: unknown): boolean {
  if (typeof root !== 'object' || root === null) return isPrimitive(root)
  const met = new Met()
  met.add(root)
  const pending: object[] = [root]
  /** False where nobody can send it; objects are looked at later. */
  const look = (value: unknown): boolean => {
    if (typeof value !== 'object' || value === null) return isPrimitive(value)
    if (met.add(value)) pending.push(value)
    return true
  }
  for (let object = pending.pop(); object; object = pending.pop()) {
    if (types.isProxy(object)) return false
    const proto = getPrototypeOf(object)
    if (proto === Array.prototype) {
      if (!isPlainArray(object, look)) return false
    } else if (proto === Object.prototype) {
      if (!isPlainObject(object, look)) return false
    } else if (!isExtensible(object)) return false
    else if (proto === Map.prototype) {
      if (!types.isMap(object) || ownKeys(object) !== 0) return false
      for (const [key, value] of object) if (!look(key) || !look(value)) return false
    } else if (proto === Set.prototype) {
      if (!types.isSet(object) || ownKeys(object) !== 0) return false
      for (const item of object) if (!look(item)) return false
    } else if (proto === Date.prototype) {
      if (!types.isDate(object) || ownKeys(object) !== 0) return false
    } else if (proto === RegExp.prototype) {
      if (!types.isRegExp(object) || ownKeys(object) !== 1 || object.lastIndex !== 0) return false
    } else if (ArrayBuffer.isView(object)) {
      // Two views of one buffer must stay two views of one buffer.
      if (!VIEWS.has(proto) || !isPlainBuffer(object.buffer) || !met.add(object.buffer)) return false
    } else if (!isPlainBuffer(object) || ownKeys(object) !== 0) return false
  }
  return true
}

function isPrimitive(value: unknown): boolean {
  return typeof value !== 'function' && typeof value !== 'symbol'
}
function isPlainArray(array: object, look: (value: unknown) => boolean): boolean {
  if (!Array.isArray(array) || !isExtensible(array) || getOwnPropertySymbols(array).length !== 0) return false
  const { length } = array
  const present = Object.values(array).length
  if (present < length / 2 - 100) return false // sparse: by its properties it is walked faster
  let items = 0
  for (let k = 0; k < length; k++) {
    const item = array[k]
    if (typeof item !== 'number' && !look(item)) return false
    if (item !== undefined || Object.hasOwn(array, k)) items++
  }
  return items === present
}
function isPlainObject(object: object, look: (value: unknown) => boolean): boolean {
  if (Array.isArray(object) || !isExtensible(object) || getOwnPropertySymbols(object).length !== 0) return false
  const keys = getOwnPropertyNames(object)
  if (keys.length === 0 && hasHiddenState(object)) return false
  for (const key of keys) {
    const d = getOwnPropertyDescriptor(object, key)
    if (d?.writable !== true || !d.enumerable || !d.configurable || !look(d.value)) return false
  }
  return true
}
/** Looks like `{}`: is it a Map, a Promise … that somebody has given another prototype? */
export function hasHiddenState(object: object): boolean {
  return (
    types.isMap(object) ||
    types.isSet(object) ||
    types.isDate(object) ||
    types.isBoxedPrimitive(object) ||
    types.isPromise(object) ||
    types.isAnyArrayBuffer(object) ||
    types.isWeakMap(object) ||
    types.isWeakSet(object) ||
    types.isGeneratorObject(object) ||
    types.isMapIterator(object) ||
    types.isSetIterator(object) ||
    types.isExternal(object)
  )
}

function isPlainBuffer(buffer: object): boolean {
  return (
    types.isArrayBuffer(buffer) &&
    getPrototypeOf(buffer) === ArrayBuffer.prototype &&
    !isSharedBuffer(buffer) &&
    !(buffer as any).resizable
  )
}
function ownKeys(object: object): number {
  return getOwnPropertyNames(object).length + getOwnPropertySymbols(object).length
}

const VIEWS = new Set<object>([
  Buffer.prototype,
  Int8Array.prototype,
  Uint8Array.prototype,
  Uint8ClampedArray.prototype,
  Int16Array.prototype,
  Uint16Array.prototype,
  Int32Array.prototype,
  Uint32Array.prototype,
  Float32Array.prototype,
  Float64Array.prototype,
  BigInt64Array.prototype,
  BigUint64Array.prototype,
  DataView.prototype,
])
