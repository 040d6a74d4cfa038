// Large arrays in messages: their bytes go into a segment of shared memory once, and the receiver's array lies on it.
//
//   sender    bytes ── copied ──▶ segment ◀── held by the message
//   receiver  ArrayBuffer over the segment, held by it for as long as it lives; nobody else has the segment then
//   transfer(array)   the sender's own segment, without a copy: its array is empty afterwards
import { binding } from '../binding'
import { invalidType } from '../check'
import { SerializationError } from '../errors'
import { adoptBuffer, type BlockHandle, Kind } from '../memory'
import { named } from '../memory/named'
import { registerShared, SHARED, setSegments } from '../serialize/shared'
import { makeView, viewType } from '../serialize/views'
import { movableBlock } from '../shared/block'

/** From so many bytes on an array has a segment of its own: mapping one costs as much as copying this much. */
export const LEAST = 256 << 10

/** ArrayBuffers of this thread that lie on a segment that nobody else has. */
const received = new WeakMap<ArrayBuffer, BlockHandle>()

setSegments((name) => openMoved(name))

/** What a message is made with, beside its bytes. */
export interface Cargo {
  /** Offsets of the blocks that the message holds. */
  readonly holds: number[]
  /** Segments made for it: this thread lets go of them when the message has them. */
  readonly segments: number[]
  /** What else this thread keeps until the message has it. */
  readonly ends: (() => void)[]
  /** Arrays that are moved: they are emptied when the message has been put. */
  readonly moved: ArrayBuffer[]
}

/** The message that is being encoded: transfer() adds to it. */
let loading: Cargo | undefined

/** Runs `encode` with what a message needs besides its bytes. If it throws nothing is left behind. */
export function load<R>(encode: (cargo: Cargo, segment: (bytes: Uint8Array) => BlockHandle | undefined) => R): R {
  const cargo: Cargo = { holds: [], segments: [], ends: [], moved: [] }
  const outer = loading
  loading = cargo
  try {
    return encode(cargo, (bytes) => (bytes.byteLength < LEAST ? undefined : copyToSegment(cargo, bytes)))
  } catch (error) {
    unload(cargo)
    throw error
  } finally {
    loading = outer
  }
}

function copyToSegment(cargo: Cargo, bytes: Uint8Array): BlockHandle {
  const segment = binding().createSegment(bytes)
  cargo.holds.push(segment.offset)
  cargo.segments.push(segment.offset)
  return segment
}

/** The message holds what it needs, or there will be none. */
export function unload(cargo: Cargo): void {
  for (const offset of cargo.segments.splice(0)) binding().dropSegment(offset)
  for (const end of cargo.ends.splice(0)) end()
}

/** The message has been put: what was moved is empty here. */
export function moveAway(cargo: Cargo): void {
  for (const buffer of cargo.moved) {
    if (buffer.byteLength === 0) continue
    const block = movableBlock(buffer)
    const handle = received.get(buffer)
    if (block !== undefined) block.drop()
    else if (handle !== undefined) {
      received.delete(buffer)
      binding().drop(buffer, handle.offset)
    } else structuredClone(buffer, { transfer: [buffer] })
  }
}

/** An array on its way: see transfer(). */
class Transfer {
  constructor(readonly array: ArrayBufferView | ArrayBuffer) {}
}

/**
 * Marks an array, or an ArrayBuffer, so that a message carrying it moves its memory instead of copying it: the receiver gets an
 * ordinary array on the same memory, and here it is empty (length 0) once the message has been put. Nothing is copied where the
 * memory is shared already: a RawArray, or an array that came in a message or by transfer(); any other is copied once.
 * Send what this gives, alone or anywhere in a value: `queue.put({ id, pixels: transfer(pixels) })`.
 * Throws TypeError for anything else. Does not block.
 */
export function transfer<T extends ArrayBufferView | ArrayBuffer>(array: T): T {
  if (!ArrayBuffer.isView(array) && !(array instanceof ArrayBuffer))
    throw invalidType('array', 'a TypedArray, a Buffer, a DataView or an ArrayBuffer', array)
  return new Transfer(array) as unknown as T
}

/** What transfer() was given, of what it gave. */
export function movedOf(value: object): ArrayBufferView | ArrayBuffer | undefined {
  return value instanceof Transfer ? value.array : undefined
}
/** The segment of memory that the message with this cargo moves, and where in it the array begins. Throws as transfer(). */
export function addMoved(
  cargo: Cargo,
  buffer: ArrayBuffer,
  from: number,
  length: number,
): BlockHandle & { from: number } {
  if (named.has(buffer))
    throw new SerializationError('the memory of a SharedMemory cannot be moved: send the SharedMemory itself')
  cargo.moved.push(buffer)
  const known = received.get(buffer)
  if (known !== undefined) {
    cargo.holds.push(known.offset)
    return { offset: known.offset, generation: known.generation, from }
  }
  const block = movableBlock(buffer)?.handle((offset) => cargo.holds.push(offset))
  if (block !== undefined) return { ...block, from }
  return addSegment(cargo, new Uint8Array(buffer, from, length))
}
/** A new segment with a copy of the bytes, held by the message with this cargo. */
export function addSegment(cargo: Cargo, bytes: Uint8Array): BlockHandle & { from: number } {
  const { offset, generation } = copyToSegment(cargo, bytes)
  return { offset, generation, from: 0 }
}
/** An ordinary ArrayBuffer over a segment that nobody else has. Throws ERR_MP_GONE, ERR_MP_CORRUPT. */
export function openMoved(segment: BlockHandle): ArrayBuffer {
  const buffer = adoptBuffer(segment, Kind.array)
  received.set(buffer, segment)
  return buffer
}

interface TransferData {
  type: string
  offset: number
  length: number
  segment: BlockHandle
}

Object.defineProperty(Transfer.prototype, SHARED, { value: 'transfer' })
registerShared('transfer', {
  write({ array }: Transfer, hold): TransferData {
    if (loading === undefined)
      throw new SerializationError('transfer() moves an array into a message; start a process with the array itself')
    const buffer = (ArrayBuffer.isView(array) ? array.buffer : array) as ArrayBuffer
    const type = ArrayBuffer.isView(array) ? viewType(array) : 'ArrayBuffer'
    const [from, length] = ArrayBuffer.isView(array) ? [array.byteOffset, array.byteLength] : [0, buffer.byteLength]
    if (named.has(buffer))
      throw new SerializationError('the memory of a SharedMemory cannot be moved: send the SharedMemory itself')
    if (!(buffer instanceof ArrayBuffer)) throw new SerializationError('a SharedArrayBuffer cannot be moved')
    if (type === 'Buffer' && buffer.byteLength !== length && !received.has(buffer))
      throw new SerializationError(
        "a Buffer from Node's pool cannot be moved: its memory is not its own; send it as it is",
      )
    if (loading.moved.includes(buffer)) throw new SerializationError('the memory of an array can be moved only once')
    loading.moved.push(buffer)
    const elements = ArrayBuffer.isView(array) ? ((array as Uint8Array).length ?? length) : length
    const known = received.get(buffer) ?? movableBlock(buffer)?.handle(() => {})
    if (known !== undefined) {
      hold(known.offset)
      return { type, offset: from, length: elements, segment: known }
    }
    const segment = copyToSegment(loading, new Uint8Array(buffer, from, length))
    return { type, offset: 0, length: elements, segment }
  },
  read({ type, offset, length, segment }: TransferData): object {
    const buffer = openMoved(segment)
    return type === 'ArrayBuffer' ? buffer : makeView(type, buffer, offset, length)
  },
})
