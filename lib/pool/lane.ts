// A channel of shared memory (lib/channel) for the pool's own records: several are put in one step, and nothing is made of a
// record before its words were looked at.
//
//   put    begin() · append() … · flush()      no code of the user runs in between: the area is the thread's only one
//   take   take(inbox) copies what there is; its records are looked at one by one
import { binding } from '../binding'
import { areas, BYTES, HEAD, recordBytes } from '../channel/areas'
import { ChannelType, introduce } from '../channel/label'
import { load, moveAway, unload } from '../channel/segments'
import { endWatches, MESSAGE, watch } from '../channel/waits'
import { EOFError, StateError } from '../errors'
import { adopt, attach, type BlockHandle, drop, handleOf, here, Kind } from '../memory'
import {
  type Area,
  area,
  CUSTOM,
  decode,
  decodeAtOnce,
  decodeSync,
  encode,
  encodeCustom,
  FLAT,
  readCustom,
  readFlat,
  type Serializer,
  serializer,
  writeFlat,
} from '../serialize'
import { registerShared, SHARED } from '../serialize/shared'
import { ARRAYS, readArrays, writeArrays } from './arrays'
import { HEADER } from './protocol'

const OK = 0
const WAIT = 1
const TIMED_OUT = 4

/** Bytes that are ready to be sent: a stretch of an area, or bytes of their own with the blocks of shared memory they name. */
export interface Body {
  area: Area | undefined
  start: number
  end: number
  bytes: Uint8Array | undefined
  holds: readonly number[]
  /** What holds the same for this thread; undefined: nothing has to be held. */
  holder: Holder | undefined
  /** Whoever made it keeps it until it has been read: the record itself need not hold anything. */
  kept?: boolean
}

export class Lane {
  readonly #offset: number
  readonly #channel: number
  #at = 0
  /** How many records were appended, and how many of them are published. */
  appended = 0
  published = 0

  constructor(ticket?: BlockHandle) {
    attach()
    areas()
    if (ticket === undefined) {
      this.#offset = binding().createChannel(this, 0, 0)
      introduce(this.#offset, ChannelType.pool, undefined, undefined)
    } else {
      adopt(this, ticket, Kind.channel)
      this.#offset = ticket.offset
    }
    this.#channel = binding().openChannel(this.#offset)
  }
  close(): void {
    endWatches(this.#channel)
    binding().forgetChannel(this.#channel)
    drop(this, this.#offset)
  }
  handle(hold: (offset: number) => void): BlockHandle {
    hold(this.#offset)
    return handleOf(this.#offset)
  }

  // ---- putting -------------------------------------------------------------------------------------------------------

  /** A record goes into the area; what was there is put first where it does not fit. Throws ENOSPC. */
  append(op: number, a: number, b: number, c: number, d: number, e: number, body?: Body, f = 0): void {
    const { out, outWords, maxInline } = areas()
    const length =
      HEADER + (body === undefined ? 0 : body.area === undefined ? body.bytes!.byteLength : body.end - body.start)
    if (length > maxInline || (body !== undefined && body.holds.length > 0 && body.kept !== true)) {
      this.#putOwn([op, a, b, c, d, e, f], body!)
      return
    }
    if (this.#at + recordBytes(length) > out.size) this.flush()
    const at = this.#at
    if (body !== undefined) {
      if (body.area !== undefined) body.area.u8.copy(out.u8, at + HEAD + HEADER, body.start, body.end)
      else out.u8.set(body.bytes!, at + HEAD + HEADER)
    }
    head(outWords, at, op, a, b, c, d, e)
    outWords[(at + HEAD + 24) >> 2] = f
    this.#at = finish(outWords, at, length)
    this.appended++
  }
  /** As append(), of a value that is serialised here. `name`: what errors call it. Throws SerializationError, and as the user's serializer. */
  appendValue(op: number, a: number, b: number, c: number, d: number, e: number, value: unknown, name: string): void {
    const custom = serializer()
    if (custom !== null) {
      this.append(op, a, b, c, d, e, customBody(custom, value))
      return
    }
    const { out, outWords, maxInline } = areas()
    if (this.#at + recordBytes(maxInline) > out.size) this.flush()
    const at = this.#at
    const start = at + HEAD + HEADER
    const end = writeFlat(value, out, start, at + HEAD + maxInline)
    if (end >= 0) {
      head(outWords, at, op, a, b, c, d, e)
      this.#at = finish(outWords, at, end - at - HEAD)
      this.appended++
      return
    }
    const words = [op, a, b, c, d, e, 0]
    if (
      writeArrays([value], true, HEADER, (bytes, cargo) => {
        this.flush()
        this.#putMessage(words, bytes, cargo.holds)
        moveAway(cargo)
      })
    )
      return
    const body = encodeBody(value, name)
    try {
      this.append(op, a, b, c, d, e, body)
    } finally {
      release(body)
    }
  }
  /** Publishes what was appended. Throws ENOSPC: then nothing of it was. */
  flush(): void {
    const bytes = this.#at
    if (bytes === 0) return
    this.#at = 0
    const outcome = binding().channelPut(this.#channel, bytes, Number.POSITIVE_INFINITY)
    if (outcome !== OK) throw refused(outcome)
    this.published = this.appended
  }

  #putOwn(words: readonly number[], body: Body): void {
    this.flush()
    const content = body.area === undefined ? body.bytes! : body.area.u8.subarray(body.start, body.end)
    const bytes = new Uint8Array(HEADER + content.byteLength)
    bytes.set(content, HEADER)
    this.#putMessage(words, bytes, body.holds)
  }
  /** `bytes`: with room for the words. */
  #putMessage(words: readonly number[], bytes: Uint8Array, holds: readonly number[]): void {
    new Uint32Array(bytes.buffer, 0, HEADER / 4).set(words)
    const message = binding().createMessage(bytes, BYTES, holds as number[])
    try {
      const outcome = binding().channelPutMessage(this.#channel, message, Number.POSITIVE_INFINITY)
      if (outcome !== OK) throw refused(outcome)
      this.published = ++this.appended
    } catch (error) {
      binding().endMessage(message)
      throw error
    }
  }

  // ---- taking --------------------------------------------------------------------------------------------------------

  /** Takes what there is, at most `most` records; blocks up to `timeout` ms for the first one. False: there is nothing. */
  take(inbox: Inbox, most: number, timeout: number): boolean {
    const outcome = binding().channelTake(this.#channel, most, timeout)
    if (outcome === WAIT || outcome === TIMED_OUT) return false
    if (outcome !== OK) throw refused(outcome)
    const { into, info } = areas()
    if (info[1] === 0) {
      inbox.fill(into.u8, info[0]!)
      binding().channelCommit(this.#channel, info[2]!)
    } else inbox.fillOwn(info[1]!, info[2]!)
    return true
  }
  /** Calls back once, on the event loop, when there is something to take. Gives how to stop that. */
  whenReady(ref: boolean, callback: () => void): () => void {
    return watch(this.#channel, this.#offset, MESSAGE, ref, callback)
  }
}

function head(words: Uint32Array, at: number, op: number, a: number, b: number, c: number, d: number, e: number): void {
  const word = (at + HEAD) >> 2
  words[word] = op
  words[word + 1] = a
  words[word + 2] = b
  words[word + 3] = c
  words[word + 4] = d
  words[word + 5] = e
}
function finish(words: Uint32Array, at: number, length: number): number {
  words[at >> 2] = length
  words[(at >> 2) + 1] = BYTES
  return at + recordBytes(length)
}
function refused(outcome: number): Error {
  if (outcome === 2) return new EOFError('the other side of the pool is gone')
  return new StateError('the thread is being terminated', 'ERR_MP_TERMINATED')
}

const NONE: readonly number[] = []
/** A body of these bytes, which name nothing that would have to be held. */
export const bytesBody = (bytes: Uint8Array | undefined): Body => areaBody(undefined, 0, 0, bytes)
/** A body that stands in an area. */
export const areaBody = (area: Area | undefined, start: number, end: number, bytes?: Uint8Array): Body => ({
  area,
  start,
  end,
  bytes,
  holds: NONE,
  holder: undefined,
})

/** Throws SerializationError, ENOSPC. What the value refers to is held until release(), or until the body is garbage. */
export function encodeBody(value: unknown, name: string, items?: readonly string[], main?: 'import'): Body {
  const body = bytesBody(undefined)
  load((cargo, segment) => {
    const hold = (offset: number): void => void cargo.holds.push(offset)
    const sending = (end: () => void): void => void cargo.ends.push(end)
    body.bytes = encode(value, { name, hold, sending, segment, ...(items && { items }), ...(main && { main }) })
    keep(body, cargo.holds)
    unload(cargo)
    moveAway(cargo)
  })
  return body
}
const collected = new FinalizationRegistry<Holder>(letGo)

/** A message that is never sent, and the process whose it is: to a forked child it is the parent's. */
interface Holder {
  readonly message: number
  readonly fork: number
}
function letGo({ message, fork }: Holder): void {
  if (fork === here.forks) binding().endMessage(message)
}

/** What the body names lives for as long as it does. */
function keep(body: Body, holds: readonly number[]): void {
  if (holds.length === 0) return
  body.holds = holds
  const message = binding().createMessage(new Uint8Array(1), BYTES, holds as number[])
  body.holder = { message, fork: here.forks }
  collected.register(body, body.holder, body)
}

/** A list with large arrays, if that is what it is and all else is primitive. Throws ENOSPC, SerializationError. */
export function arraysBody(values: readonly unknown[]): Body | undefined {
  const body: Body = { ...bytesBody(undefined), kept: true }
  const written = writeArrays(values, false, 0, (bytes, cargo) => {
    body.bytes = bytes
    keep(body, cargo.holds)
    moveAway(cargo)
  })
  return written ? body : undefined
}

/** Nobody needs the body any more. May be said twice. */
export function release(body: Body): void {
  if (body.holder === undefined) return
  collected.unregister(body)
  letGo(body.holder)
  body.holder = undefined
}

/** Records that were taken. */
export class Inbox {
  #area: Area
  #words: Uint32Array
  #end = 0
  #next = 0
  #at = 0
  #length = 0
  /** The message of its own that the record is, to be ended by whoever is done with it; 0: it is none. */
  message = 0

  constructor() {
    const buffer = new ArrayBuffer(areas().into.size)
    this.#area = area(buffer)
    this.#words = new Uint32Array(buffer)
  }
  fill(from: Buffer, bytes: number): void {
    from.copy(this.#area.u8, 0, 0, bytes)
    this.#next = 0
    this.#end = bytes
    this.message = 0
  }
  fillOwn(message: number, length: number): void {
    this.message = message
    if (length < HEADER) throw new StateError('a record of the pool is malformed')
    const bytes = new Uint8Array(length)
    binding().readMessage(message, bytes)
    this.#own = area(bytes.buffer)
    this.#ownWords = new Uint32Array(bytes.buffer, 0, HEADER / 4)
    this.#next = 0
    this.#end = 0
  }
  #own: Area | undefined
  #ownWords: Uint32Array | undefined

  /** Goes to the next record. False: there is none. */
  next(): boolean {
    if (this.message !== 0) {
      if (this.#next > 0) {
        this.message = 0
        this.#own = this.#ownWords = undefined
        return false
      }
      this.#next = 1
      this.#at = 0
      this.#length = this.#own!.size
      return true
    }
    if (this.#next >= this.#end) return false
    this.#length = this.#words[this.#next >> 2]!
    this.#at = this.#next + HEAD
    this.#next += recordBytes(this.#length)
    if (this.#length < HEADER || this.#next > this.#end) throw new StateError('a record of the pool is malformed')
    return true
  }
  word(index: number): number {
    return this.#ownWords === undefined ? this.#words[(this.#at >> 2) + index]! : this.#ownWords[index]!
  }
  get area(): Area {
    return this.#own ?? this.#area
  }
  get start(): number {
    return this.#at + HEADER
  }
  get end(): number {
    return this.#at + this.#length
  }
  /** A copy of the body, which stays. */
  body(): Area {
    if (this.#own !== undefined) return area(this.#own.u8.buffer as ArrayBuffer, HEADER)
    const bytes = new Uint8Array(this.end - this.start)
    bytes.set(this.area.u8.subarray(this.start, this.end))
    return area(bytes.buffer)
  }
}

/** What the serializer of setSerializer() makes of a value. Throws as it does. */
export function customBody(custom: Serializer, value: unknown): Body {
  return bytesBody(encodeCustom(custom, value))
}

/** The value of a body: at once, or a promise where modules must be imported first. Throws SerializationError. */
export function readBody(from: Area, start: number, end: number, own: boolean): { value: unknown } | Promise<unknown> {
  if (from.u8[start] === FLAT) return { value: readFlat(from, start, end) }
  if (from.u8[start] === ARRAYS) return { value: readArrays(from, start, end) }
  if (from.u8[start] === CUSTOM) return { value: readCustom(from.u8.subarray(start, end)) }
  const bytes = bytesOf(from, start, end, own)
  return decodeAtOnce(bytes) ?? decode(bytes)
}
export function readBodySync(from: Area, start: number, end: number, own: boolean): unknown {
  if (from.u8[start] === FLAT) return readFlat(from, start, end)
  if (from.u8[start] === ARRAYS) return readArrays(from, start, end)
  if (from.u8[start] === CUSTOM) return readCustom(from.u8.subarray(start, end))
  return decodeSync(bytesOf(from, start, end, own))
}
/** `own`: the bytes are nobody else's. Others are copied: what is decoded later must not change. */
function bytesOf(from: Area, start: number, end: number, own: boolean): Uint8Array {
  const bytes = from.u8.subarray(start, end)
  return own ? bytes : new Uint8Array(bytes)
}
export function endMessage(message: number): void {
  if (message !== 0) binding().endMessage(message)
}

Object.defineProperty(Lane.prototype, SHARED, { value: 'PoolLane' })
registerShared('PoolLane', {
  write: (lane: Lane, hold) => lane.handle(hold),
  read: (ticket: BlockHandle) => new Lane(ticket),
})
