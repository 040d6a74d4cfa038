// CPython's framing: 4 bytes of length (big-endian, signed), or −1 and 8 bytes of length beyond 0x7fffffff; then the message.
//
// Reading takes exactly one message off the stream, never a byte of the next: what is not taken stays in the system, where
// poll() sees it. Memory for a message grows with what has come of it, not with what its head announces.
import { EOFError, MultiprocError } from '../errors'

const LONGEST_SHORT = 0x7fffffff
const FIRST_BYTES = 65_536
const GROWTH = 4
/** A message that comes faster than we read must not keep the event loop from everything else. */
const BYTES_PER_TURN = 4 << 20

const shortHead = new Uint8Array(4)
const longHead = new Uint8Array(12).fill(0xff, 0, 4)
const shortView = new DataView(shortHead.buffer)
const longView = new DataView(longHead.buffer)

/** What goes before a message. Valid until the next call. */
export function headOf(length: number): Uint8Array {
  if (length > LONGEST_SHORT) {
    longView.setBigUint64(4, BigInt(length))
    return longHead
  }
  shortView.setUint32(0, length)
  return shortHead
}

/** Fills bytes `begin` to `end`: how many came. −1: none just now; 0: the end of the stream. */
export type Source = (into: Uint8Array, begin: number, end: number) => number

/** The message that is coming in. */
export class Incoming {
  readonly #head = new Uint8Array(12)
  readonly #view = new DataView(this.#head.buffer)
  #headBytes = 0
  /** Of the message; −1: its head is not complete. */
  #length = -1
  #body: Uint8Array = this.#head
  #bodyBytes = 0

  /** Has some of a message come, but not all? */
  get begun(): boolean {
    return this.#headBytes > 0
  }

  /**
   * Reads on. undefined: the message is not complete yet.
   * @throws EOFError the stream ended between two messages
   * @throws MultiprocError ERR_MP_TRUNCATED (it ended within one), ERR_MP_MESSAGE_TOO_LONG, ERR_MP_PROTOCOL
   */
  read(source: Source, limit: number): Uint8Array | undefined {
    for (let left = BYTES_PER_TURN; left > 0; ) {
      if (this.#length < 0) {
        const n = source(this.#head, this.#headBytes, this.#headBytes < 4 ? 4 : 12)
        if (n < 0) return undefined
        if (n === 0) throw this.ended()
        this.#headBytes += n
        this.#readHead(limit)
      } else if (this.#bodyBytes < this.#length) {
        if (this.#bodyBytes === this.#body.length) this.#grow()
        const n = source(this.#body, this.#bodyBytes, this.#body.length)
        if (n < 0) return undefined
        if (n === 0) throw this.ended()
        this.#bodyBytes += n
        left -= n
      }
      if (this.#bodyBytes === this.#length) return this.#take()
    }
    return undefined
  }

  /** What the end of the stream means here. */
  ended(cause?: unknown): Error {
    const options = cause === undefined ? undefined : { cause }
    return this.begun
      ? new MultiprocError('the other end closed in the middle of a message', 'ERR_MP_TRUNCATED', options)
      : new EOFError(undefined, undefined, options)
  }

  #readHead(limit: number): void {
    let length = -1
    if (this.#headBytes === 4) {
      length = this.#view.getInt32(0)
      if (length < -1) throw new MultiprocError(`not a message: its length is ${length}`, 'ERR_MP_PROTOCOL')
    } else if (this.#headBytes === 12) {
      length = Number(this.#view.getBigUint64(4))
    }
    if (length < 0) return
    if (length > limit)
      throw new MultiprocError(
        `a message of ${length} bytes comes, and at most ${limit} are allowed`,
        'ERR_MP_MESSAGE_TOO_LONG',
      )
    this.#length = length
    this.#body = bytesOf(Math.min(length, FIRST_BYTES))
  }

  #grow(): void {
    const body = bytesOf(Math.min(this.#length, this.#body.length * GROWTH))
    body.set(this.#body)
    this.#body = body
  }

  #take(): Uint8Array {
    const message = this.#body
    this.#body = this.#head
    this.#length = -1
    this.#headBytes = 0
    this.#bodyBytes = 0
    return message
  }
}

/** With an ArrayBuffer of its own; not zeroed where that would cost. */
function bytesOf(length: number): Uint8Array {
  return length <= 4096 ? new Uint8Array(length) : new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
}
