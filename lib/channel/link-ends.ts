// A Link (a socket) as outlet and inlet of messages: values are serialised here.
import { SerializationError } from '../errors'
import { decode, decodeAtOnce, decodeSync, encode } from '../serialize'
import { type Inlet, NOTHING, type Outlet, type Packed } from './ends'
import type { Link, Received } from './link'

class PackedBytes {
  constructor(
    readonly bytes: Uint8Array,
    readonly value: boolean,
  ) {}
}

export class LinkEnds implements Outlet, Inlet {
  readonly #link: Link
  constructor(link: Link) {
    this.#link = link
  }

  put(content: unknown, raw: boolean): true | Packed {
    const bytes = bytesOf(content, raw)
    return this.#link.trySend(bytes, !raw) || new PackedBytes(raw ? bytes.slice() : bytes, !raw)
  }
  putSync(content: unknown, raw: boolean, timeout: number): boolean {
    return this.#link.sendSync(bytesOf(content, raw), !raw, timeout)
  }
  pack(content: unknown, raw: boolean): Packed {
    const bytes = bytesOf(content, raw)
    return new PackedBytes(raw ? bytes.slice() : bytes, !raw)
  }
  retry(packed: Packed): boolean {
    const { bytes, value } = packed as PackedBytes
    return this.#link.trySend(bytes, value)
  }
  discard(): void {}
  whenRoom(callback: () => void): () => void {
    return this.#link.whenWritable(callback)
  }

  take(raw: boolean, maxLength?: number): unknown {
    const received = this.#link.tryReceive(maxLength)
    if (received === undefined || raw) return received?.bytes ?? NOTHING
    const decoded = decodeAtOnce(received.bytes)
    return decoded === undefined ? decode(received.bytes) : decoded.value
  }
  takeSync(raw: boolean, timeout: number, maxLength?: number): unknown {
    const received: Received | undefined = this.#link.receiveSync(timeout, maxLength)
    if (received === undefined || raw) return received?.bytes ?? NOTHING
    return decodeSync(received.bytes)
  }
  ready(): boolean {
    return this.#link.poll()
  }
  readySync(timeout: number): boolean {
    return this.#link.pollSync(timeout)
  }
  whenReady(callback: () => void): () => void {
    return this.#link.whenReadable(callback)
  }
  get descriptor(): number {
    return this.#link.descriptor
  }
}

function bytesOf(content: unknown, raw: boolean): Uint8Array {
  if (raw) return content as Uint8Array
  return encode(content, {
    name: 'value',
    hold: () => {
      throw new SerializationError('a shared object cannot be sent over a socket: nobody would hold its memory')
    },
  })
}
