// How the messages of a manager get to the other side: values through a ring of shared memory on one machine, bytes over a network.
//
//   RingTransport   values as they are, shared objects and functions too
//   NetTransport    bytes that consist of data only: they are read without running code
import type { Connection } from '../channel/connection'
import { NOTHING, type Packed } from '../channel/ends'
import { Ring } from '../channel/ring'
import { encode, withoutSerializer } from '../serialize'
import { checkData, decodeData } from '../serialize/data-only'

/** The tag under which proxies travel. */
export const PROXY = 'ManagerProxy'

export abstract class Transport {
  abstract readonly network: boolean
  protected readonly connection: Connection
  /** Messages that found no room, in their order. */
  #backlog: Packed[] = []
  #stop: (() => void) | undefined
  /** Told when what waited for room could not be sent. */
  onError: (error: unknown) => void = () => {}

  constructor(connection: Connection) {
    this.connection = connection
  }
  /** Serialises the message during the call. Throws SerializationError, EOFError, ENOSPC; then nothing was sent. */
  abstract post(message: unknown): void
  /** A message, a promise of it where modules must be loaded first, or NOTHING. Throws EOFError at the end. */
  abstract take(): unknown
  abstract takeSync(timeout: number): unknown
  /** As take(), but blocks up to `timeout` ms, where this can be done at all. */
  linger(_timeout: number): unknown {
    return this.take()
  }

  protected put(content: unknown, raw: boolean): void {
    const { outlet } = this.connection
    if (this.#backlog.length > 0) {
      this.#backlog.push(outlet.pack(content, raw))
      return
    }
    const packed = outlet.put(content, raw)
    if (packed === true) return
    this.#backlog.push(packed)
    this.#await()
  }
  #await(): void {
    this.#stop ??= this.connection.outlet.whenRoom(() => {
      this.#stop = undefined
      try {
        if (!this.flush()) this.#await()
      } catch (error) {
        this.onError(error)
      }
    })
  }
  /** Sends what waits, as far as there is room. True: nothing waits any more. */
  flush(): boolean {
    while (this.#backlog.length > 0) {
      if (!this.connection.outlet.retry(this.#backlog[0]!)) return false
      this.#backlog.shift()
    }
    return true
  }

  /** Calls back once, on the event loop, when there is something to take. Gives how to stop that. */
  whenReady(callback: () => void): () => void {
    const { inlet } = this.connection
    // A ring tells of what came after the last try; who stopped before it found nothing has not seen all that was there.
    if (!inlet.ready()) return inlet.whenReady(callback)
    const immediate = setImmediate(callback)
    return () => clearImmediate(immediate)
  }
  /** Does waiting for it keep the event loop alive? */
  setRef(yes: boolean): void {
    if (yes) this.connection.ref()
    else this.connection.unref()
  }
  get closed(): boolean {
    return this.connection.closed
  }
  close(): void {
    if (this.connection.closed) return
    this.#stop?.()
    for (const packed of this.#backlog.splice(0)) this.connection.outlet.discard(packed)
    this.connection.close()
  }
}

export class RingTransport extends Transport {
  readonly network = false

  post(message: unknown): void {
    withoutSerializer(() => this.put(message, false))
  }
  take(): unknown {
    return this.connection.inlet.take(false)
  }
  takeSync(timeout: number): unknown {
    return this.connection.inlet.takeSync(false, timeout)
  }
  override linger(timeout: number): unknown {
    const { inlet } = this.connection
    return inlet instanceof Ring ? inlet.linger(timeout) : inlet.take(false)
  }
}

/** A proxy over a network is an index of this connection, nothing else. */
const SHARED = new Map([
  [
    PROXY,
    (data: unknown) =>
      typeof data === 'object' && data !== null && 'c' in data && 'i' in data && !('m' in data) && !('door' in data),
  ],
])
/** While what has not been sent waits for room, a blocked thread looks for it so often, in ms. */
const NAP_MS = 2

export class NetTransport extends Transport {
  readonly network = true

  post(message: unknown): void {
    const bytes = encode(message, { name: 'value' })
    checkData(bytes, SHARED)
    this.put(bytes, true)
  }
  take(): unknown {
    return read(this.connection.inlet.take(true))
  }
  takeSync(timeout: number): unknown {
    const deadline = performance.now() + timeout
    while (!this.flush()) {
      if (this.connection.inlet.readySync(NAP_MS)) return this.take()
      if (performance.now() >= deadline) return NOTHING
    }
    return read(this.connection.inlet.takeSync(true, Math.max(0, deadline - performance.now())))
  }
}

function read(bytes: unknown): unknown {
  return bytes === NOTHING ? NOTHING : decodeData(bytes as Uint8Array, SHARED)
}
