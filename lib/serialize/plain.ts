// The fast way: a quick look whether V8's serializer alone carries a value faithfully. It may say no to a value that would do; it
// never says yes to one that would arrive as something else.
import { isSharedBuffer, SHARED } from './shared'

const REDUCE = Symbol.for('multiproc.reduce')

export function isPlain(root: unknown): boolean {
  if (typeof root !== 'object' || root === null) return typeof root !== 'function' && typeof root !== 'symbol'
  const seen = new Set<object>([root])
  const buffers = new Set<object>()
  const pending: object[] = [root]
  const look = (value: unknown): boolean => {
    if (typeof value !== 'object' || value === null) return typeof value !== 'function' && typeof value !== 'symbol'
    if (!seen.has(value)) {
      seen.add(value)
      pending.push(value)
    }
    return true
  }
  for (let object = pending.pop(); object; object = pending.pop()) {
    const proto = Object.getPrototypeOf(object)
    if (proto === Array.prototype) {
      const array = object as unknown[]
      if (!Object.isExtensible(array)) return false
      for (let k = 0; k < array.length; k++) {
        const item = array[k]
        if (typeof item !== 'number' && !look(item)) return false
      }
    } else if (proto === Object.prototype) {
      if (Object.prototype.toString.call(object) !== '[object Object]' || !Object.isExtensible(object)) return false
      for (const key of Reflect.ownKeys(object)) {
        if (typeof key === 'symbol') return false
        const d = Object.getOwnPropertyDescriptor(object, key)!
        if (!d.enumerable || !d.writable || !d.configurable || !look(d.value)) return false
      }
      if ((object as any)[SHARED] !== undefined || (object as any)[REDUCE] !== undefined) return false
    } else if (proto === Map.prototype) {
      if (Reflect.ownKeys(object).length) return false
      for (const [key, value] of object as Map<unknown, unknown>) if (!look(key) || !look(value)) return false
    } else if (proto === Set.prototype) {
      if (Reflect.ownKeys(object).length) return false
      for (const item of object as Set<unknown>) if (!look(item)) return false
    } else if (proto === Date.prototype || proto === RegExp.prototype) {
      if (Reflect.ownKeys(object).length > (proto === RegExp.prototype ? 1 : 0)) return false
      if (proto === RegExp.prototype && (object as RegExp).lastIndex !== 0) return false
    } else if (ArrayBuffer.isView(object) || proto === ArrayBuffer.prototype) {
      const buffer = ArrayBuffer.isView(object) ? object.buffer : (object as ArrayBuffer)
      // Two views of one buffer must stay two views of one buffer.
      if (
        Object.getPrototypeOf(buffer) !== ArrayBuffer.prototype ||
        buffers.has(buffer) ||
        isSharedBuffer(buffer) ||
        (buffer as any).resizable
      )
        return false
      buffers.add(buffer)
      if (ArrayBuffer.isView(object) && !VIEWS.has(proto)) return false
    } else return false
  }
  return true
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
