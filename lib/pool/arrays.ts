// Large typed arrays among arguments, items and results, beside numbers, strings and the like: each is named by its segment of
// shared memory, without the serializer. Whatever else there is takes the usual way.
//
//   body   ARRAYS · u8 1: the one value is the array, 0: a list · u16 how many · pad · 40 bytes for each · the list, with null for them
//   array  u32 index in the list · u32 class (views.ts; 255: ArrayBuffer) · f64 offset · u32 generation · pad · f64 from · f64 length
import { addMoved, addSegment, type Cargo, LEAST, load, movedOf, openMoved, unload } from '../channel/segments'
import { StateError } from '../errors'
import { type Area, area, readFlat, writeFlat } from '../serialize'
import { isSharedBuffer } from '../serialize/shared'
import { VIEWS } from '../serialize/views'

/** First byte of a body; the serializer's are less. */
export const ARRAYS = 0x50

const HEAD = 8
const ENTRY = 40
const WHOLE = 255
const MOST = 64

const classes = new Map<object, number>(VIEWS.map((View, index) => [View.prototype, index]))
const { getPrototypeOf, isExtensible, hasOwn } = Object

interface Found {
  readonly index: number
  readonly type: number
  readonly view: ArrayBufferView | ArrayBuffer
  readonly moved: boolean
}

/**
 * Calls `use` with the bytes of a body, `room` bytes behind the start, and with what its message is to hold. False: there is no
 * large array among the values, or something that this form has no room for.
 */
export function writeArrays(
  values: readonly unknown[],
  single: boolean,
  room: number,
  use: (bytes: Uint8Array, cargo: Cargo) => void,
): boolean {
  const found = find(values)
  if (found === undefined) return false
  let rest: { area: Area; end: number } | undefined
  if (!single) {
    rest = writeRest(values, found)
    if (rest === undefined) return false
  }
  const start = room + HEAD + found.length * ENTRY
  const restBytes = rest === undefined ? 0 : rest.end
  const bytes = new Uint8Array(start + restBytes)
  const view = new DataView(bytes.buffer)
  bytes[room] = ARRAYS
  bytes[room + 1] = single ? 1 : 0
  view.setUint16(room + 2, found.length, true)
  if (rest !== undefined) bytes.set(rest.area.u8.subarray(0, restBytes), start)
  load((cargo) => {
    for (let k = 0; k < found.length; k++) {
      const { index, type, view: array, moved } = found[k]!
      const whole = type === WHOLE
      const buffer = (whole ? array : (array as ArrayBufferView).buffer) as ArrayBuffer
      const from = whole ? 0 : (array as ArrayBufferView).byteOffset
      const length = array.byteLength
      const segment = moved
        ? addMoved(cargo, buffer, from, length)
        : addSegment(cargo, new Uint8Array(buffer, from, length))
      const at = room + HEAD + k * ENTRY
      view.setUint32(at, index, true)
      view.setUint32(at + 4, type, true)
      view.setFloat64(at + 8, segment.offset, true)
      view.setUint32(at + 16, segment.generation, true)
      view.setFloat64(at + 24, segment.from, true)
      view.setFloat64(at + 32, (array as Uint8Array).length ?? length, true)
    }
    use(bytes, cargo)
    unload(cargo)
  })
  return true
}

/** The arrays, if all else is primitive. */
function find(values: readonly unknown[]): Found[] | undefined {
  let found: Found[] | undefined
  const buffers: ArrayBufferLike[] = []
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (typeof value !== 'object' || value === null) {
      if (typeof value === 'function' || typeof value === 'symbol') return undefined
      continue
    }
    const inside = movedOf(value)
    const array = inside ?? (value as ArrayBufferView | ArrayBuffer)
    const proto = getPrototypeOf(array)
    const type = proto === ArrayBuffer.prototype && inside !== undefined ? WHOLE : classes.get(proto)
    if (type === undefined || !isExtensible(array) || (type !== WHOLE && !ArrayBuffer.isView(array))) return undefined
    if (hasOwn(array, 'buffer') || hasOwn(array, 'byteOffset') || hasOwn(array, 'byteLength')) return undefined
    const buffer = type === WHOLE ? (array as ArrayBuffer) : (array as ArrayBufferView).buffer
    if (getPrototypeOf(buffer) !== ArrayBuffer.prototype || (buffer as any).resizable === true) return undefined
    if (array.byteLength === 0 || buffers.includes(buffer)) return undefined
    if (inside === undefined && (array.byteLength < LEAST || isSharedBuffer(buffer))) return undefined
    buffers.push(buffer)
    found ??= []
    if (found.length === MOST) return undefined
    found.push({ index, type, view: array, moved: inside !== undefined })
  }
  return found
}

function writeRest(values: readonly unknown[], found: readonly Found[]): { area: Area; end: number } | undefined {
  const list = values.slice()
  for (const { index } of found) list[index] = null
  scratch ??= area(new ArrayBuffer(SCRATCH))
  const end = writeFlat(list, scratch, 0)
  return end < 0 ? undefined : { area: scratch, end }
}
const SCRATCH = 8 << 10
let scratch: Area | undefined

/** Throws StateError for what writeArrays has not written; ERR_MP_GONE. */
export function readArrays(from: Area, start: number, end: number): unknown {
  const { view } = from
  if (end - start < HEAD + ENTRY) throw malformed()
  const single = from.u8[start + 1] === 1
  const count = view.getUint16(start + 2, true)
  const rest = start + HEAD + count * ENTRY
  if (rest > end || (single && count !== 1)) throw malformed()
  const list = single ? [] : readFlat(from, rest, end)
  if (!Array.isArray(list)) throw malformed()
  for (let k = 0; k < count; k++) {
    const at = start + HEAD + k * ENTRY
    const index = view.getUint32(at, true)
    const type = view.getUint32(at + 4, true)
    const View = VIEWS[type]
    if (!(single ? index === 0 : index < list.length) || (View === undefined && type !== WHOLE)) throw malformed()
    const offset = view.getFloat64(at + 8, true)
    if (!Number.isSafeInteger(offset)) throw malformed()
    const buffer = openMoved({ offset, generation: view.getUint32(at + 16, true) })
    list[index] =
      View === undefined ? buffer : new View(buffer, view.getFloat64(at + 24, true), view.getFloat64(at + 32, true))
  }
  return single ? list[0] : list
}
function malformed(): StateError {
  return new StateError('a record of the pool is malformed')
}
