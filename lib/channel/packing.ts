// Messages as they travel through a channel: short ones in a record, long ones, and those that hold shared objects, as a block of
// their own.
//
//   value   flat ─────────────▶ record            (lib/serialize/flat.ts: no copy in between)
//           else encode() ───▶ record, if short and without shared objects
//                         └──▶ message, which holds them
//   bytes   ─────────────────▶ record or message
import { binding } from '../binding'
import { SerializationError } from '../errors'
import { decode, decodeAtOnce, decodeSync, encode } from '../serialize'
import { writeFlat } from '../serialize/flat'
import { readFlat } from '../serialize/flat-read'
import { FLAT, PLAIN } from '../serialize/wire'
import { areas, BYTES, HEAD, recordBytes, VALUE } from './areas'

/** A message of its own; this thread holds it until it is put. */
export class OwnMessage {
  #held = true
  constructor(readonly offset: number) {}
  /** It is not put after all. May be said twice. */
  discard(): void {
    if (!this.#held) return
    this.#held = false
    binding().endMessage(this.offset)
  }
}

let packing = false

/** Writes a record at `at` in the out area and gives its end, or the message that it takes. Throws SerializationError. */
export function pack(content: unknown, raw: boolean, at = 0): number | OwnMessage {
  // User code runs while a value is packed (getters, Symbol.for('multiproc.reduce')). What that sends leaves the area alone.
  if (packing) return packOwn(content, raw)
  packing = true
  try {
    return packHere(content, raw, at)
  } finally {
    packing = false
  }
}

function packOwn(content: unknown, raw: boolean): OwnMessage {
  if (raw) return new OwnMessage(binding().createMessage(content as Uint8Array, BYTES, []))
  const holds: number[] = []
  const bytes = encode(content, { name: 'value', hold: (offset) => holds.push(offset) })
  return new OwnMessage(binding().createMessage(bytes, VALUE, holds))
}

function packHere(content: unknown, raw: boolean, at: number): number | OwnMessage {
  const { out, outWords, maxInline } = areas()
  if (raw) {
    const bytes = content as Uint8Array
    if (bytes.byteLength > maxInline) return packOwn(bytes, true)
    out.u8.set(bytes, at + HEAD)
    return finish(outWords, at, bytes.byteLength, BYTES)
  }
  const end = writeFlat(content, out, at + HEAD, at + HEAD + maxInline)
  if (end >= 0) return finish(outWords, at, end - at - HEAD, VALUE)
  const holds: number[] = []
  const bytes = encode(content, { name: 'value', hold: (offset) => holds.push(offset) })
  if (bytes[0] !== PLAIN || bytes.byteLength > maxInline || holds.length > 0)
    return new OwnMessage(binding().createMessage(bytes, VALUE, holds))
  out.u8.set(bytes, at + HEAD)
  return finish(outWords, at, bytes.byteLength, VALUE)
}

function finish(words: Uint32Array, at: number, length: number, what: number): number {
  words[at >> 2] = length
  words[(at >> 2) + 1] = what
  return at + recordBytes(length)
}

/** What is in the record at `at` of the area of what was taken. Nothing of it needs user code to run. */
export function unpackRecord(at: number, raw: boolean): unknown {
  const { into, intoWords } = areas()
  const length = intoWords[at >> 2]!
  const start = at + HEAD
  if (raw || intoWords[(at >> 2) + 1] === BYTES) return new Uint8Array(into.u8.subarray(start, start + length))
  if (into.u8[start] === FLAT) return readFlat(into, start, start + length)
  return decodeSync(into.u8.subarray(start, start + length))
}

/** Takes a message of its own apart: others get it if this process dies before that is done. */
export function unpackMessage(message: number, length: number, what: number, raw: boolean, sync: boolean): unknown {
  const bytes = new Uint8Array(length)
  const end = (): void => binding().endMessage(message)
  let waits = false
  try {
    binding().readMessage(message, bytes)
    if (raw || what === BYTES) return bytes
    if (what !== VALUE) throw new SerializationError(`malformed message: it is of no known kind (${what})`)
    if (sync) return decodeSync(bytes)
    const decoded = decodeAtOnce(bytes)
    if (decoded !== undefined) return decoded.value
    waits = true
    return decode(bytes).finally(end)
  } finally {
    if (!waits) end()
  }
}
