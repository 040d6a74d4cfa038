// Connection: one end of a pipe between processes, or of a socket (lib/socket).
import { inspect } from 'node:util'
import { checkInteger, checkOptions, invalidType } from '../check'
import { BufferTooShortError, ClosedError, EOFError, SerializationError, StateError, TimeoutError } from '../errors'
import type { BlockHandle } from '../memory'
import { registerShared, SHARED } from '../serialize/shared'
import type { WaitOptions, WaitSyncOptions } from '../wait-options'
import type { Inlet, Outlet } from './ends'
import { Incoming } from './incoming'
import type { Link } from './link'
import { LinkEnds } from './link-ends'
import { Outgoing } from './outgoing'

/** What recvBytes() takes. */
export interface ReceiveOptions extends WaitOptions {
  /** A longer message throws BufferTooShortError, whose `bytes` are the message; over a socket it ends the connection. */
  maxLength?: number
}
/** What recvBytesSync() takes. */
export interface ReceiveSyncOptions extends WaitSyncOptions {
  /** A longer message throws BufferTooShortError (`ERR_MP_BUFFER_TOO_SHORT`), in bytes. As of ReceiveOptions. */
  maxLength?: number
}

/** What a connection is made of. */
export interface Carrier {
  readonly inlet: Inlet | undefined
  readonly outlet: Outlet | undefined
  close(): void
  setRef(yes: boolean): void
  /** What a message carries; absent: it cannot be sent. */
  travel?(hold: (offset: number) => void): EndTicket
}
/** The end of a pipe in a message. */
export interface EndTicket extends BlockHandle {
  name?: string
}

/**
 * One end of a Pipe, or of a connection made by Listener or connect(). What one end sends the other receives, whole and in order:
 * values by `send` and `recv`, bytes by `sendBytes` and `recvBytes`. When the other end is closed, or its last holder is gone
 * (whatever killed it), `recv` throws EOFError after the last message, `send` at once.
 */
export class Connection<S = any, R = any> implements AsyncIterable<R> {
  readonly #carrier: Carrier
  readonly #out: Outgoing | undefined
  readonly #in: Incoming | undefined
  #closed = false

  /** @internal Pipe() and connect() make connections. */
  constructor(carrier: Carrier) {
    if (typeof (carrier as Carrier | undefined)?.setRef !== 'function')
      throw new TypeError('a Connection is made by Pipe(), connect() or Listener.accept()')
    this.#carrier = carrier
    const label = (): string => 'this connection'
    if (carrier.outlet !== undefined)
      this.#out = new Outgoing(carrier.outlet, label, () => new TimeoutError('the message could not be sent in time'))
    if (carrier.inlet !== undefined)
      this.#in = new Incoming(carrier.inlet, label, () => new TimeoutError('no message came in time'))
  }

  /** Can it receive? */
  get readable(): boolean {
    return this.#in !== undefined
  }
  /** Can it send? */
  get writable(): boolean {
    return this.#out !== undefined
  }
  /** Was it closed in this thread? */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * Sends a value. It is serialised during the call, and if there is room it is sent when the call returns; else the promise waits
   * for room. Rejects with SerializationError, EOFError (the other end is closed), TimeoutError, `signal.reason`, ENOSPC.
   */
  async send(value: S, options?: WaitOptions): Promise<void> {
    await this.#sending().send(value, false, options)
  }
  /** Sends a value; blocks this thread until there is room. Throws as send(), and StateError `ERR_MP_BUSY` while sends wait. */
  sendSync(value: S, options?: WaitSyncOptions): void {
    this.#sending().sendSync(value, false, options)
  }
  /** Sends bytes as they are. They may be changed when the call has returned. Rejects as send(). */
  async sendBytes(bytes: ArrayBufferView | ArrayBuffer, options?: WaitOptions): Promise<void> {
    await this.#sending().send(viewOf('bytes', bytes), true, options)
  }
  /** Sends bytes; blocks this thread until there is room. */
  sendBytesSync(bytes: ArrayBufferView | ArrayBuffer, options?: WaitSyncOptions): void {
    this.#sending().sendSync(viewOf('bytes', bytes), true, options)
  }

  /**
   * Receives the next message. Rejects with EOFError at the end, TimeoutError, `signal.reason`; whoever gives up has taken nothing.
   */
  async recv(options?: WaitOptions): Promise<R> {
    return (await this.#receiving().receive(false, options)) as R
  }
  /** Receives the next message; blocks this thread until there is one. Throws as recv(), and StateError `ERR_MP_BUSY`. */
  recvSync(options?: WaitSyncOptions): R {
    return this.#receiving().receiveSync(false, options) as R
  }
  /** Receives the bytes of the next message. Rejects as recv(), and with BufferTooShortError for more than `maxLength`. */
  async recvBytes(options?: ReceiveOptions): Promise<Uint8Array> {
    const maxLength = maxLengthOf(options)
    return within((await this.#receiving().receive(true, options, maxLength)) as Uint8Array, maxLength)
  }
  /** As recvBytes(), blocking this thread. */
  recvBytesSync(options?: ReceiveSyncOptions): Uint8Array {
    const maxLength = maxLengthOf(options)
    return within(this.#receiving().receiveSync(true, options, maxLength) as Uint8Array, maxLength)
  }
  /**
   * Receives the bytes of the next message into `buffer` and gives how many they are. What does not fit rejects with
   * BufferTooShortError, whose `bytes` are the whole message.
   */
  async recvBytesInto(
    buffer: ArrayBufferView | ArrayBuffer,
    options?: WaitOptions & { offset?: number },
  ): Promise<number> {
    const into = target(buffer, options)
    return fill(into, (await this.#receiving().receive(true, options)) as Uint8Array)
  }
  /** As recvBytesInto(), blocking this thread. */
  recvBytesIntoSync(buffer: ArrayBufferView | ArrayBuffer, options?: WaitSyncOptions & { offset?: number }): number {
    const into = target(buffer, options)
    return fill(into, this.#receiving().receiveSync(true, options) as Uint8Array)
  }

  /** Is there something to receive: a message, or the end? Waits up to `timeout` ms, by default not at all. */
  async poll(options?: WaitOptions): Promise<boolean> {
    return await this.#receiving().poll(options)
  }
  /** As poll(), blocking this thread up to `timeout` ms. */
  pollSync(options?: WaitSyncOptions): boolean {
    return this.#receiving().pollSync(options)
  }

  /** Closes this end in this thread: calls that wait reject with ClosedError. With its last holder the other end sees the end. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    const error = new ClosedError('the connection was closed')
    this.#out?.end(error)
    this.#in?.end(error)
    this.#carrier.close()
  }
  /** As close(), for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }
  /** Its waiting promises keep the event loop alive (the default). */
  ref(): this {
    this.#carrier.setRef(true)
    return this
  }
  /** Promises that begin to wait from now on do not keep the event loop alive. */
  unref(): this {
    this.#carrier.setRef(false)
    return this
  }

  /** Receives until the other end is closed. */
  async *[Symbol.asyncIterator](): AsyncIterator<R> {
    for (;;) {
      let value: R
      try {
        value = await this.recv()
      } catch (error) {
        if (error instanceof EOFError) return
        throw error
      }
      yield value
    }
  }

  /** What JSON.stringify() writes of it: what it is called, never what is in the memory. */
  toJSON(): object {
    return { type: 'Connection' }
  }
  [inspect.custom](_depth: number, options: object): string {
    const { readable, writable, closed } = this
    return `Connection ${inspect(closed ? { closed } : { readable, writable }, options)}`
  }

  #sending(): Outgoing {
    if (this.#closed) throw new ClosedError('the connection is closed')
    if (this.#out === undefined) throw new StateError('this connection can only receive', 'ERR_MP_NOT_WRITABLE')
    return this.#out
  }
  #receiving(): Incoming {
    if (this.#closed) throw new ClosedError('the connection is closed')
    if (this.#in === undefined) throw new StateError('this connection can only send', 'ERR_MP_NOT_READABLE')
    return this.#in
  }
  /** @internal For wait(). */
  get inlet(): Inlet {
    return this.#receiving().inlet
  }
  /** @internal For what keeps an order of its own. */
  get outlet(): Outlet {
    return this.#sending().outlet
  }
  /** @internal What a message carries. */
  travel(hold: (offset: number) => void): EndTicket {
    if (this.#closed) throw new ClosedError('the connection is closed')
    if (this.#carrier.travel === undefined)
      throw new SerializationError('a connection over a socket cannot be sent to another process')
    return this.#carrier.travel(hold)
  }
}

/** A connection over a socket. `link` has keepAlive() if it can do without the event loop's waiting for it. */
export function makeConnection(link: Link & { keepAlive?(yes: boolean): void }): Connection {
  const ends = new LinkEnds(link)
  return new Connection({
    inlet: link.readable ? ends : undefined,
    outlet: link.writable ? ends : undefined,
    close: () => link.close(),
    setRef: (yes) => link.keepAlive?.(yes),
  })
}

function viewOf(name: string, bytes: unknown): Uint8Array {
  if (ArrayBuffer.isView(bytes)) return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes instanceof ArrayBuffer) return new Uint8Array(bytes)
  throw invalidType(name, 'a TypedArray, a Buffer, a DataView or an ArrayBuffer', bytes)
}
function maxLengthOf(options: { maxLength?: number } | undefined): number | undefined {
  checkOptions('options', options)
  const maxLength = options?.maxLength
  if (maxLength !== undefined) checkInteger('options.maxLength', maxLength, 0, Number.MAX_SAFE_INTEGER)
  return maxLength
}
function within(bytes: Uint8Array, maxLength: number | undefined): Uint8Array {
  if (maxLength === undefined || bytes.length <= maxLength) return bytes
  throw tooShort(bytes, `more than maxLength, ${maxLength}`)
}
function target(buffer: unknown, options: { offset?: number } | undefined): Uint8Array {
  const bytes = viewOf('buffer', buffer)
  checkOptions('options', options)
  const offset = options?.offset ?? 0
  checkInteger('options.offset', offset, 0, bytes.length)
  return bytes.subarray(offset)
}
function fill(into: Uint8Array, bytes: Uint8Array): number {
  if (bytes.length > into.length) throw tooShort(bytes, `the buffer has room for ${into.length}`)
  into.set(bytes)
  return bytes.length
}
function tooShort(bytes: Uint8Array, why: string): BufferTooShortError {
  return new BufferTooShortError(`the message has ${bytes.length} bytes: ${why}`, bytes)
}

/** Registers how an end of a pipe is made from what a message carries. */
export function registerConnection(read: (ticket: EndTicket) => Connection): void {
  Object.defineProperty(Connection.prototype, SHARED, { value: 'Connection' })
  registerShared('Connection', {
    write: (connection: Connection, hold) => connection.travel(hold),
    read(data: EndTicket) {
      if (!Number.isSafeInteger(data?.offset) || !Number.isSafeInteger(data.generation))
        throw new SerializationError('a received Connection is malformed')
      return read(data)
    },
  })
}
