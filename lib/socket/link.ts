// A Link over a connected socket that never blocks.
//
//   trySend ──▶ system ──────────────────────────────▶ other end
//      └─ what it does not take of this one message ─▶ #unsent ─ event loop, or 'exit' ─▶ system
//   system ──▶ #incoming (one message, exactly) ──▶ #message ──▶ tryReceive
//
// At most one message waits in each direction: trySend takes none while #unsent is there.
import type { SocketHandle } from '../../binding'
import { binding } from '../binding'
import type { Link, Received } from '../channel/link'
import { ClosedError, EOFError, MultiprocError } from '../errors'
import { here } from '../memory'
import { headOf, Incoming } from './framing'

const READABLE = 1
const WRITABLE = 2
/** How long the end of the process is put off for what send() has accepted. */
const FLUSH_AT_EXIT_MS = 1000

const flushing = new Set<SocketLink>()
/** Whose they are: a fork of this process must not send them again. */
let flushedBy: number | undefined

export class SocketLink implements Link {
  readonly readable = true
  readonly writable = true
  /** A longer message ends the connection. */
  maxMessageLength: number
  readonly #socket: SocketHandle
  readonly #incoming = new Incoming()
  readonly #source = (into: Uint8Array, begin: number, end: number): number =>
    binding().socketRead(this.#socket, into, begin, end)
  /** Complete, and not taken yet. */
  #message: Uint8Array | undefined
  #unsent: { head: Uint8Array; body: Uint8Array; done: number } | undefined
  /** Why nothing more can be received, sent. */
  #readEnd: Error | undefined
  #writeEnd: Error | undefined
  #closed = false
  /** A forked child has none of its parent's sockets. */
  readonly #fork = here.forks
  #keepsAlive = true
  #watched: number | undefined
  readonly #readers = new Set<() => void>()
  readonly #writers = new Set<() => void>()
  // The addon does not keep it while it watches nothing.
  readonly #onReady = (events: number): void => this.#ready(events)

  constructor(socket: SocketHandle, maxMessageLength: number) {
    this.#socket = socket
    this.maxMessageLength = maxMessageLength
  }

  get descriptor(): number {
    return binding().socketDescriptor(this.#socket)
  }
  /** For a wait over several. */
  get socket(): SocketHandle {
    return this.#socket
  }

  trySend(bytes: Uint8Array): boolean {
    if (!this.#begin(bytes)) return false
    this.#keepUnsent()
    return true
  }

  sendSync(bytes: Uint8Array, _value: boolean, timeout: number): boolean {
    const deadline = performance.now() + timeout
    while (!this.#begin(bytes)) if (!this.#wait(WRITABLE, deadline)) return false
    // Half a message cannot be taken back: when time is over, the event loop sends the rest.
    while (this.#unsent !== undefined && this.#wait(WRITABLE, deadline));
    if (this.#writeEnd !== undefined) throw this.#writeEnd
    this.#keepUnsent()
    return true
  }

  tryReceive(maxLength?: number): Received | undefined {
    if (!this.#pump(maxLength)) return undefined
    const bytes = this.#message
    if (bytes === undefined) throw this.#readEnd
    this.#message = undefined
    if (maxLength !== undefined && bytes.length > maxLength) {
      this.#readEnd = new MultiprocError(
        `a message of ${bytes.length} bytes came, and at most ${maxLength} are allowed`,
        'ERR_MP_MESSAGE_TOO_LONG',
      )
      throw this.#readEnd
    }
    return { bytes, value: false }
  }

  receiveSync(timeout: number, maxLength?: number): Received | undefined {
    const deadline = performance.now() + timeout
    for (;;) {
      const received = this.tryReceive(maxLength)
      if (received !== undefined || !this.#wait(READABLE, deadline)) return received
    }
  }

  poll(): boolean {
    return this.#pump(undefined)
  }
  pollSync(timeout: number): boolean {
    const deadline = performance.now() + timeout
    while (!this.#pump(undefined)) if (!this.#wait(READABLE, deadline)) return false
    return true
  }

  whenReadable(callback: () => void): () => void {
    return this.#when(this.#readers, callback, this.#message !== undefined || this.#readEnd !== undefined)
  }
  whenWritable(callback: () => void): () => void {
    return this.#when(this.#writers, callback, this.#writeEnd !== undefined)
  }

  /** Does waiting for it keep the event loop alive? It does until told otherwise. */
  keepAlive(yes: boolean): void {
    this.#keepsAlive = yes
    if (this.#watched !== undefined && !this.#closed) binding().socketKeepAlive(this.#socket, yes)
  }

  /** What send() has accepted is still sent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#message = undefined
    if (this.#fork !== here.forks) return
    for (const callback of [...this.#readers, ...this.#writers]) setImmediate(callback)
    this.#readers.clear()
    this.#writers.clear()
    if (this.#unsent === undefined) this.#shut()
    else this.#watch()
  }

  /** Gives the message to the system, or some of it: the rest is #unsent, and not ours yet. False: it took nothing. */
  #begin(bytes: Uint8Array): boolean {
    this.#checkOpen()
    if (this.#unsent !== undefined) this.#flush()
    if (this.#writeEnd !== undefined) throw this.#writeEnd
    if (this.#unsent !== undefined) return false
    const head = headOf(bytes.length)
    let done: number
    try {
      done = binding().socketWrite(this.#socket, head, bytes, 0)
    } catch (error) {
      this.#writeEnd = gone(error) ? new EOFError(undefined, undefined, { cause: error }) : (error as Error)
      throw this.#writeEnd
    }
    if (done === 0) return false
    if (done < head.length + bytes.length) this.#unsent = { head: head.slice(), body: bytes, done }
    return true
  }

  #checkOpen(): void {
    if (this.#closed) throw new ClosedError('the connection is closed')
    if (this.#fork !== here.forks) throw notInChild('connection')
  }

  /** The caller may change its bytes from now on. */
  #keepUnsent(): void {
    const unsent = this.#unsent
    if (unsent === undefined) return
    const from = unsent.done - unsent.head.length
    if (from > 0) this.#unsent = { head: new Uint8Array(0), body: copyOf(unsent.body, from), done: 0 }
    else unsent.body = copyOf(unsent.body, 0)
    if (flushedBy !== process.pid) {
      flushedBy = process.pid
      flushing.clear()
      process.on('exit', flushAll)
    }
    flushing.add(this)
    this.#watch()
  }

  #flush(): void {
    const unsent = this.#unsent
    if (unsent === undefined) return
    try {
      unsent.done = binding().socketWrite(this.#socket, unsent.head, unsent.body, unsent.done)
      if (unsent.done < unsent.head.length + unsent.body.length) return
    } catch (error) {
      this.#writeEnd = gone(error) ? new EOFError(undefined, undefined, { cause: error }) : (error as Error)
    }
    this.#unsent = undefined
    flushing.delete(this)
    if (this.#closed) this.#shut()
  }

  /** @internal At the end of the process. */
  flushUntil(deadline: number): void {
    while (this.#unsent !== undefined && this.#wait(WRITABLE, deadline));
  }

  /** Blocks until something can be read or written, and writes what is unsent. False: time is over. */
  #wait(events: number, deadline: number): boolean {
    const also = this.#unsent === undefined ? 0 : WRITABLE
    const left = Math.max(0, deadline - performance.now())
    if (!binding().socketWait([this.#socket], events | also, left)) return false
    this.#flush()
    return true
  }

  /** Reads on. Is there something to take: a message, or the end? */
  #pump(maxLength: number | undefined): boolean {
    this.#checkOpen()
    if (this.#message !== undefined || this.#readEnd !== undefined) return true
    const limit = Math.min(this.maxMessageLength, maxLength ?? this.maxMessageLength)
    try {
      this.#message = this.#incoming.read(this.#source, limit)
      return this.#message !== undefined
    } catch (error) {
      this.#readEnd = gone(error) ? this.#incoming.ended(error) : (error as Error)
      // A peer that breaks the rules gets nothing more of us; one that sent more than recvBytes() wanted does.
      const { code } = this.#readEnd as MultiprocError
      if (code === 'ERR_MP_PROTOCOL' || (code === 'ERR_MP_MESSAGE_TOO_LONG' && limit === this.maxMessageLength))
        this.#break(this.#readEnd)
      return true
    }
  }

  #break(why: Error): void {
    this.#writeEnd = why
    this.#unsent = undefined
    flushing.delete(this)
    for (const callback of this.#writers) setImmediate(callback)
    this.#writers.clear()
    this.#shut()
  }

  #shut(): void {
    binding().socketClose(this.#socket)
  }

  #when(callbacks: Set<() => void>, callback: () => void, now: boolean): () => void {
    if (now || this.#closed) {
      const immediate = setImmediate(callback)
      return () => clearImmediate(immediate)
    }
    const entry = (): void => callback()
    callbacks.add(entry)
    this.#watch()
    return () => {
      if (callbacks.delete(entry)) this.#watch()
    }
  }

  #ready(events: number): void {
    if ((events & WRITABLE) !== 0) {
      this.#flush()
      if (this.#unsent === undefined) fire(this.#writers)
    }
    if ((events & READABLE) !== 0 && this.#readers.size > 0 && this.#pump(undefined)) fire(this.#readers)
    this.#watch()
  }

  /** Tells the event loop what to look for. */
  #watch(): void {
    const wanted =
      (this.#readers.size > 0 ? READABLE : 0) | (this.#writers.size > 0 || this.#unsent !== undefined ? WRITABLE : 0)
    if (wanted === (this.#watched ?? 0)) return
    if (this.#watched === undefined) {
      binding().socketOnReady(this.#socket, this.#onReady)
      if (!this.#keepsAlive) binding().socketKeepAlive(this.#socket, false)
    }
    this.#watched = wanted
    binding().socketWatch(this.#socket, wanted)
  }
}

function fire(callbacks: Set<() => void>): void {
  const all = [...callbacks]
  callbacks.clear()
  for (const callback of all) callback()
}

function flushAll(): void {
  if (flushedBy !== process.pid) return
  const deadline = performance.now() + FLUSH_AT_EXIT_MS
  for (const link of flushing) link.flushUntil(deadline)
}

function copyOf(bytes: Uint8Array, from: number): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, from)
}

export function notInChild(what: string): ClosedError {
  return new ClosedError(`the ${what} is the parent process's, not this forked child's: open one here`)
}

/** Is it the other end that is missing? */
function gone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EPIPE' || code === 'ECONNRESET'
}
