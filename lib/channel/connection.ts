// Connection: sends and receives values and bytes over a Link.
import { checkInteger, checkOptions, invalidType } from '../check'
import { BufferTooShortError, ClosedError, EOFError, SerializationError, StateError, TimeoutError } from '../errors'
import { decode, decodeSync, encode } from '../serialize'
import { Pending } from '../socket/waits'
import { syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import type { Link, Received } from './link'

const EMPTY = Object.freeze({})

export class Connection {
  readonly #link: Link
  #closed = false
  #stopReading: (() => void) | undefined
  #stopWriting: (() => void) | undefined
  readonly #receives = new Pending(() => this.#watch())
  readonly #sends = new Pending(() => this.#watch())

  /** @internal */
  constructor(link: Link) {
    this.#link = link
  }

  get closed(): boolean {
    return this.#closed
  }
  get readable(): boolean {
    return this.#link.readable
  }
  get writable(): boolean {
    return this.#link.writable
  }

  async send(value: unknown, options?: WaitOptions): Promise<void> {
    await this.#send(bytesOf(value), true, options)
  }
  sendSync(value: unknown, options?: WaitSyncOptions): void {
    this.#sendSync(bytesOf(value), true, options)
  }
  async sendBytes(bytes: ArrayBufferView, options?: WaitOptions): Promise<void> {
    await this.#send(view('bytes', bytes), false, options)
  }
  sendBytesSync(bytes: ArrayBufferView, options?: WaitSyncOptions): void {
    this.#sendSync(view('bytes', bytes), false, options)
  }

  async recv(options?: WaitOptions): Promise<any> {
    return decode((await this.#receive(options)).bytes)
  }
  recvSync(options?: WaitSyncOptions): any {
    return decodeSync(this.#receiveSync(options).bytes)
  }
  async recvBytes(options?: WaitOptions & { maxLength?: number }): Promise<Uint8Array> {
    return (await this.#receive(options)).bytes
  }
  recvBytesSync(options?: WaitSyncOptions & { maxLength?: number }): Uint8Array {
    return this.#receiveSync(options).bytes
  }
  async recvBytesInto(buffer: ArrayBufferView, options?: WaitOptions & { offset?: number }): Promise<number> {
    const into = target(buffer, options)
    return fill(into, (await this.#receive(options)).bytes)
  }
  recvBytesIntoSync(buffer: ArrayBufferView, options?: WaitSyncOptions & { offset?: number }): number {
    return fill(target(buffer, options), this.#receiveSync(options).bytes)
  }

  async poll(options: WaitOptions = { timeout: 0 }): Promise<boolean> {
    return this.#receives.take(
      () => this.#open().poll() || undefined,
      { timeout: 0, ...options },
      () => false,
    )
  }
  pollSync(options: WaitSyncOptions = {}): boolean {
    return this.#open().pollSync(syncTimeout({ timeout: 0, ...options }))
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#link.close()
    this.#receives.wake()
    this.#sends.wake()
  }
  [Symbol.dispose](): void {
    this.close()
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<any, void> {
    for (;;) {
      try {
        yield await this.recv()
      } catch (error) {
        if (error instanceof EOFError) return
        throw error
      }
    }
  }
  [Symbol.for('multiproc.reduce')](): never {
    throw new SerializationError('a Connection over a socket cannot be sent')
  }

  #open(): Link {
    if (this.#closed) throw new ClosedError('the connection is closed')
    return this.#link
  }
  #send(given: Uint8Array, value: boolean, options: WaitOptions | undefined): Promise<true> {
    let bytes = given
    const sent = this.#sends.take<true>(
      () => this.#open().trySend(bytes, value) || undefined,
      options,
      () => {
        throw new TimeoutError('the message could not be sent in time')
      },
    )
    if (!value && this.#sends.size > 0) bytes = bytes.slice()
    return sent
  }
  #sendSync(bytes: Uint8Array, value: boolean, options: WaitSyncOptions | undefined): void {
    const timeout = syncTimeout(options)
    if (this.#sends.size > 0) throw new StateError('a send() is pending: a Sync call would overtake it', 'ERR_MP_BUSY')
    if (!this.#open().sendSync(bytes, value, timeout)) throw new TimeoutError('the message could not be sent in time')
  }
  #receive(options: (WaitOptions & { maxLength?: number }) | undefined): Promise<Received> {
    const maxLength = maxLengthOf(options)
    return this.#receives.take(
      () => this.#open().tryReceive(maxLength),
      options,
      () => {
        throw new TimeoutError('no message came in time')
      },
    )
  }
  #receiveSync(options: (WaitSyncOptions & { maxLength?: number }) | undefined): Received {
    const timeout = syncTimeout(options)
    const maxLength = maxLengthOf(options)
    if (this.#receives.size > 0)
      throw new StateError('a recv() is pending: a Sync call would overtake it', 'ERR_MP_BUSY')
    const received = this.#open().receiveSync(timeout, maxLength)
    if (received === undefined) throw new TimeoutError('no message came in time')
    return received
  }

  #watch(): void {
    if (this.#closed) return
    if (this.#receives.size === 0) {
      this.#stopReading?.()
      this.#stopReading = undefined
    } else
      this.#stopReading ??= this.#link.whenReadable(() => {
        this.#stopReading = undefined
        this.#receives.wake()
        this.#watch()
      })
    if (this.#sends.size === 0) {
      this.#stopWriting?.()
      this.#stopWriting = undefined
    } else
      this.#stopWriting ??= this.#link.whenWritable(() => {
        this.#stopWriting = undefined
        this.#sends.wake()
        this.#watch()
      })
  }
}

export function makeConnection(link: Link): Connection {
  return new Connection(link)
}

function bytesOf(value: unknown): Uint8Array {
  return encode(value, {
    name: 'value',
    hold: () => {
      throw new SerializationError('a shared object cannot be sent over a socket: nobody would hold its memory')
    },
  })
}
function view(name: string, bytes: unknown): Uint8Array {
  if (!ArrayBuffer.isView(bytes)) throw invalidType(name, 'a TypedArray, a Buffer or a DataView', bytes)
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
function maxLengthOf(options: { maxLength?: number } | undefined): number | undefined {
  checkOptions('options', options)
  const { maxLength } = options ?? (EMPTY as { maxLength?: number })
  if (maxLength !== undefined) checkInteger('options.maxLength', maxLength, 0, Number.MAX_SAFE_INTEGER)
  return maxLength
}
function target(buffer: unknown, options: { offset?: number } | undefined): Uint8Array {
  const bytes = view('buffer', buffer)
  checkOptions('options', options)
  const { offset = 0 } = options ?? (EMPTY as { offset?: number })
  checkInteger('options.offset', offset, 0, bytes.length)
  return bytes.subarray(offset)
}
function fill(into: Uint8Array, bytes: Uint8Array): number {
  if (bytes.length > into.length)
    throw new BufferTooShortError(`the message has ${bytes.length} bytes, the buffer room for ${into.length}`)
  into.set(bytes)
  return bytes.length
}
