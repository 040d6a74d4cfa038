// The key that proves to a Listener that its peer belongs to the same program: random in the first process, inherited
// by its children, and kept from travelling in any other way.
import { binding } from '../binding'
import { invalidType } from '../check'
import { SerializationError } from '../errors'

const KEY_BYTES = 32

/** The bytes of an authentication key. It is not printed, and refuses to be sent to another process. */
export class AuthKey extends Uint8Array {
  static get [Symbol.species](): Uint8ArrayConstructor {
    return Uint8Array
  }
  toJSON(): never {
    throw refusal()
  }
  [Symbol.for('multiproc.reduce')](): never {
    throw refusal()
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `<AuthKey of ${this.length} bytes>`
  }
}

function refusal(): SerializationError {
  return new SerializationError(
    'an AuthKey cannot be sent: children inherit it; send a copy (Uint8Array.from(key)) if you must',
  )
}

export function randomAuthKey(): AuthKey {
  return new AuthKey(binding().randomBytes(KEY_BYTES))
}

/** A key as users give it: bytes, or a string that stands for its UTF-8 bytes. */
export function toAuthKey(name: string, value: unknown): AuthKey {
  if (typeof value === 'string') return new AuthKey(Buffer.from(value, 'utf8'))
  if (value instanceof Uint8Array) return new AuthKey(value)
  throw invalidType(name, 'a Uint8Array or a string', value)
}
