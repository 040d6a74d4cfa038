// Messages as they travel through a channel: short ones in a record, long ones, and those that hold shared objects, as a block of
// their own.
//
// Nothing that comes in a record needs user code to be read: the readers' lock is held meanwhile, and it is taken when it has been
// read. A message of its own is taken first and settled when it has been read: it is delivered again if its taker dies in between.
//
//   value   flat ─────────────▶ record            (lib/serialize/flat.ts: no copy in between)
//           else encode() ───▶ record, if short and without shared objects
//                         └──▶ message, which holds them
//   bytes   ─────────────────▶ record or message
import { binding } from '../binding'
import { SerializationError } from '../errors'
import {
  decode,
  decodeAtOnce,
  decodeSync,
  encode,
  encodeCustom,
  FLAT,
  readFlat,
  serializer,
  writeFlat,
} from '../serialize'
import { PLAIN } from '../serialize/wire'
import { areas, BYTES, HEAD, recordBytes, VALUE } from './areas'
import { type Cargo, load, unload } from './segments'

/** A message of its own, which this thread holds until it has been put. */
export class OwnMessage {
  #held = true
  constructor(
    readonly offset: number,
    readonly cargo?: Cargo,
  ) {}
  /** It is not put after all. May be said twice. */
  discard(): void {
    if (!this.#held) return
    this.#held = false
    binding().endMessage(this.offset)
  }
}

/** Is something being written into the out area? What user code sends meanwhile must not. */
let busy = false

/** Writes a record at `at` in the out area if the value has the flat form, and gives its end; else −1. */
export function packFlat(value: unknown, at: number): number {
  if (busy || serializer() !== null) return -1
  const { out, outWords, maxInline } = areas()
  busy = true
  try {
    const end = writeFlat(value, out, at + HEAD, at + HEAD + maxInline)
    return end < 0 ? -1 : finish(outWords, at, end - at - HEAD, VALUE)
  } finally {
    busy = false
  }
}

/** Writes a record at the start of the out area and gives its end, or the message that it takes. Throws SerializationError. */
export function pack(content: unknown, raw: boolean): number | OwnMessage {
  if (raw) return packBytes(content as Uint8Array)
  const own = serializer()
  if (own !== null) return new OwnMessage(binding().createMessage(encodeCustom(own, content), VALUE, []))
  const end = packFlat(content, 0)
  return end >= 0 ? end : packOwn(content, !busy)
}

function packBytes(bytes: Uint8Array): number | OwnMessage {
  const { out, outWords, maxInline } = areas()
  if (busy || bytes.byteLength > maxInline) return new OwnMessage(binding().createMessage(bytes, BYTES, []))
  out.u8.set(bytes, HEAD)
  return finish(outWords, 0, bytes.byteLength, BYTES)
}

/** `free`: a record may be written after all, if the value turns out to be short. */
function packOwn(content: unknown, free: boolean): number | OwnMessage {
  return load((cargo, segment) => {
    const { out, outWords, maxInline } = areas()
    const bytes = encode(content, {
      name: 'value',
      hold: (offset) => cargo.holds.push(offset),
      sending: (end) => cargo.ends.push(end),
      segment,
    })
    if (free && bytes[0] === PLAIN && bytes.byteLength <= maxInline && cargo.holds.length === 0) {
      out.u8.set(bytes, HEAD)
      return finish(outWords, 0, bytes.byteLength, VALUE)
    }
    const message = new OwnMessage(binding().createMessage(bytes, VALUE, cargo.holds), cargo)
    unload(cargo)
    return message
  })
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

/** A message of its own that was taken: others get it if this process dies before end(). */
export interface TakenMessage {
  /** Its value, or a promise of it, or its bytes. */
  readonly value: unknown
  end(): void
}

/** Reads a message of its own. If that throws it is over: nobody gets it again. */
export function unpackMessage(
  message: number,
  length: number,
  what: number,
  raw: boolean,
  sync: boolean,
): TakenMessage {
  const end = (): void => binding().endMessage(message)
  try {
    const bytes = new Uint8Array(length)
    binding().readMessage(message, bytes)
    if (raw || what === BYTES) return { value: bytes, end }
    if (what !== VALUE) throw new SerializationError(`malformed message: it is of no known kind (${what})`)
    if (sync) return { value: decodeSync(bytes), end }
    const decoded = decodeAtOnce(bytes)
    return { value: decoded === undefined ? decode(bytes) : decoded.value, end }
  } catch (error) {
    end()
    throw error
  }
}
