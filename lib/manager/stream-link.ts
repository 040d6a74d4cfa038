// A Link over a stream of Node's, a TLS socket: the framing of lib/socket, and nothing that blocks.
//
//   trySend ──▶ stream
//   stream ─'data'─▶ #chunks ──▶ #incoming (one message) ──▶ tryReceive       paused while much of it waits
import type { Duplex } from 'node:stream'
import type { Link, Received } from '../channel/link'
import { ClosedError, EOFError, UnsupportedError } from '../errors'
import { headOf, Incoming } from '../socket/framing'

/** So many bytes may wait to be taken. */
const HIGH_WATER = 1 << 20

export class StreamLink implements Link {
  readonly readable = true
  readonly writable = true
  readonly descriptor = -1
  maxMessageLength: number
  readonly #stream: Duplex
  readonly #incoming = new Incoming()
  #chunks: Buffer[] = []
  #waiting = 0
  #message: Uint8Array | undefined
  #readEnd: Error | undefined
  #over = false
  #closed = false
  readonly #readers = new Set<() => void>()
  readonly #writers = new Set<() => void>()

  constructor(stream: Duplex, maxMessageLength: number) {
    this.#stream = stream
    this.maxMessageLength = maxMessageLength
    stream.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#waiting += chunk.length
      if (this.#waiting > HIGH_WATER) stream.pause()
      fire(this.#readers)
    })
    const over = (): void => {
      this.#over = true
      fire(this.#readers)
      fire(this.#writers)
    }
    stream.on('end', over).on('close', over).on('error', over)
    stream.on('drain', () => fire(this.#writers))
  }

  trySend(bytes: Uint8Array): boolean {
    if (this.#closed) throw new ClosedError('the connection is closed')
    if (this.#over || !this.#stream.writable) throw new EOFError()
    if (this.#stream.writableNeedDrain) return false
    this.#stream.cork()
    this.#stream.write(Buffer.from(headOf(bytes.length)))
    this.#stream.write(Buffer.from(bytes))
    this.#stream.uncork()
    return true
  }
  tryReceive(): Received | undefined {
    if (!this.poll()) return undefined
    const bytes = this.#message
    if (bytes === undefined) throw this.#readEnd
    this.#message = undefined
    return { bytes, value: false }
  }
  poll(): boolean {
    if (this.#closed) throw new ClosedError('the connection is closed')
    if (this.#message !== undefined || this.#readEnd !== undefined) return true
    try {
      this.#message = this.#incoming.read((into, begin, end) => this.#read(into, begin, end), this.maxMessageLength)
      return this.#message !== undefined
    } catch (error) {
      this.#readEnd = error as Error
      this.#stream.destroy()
      return true
    }
  }
  #read(into: Uint8Array, begin: number, end: number): number {
    const chunk = this.#chunks[0]
    if (chunk === undefined) return this.#over ? 0 : -1
    const n = Math.min(chunk.length, end - begin)
    into.set(chunk.subarray(0, n), begin)
    if (n === chunk.length) this.#chunks.shift()
    else this.#chunks[0] = chunk.subarray(n)
    this.#waiting -= n
    if (this.#waiting <= HIGH_WATER && this.#stream.isPaused()) this.#stream.resume()
    return n
  }

  sendSync(): never {
    throw blocking()
  }
  receiveSync(): never {
    throw blocking()
  }
  pollSync(): never {
    throw blocking()
  }
  whenReadable(callback: () => void): () => void {
    return when(this.#readers, callback, this.#closed || this.#over || this.#chunks.length > 0)
  }
  whenWritable(callback: () => void): () => void {
    return when(this.#writers, callback, this.#closed || this.#over)
  }
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#stream.end(() => this.#stream.destroy())
    fire(this.#readers)
    fire(this.#writers)
  }
}

function blocking(): UnsupportedError {
  return new UnsupportedError('a TLS connection cannot block its thread')
}
function when(callbacks: Set<() => void>, callback: () => void, now: boolean): () => void {
  if (now) {
    const immediate = setImmediate(callback)
    return () => clearImmediate(immediate)
  }
  const entry = (): void => callback()
  callbacks.add(entry)
  return () => callbacks.delete(entry)
}
function fire(callbacks: Set<() => void>): void {
  const all = [...callbacks]
  callbacks.clear()
  for (const callback of all) callback()
}
