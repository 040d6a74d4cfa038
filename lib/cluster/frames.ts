// What travels in the messages: a header in JSON and parts, which are bytes. Several frames may follow each other in one message.
//
//   frame   u32 length of the rest · u32 length of the header · header · (u32 length · bytes)*       little-endian
//
// What comes from the network is checked before it is used.
import { SerializationError } from './core'

/** Which function a task calls: by the name of its module and its path in there, or by value. */
export type FunctionName = { module: string; path: string[] } | { hash: string }

export interface TaskHeader {
  v: 1
  pool: string
  session: string
  /** Of the session: which unit (a call, or a chunk of items) it is. */
  unit: string
  /** By value: the first part is the function. */
  fn: FunctionName
  name: string
  /** How many items; of an apply one, its arguments. */
  count: number
  chunk?: boolean
  /** Items are lists of arguments. */
  spread?: boolean
  /** An imap: what comes of each item is told. */
  each?: boolean
  /** A throwing item does not end its chunk. */
  settle?: boolean
  progress?: boolean
  /** Its result is stored in any case: somebody may ask for it later. */
  keep?: boolean
  /** ms; absent: none. */
  timeout?: number
  grace: number
  retries: number
  priority: number
  /** The parts are in the object store under this name. */
  blob?: string
}

export interface ResultHeader {
  unit: string
  node: string
  /** done: a part for each item that has run, `errors` says which are errors · failed: the part is the error of the whole unit */
  kind: 'done' | 'failed'
  errors?: number[]
  /** ms it took. */
  took: number
  blob?: string
}

export interface Frame<H> {
  header: H
  parts: Uint8Array[]
}

/** Parts as they stand in a frame. */
export function packParts(parts: readonly Uint8Array[]): Uint8Array {
  let size = 0
  for (const part of parts) size += 4 + part.byteLength
  const bytes = Buffer.allocUnsafe(size)
  let at = 0
  for (const part of parts) {
    at = bytes.writeUInt32LE(part.byteLength, at)
    bytes.set(part, at)
    at += part.byteLength
  }
  return bytes
}
export function packFrame(header: object, packed: readonly Uint8Array[]): Uint8Array {
  const head = JSON.stringify(header)
  const length = Buffer.byteLength(head)
  let size = 4 + length
  for (const parts of packed) size += parts.byteLength
  const bytes = Buffer.allocUnsafe(4 + size)
  bytes.writeUInt32LE(size, 0)
  bytes.writeUInt32LE(length, 4)
  bytes.write(head, 8)
  let at = 8 + length
  for (const parts of packed) {
    bytes.set(parts, at)
    at += parts.byteLength
  }
  return bytes
}

export function unpackParts(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const parts: Uint8Array[] = []
  for (let at = 0; at < bytes.byteLength; ) {
    if (at + 4 > bytes.byteLength) throw malformed()
    const length = view.getUint32(at, true)
    at += 4
    if (length > bytes.byteLength - at) throw malformed()
    parts.push(bytes.subarray(at, at + length))
    at += length
  }
  return parts
}
export function unpackFrames<H extends object>(bytes: Uint8Array): Frame<H>[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const frames: Frame<H>[] = []
  for (let at = 0; at < bytes.byteLength; ) {
    if (at + 8 > bytes.byteLength) throw malformed()
    const size = view.getUint32(at, true)
    const length = view.getUint32(at + 4, true)
    const end = at + 4 + size
    if (end > bytes.byteLength || length + 4 > size) throw malformed()
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + at + 8, length).toString('utf8')
    frames.push({ header: headerOf<H>(text), parts: unpackParts(bytes.subarray(at + 8 + length, end)) })
    at = end
  }
  return frames
}
function headerOf<H>(text: string): H {
  let header: unknown
  try {
    header = JSON.parse(text)
  } catch {
    throw malformed()
  }
  if (typeof header !== 'object' || header === null) throw malformed()
  return header as H
}

/** Throws SerializationError: this is no task that this version could run. */
export function checkTaskHeader(header: TaskHeader): void {
  const { v, pool, session, unit, fn, name, count, grace, retries, priority, timeout, blob } = header
  const strings = [pool, session, unit, name, ...(blob === undefined ? [] : [blob])]
  const numbers = [count, grace, retries, priority, ...(timeout === undefined ? [] : [timeout])]
  const known =
    typeof fn === 'object' &&
    fn !== null &&
    ('module' in fn
      ? typeof fn.module === 'string' && Array.isArray(fn.path) && fn.path.every((key) => typeof key === 'string')
      : typeof fn.hash === 'string')
  if (v !== 1 || !known || !strings.every((s) => typeof s === 'string') || !numbers.every(Number.isFinite))
    throw malformed()
}
function malformed(): Error {
  return new SerializationError('a malformed message of the cluster')
}
