// A wire format of the user's own, for the values of messages.
import { invalidType } from '../check'
import { SerializationError } from '../errors'
import { CUSTOM } from './wire'

/** How values become bytes and values again; see `setSerializer`. */
export interface Serializer {
  /** The value as bytes. Runs during the call that sends, and must not wait. What it throws, that call throws. */
  serialize(value: unknown): Uint8Array
  /** What `serialize` was given. `bytes` is a copy: the function may keep it, and views of it. */
  deserialize(bytes: Uint8Array): unknown
}

let current: Serializer | null = null

/**
 * Replaces the wire format of the values that this process sends through connections, queues and tasks of pools; `null` brings the
 * package's own back. What processes are started with is not concerned.
 *
 * Holds for this process (and thread): children do not inherit it, since a function that is needed to read messages cannot come
 * in one. A process that receives such a message without a serializer throws SerializationError. Each message says how it was
 * written, so that a process with a serializer reads messages of processes without one.
 *
 * @throws TypeError (`ERR_INVALID_ARG_TYPE`) where `serializer` is neither null nor an object with both functions.
 */
export function setSerializer(serializer: Serializer | null): void {
  if (serializer !== null) {
    if (typeof serializer !== 'object' && typeof serializer !== 'function')
      throw invalidType('serializer', 'an object with the functions serialize and deserialize, or null', serializer)
    for (const name of ['serialize', 'deserialize'] as const)
      if (typeof serializer[name] !== 'function')
        throw invalidType(`serializer.${name}`, 'a function', serializer[name])
  }
  current = serializer
}

/** What `setSerializer` was given last. */
export function serializer(): Serializer | null {
  return current
}

/** Runs `send` without it: for messages that are the package's own. */
export function withoutSerializer<R>(send: () => R): R {
  if (current === null) return send()
  const own = current
  current = null
  try {
    return send()
  } finally {
    current = own
  }
}

/** The bytes of a message with what the user's serializer makes of the value. */
export function encodeCustom(custom: Serializer, value: unknown): Uint8Array {
  const bytes: unknown = custom.serialize(value)
  if (!(bytes instanceof Uint8Array)) throw invalidType('the result of serializer.serialize()', 'a Uint8Array', bytes)
  const message = new Uint8Array(1 + bytes.byteLength)
  message[0] = CUSTOM
  message.set(bytes, 1)
  return message
}

/** What the user's serializer makes of a message of its own. What it throws comes out as it is. */
export function readCustom(message: Uint8Array): unknown {
  if (current === null)
    throw new SerializationError(
      'a message was written by the serializer of another process, and this one has none: call setSerializer() here, too',
    )
  // Not message.slice(): a Buffer's is no copy.
  return current.deserialize(Uint8Array.prototype.slice.call(message, 1))
}
