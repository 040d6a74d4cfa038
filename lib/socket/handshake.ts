// CPython's mutual proof (3.12 and later) that both ends have the same key, without showing it.
//
//   listener                                            client
//   #CHALLENGE#{sha256}40 random bytes ────────────────▶
//              ◀──────────────── {sha256}HMAC(key, {sha256}40 random bytes)
//   #WELCOME#, or #FAILURE# and the end ───────────────▶
//   … and the same once more, with the roles exchanged.
//
// CPython before 3.12 has MD5 only and no {…}: a challenge of 20 bytes, a response of 16. Refused unless allowed.
import type * as Crypto from 'node:crypto'
import { binding } from '../binding'
import type { Received } from '../channel/link'
import { AuthenticationError, EOFError, MultiprocError } from '../errors'

export interface Secret {
  readonly key: Uint8Array
  readonly allowMd5: boolean
}

/** What a handshake is made over. */
export interface HandshakeLink {
  maxMessageLength: number
  trySend(bytes: Uint8Array, value: boolean): boolean
  tryReceive(): Received | undefined
}

const LONGEST_MESSAGE = 256
const CHALLENGE_BYTES = 40
const MD5_CHALLENGE_BYTES = 20
const MD5_RESPONSE_BYTES = 16
const CHALLENGE = bytesOf('#CHALLENGE#')
const WELCOME = bytesOf('#WELCOME#')
const FAILURE = bytesOf('#FAILURE#')

/** What we accept, by CPython's name, and how node:crypto calls it. */
const DIGESTS = new Map([
  ['sha256', 'sha256'],
  ['sha384', 'sha384'],
  ['sha3_256', 'sha3-256'],
  ['sha3_384', 'sha3-384'],
  ['md5', 'md5'],
])

/** Yields when it needs the next message. Returns when the other end has done what it had to; throws otherwise. */
type Exchange = Generator<undefined, void, Buffer>
type Send = (message: Uint8Array) => void

function* deliverChallenge(send: Send, secret: Secret): Exchange {
  const challenge = Buffer.concat([bytesOf('{sha256}'), binding().randomBytes(CHALLENGE_BYTES)])
  send(Buffer.concat([CHALLENGE, challenge]))
  const response = yield
  try {
    verify(challenge, response, secret)
  } catch (error) {
    send(FAILURE)
    throw error
  }
  send(WELCOME)
}

function* answerChallenge(send: Send, secret: Secret): Exchange {
  const message = yield
  if (!message.subarray(0, CHALLENGE.length).equals(CHALLENGE))
    throw new AuthenticationError('the other end did not send a challenge')
  const challenge = message.subarray(CHALLENGE.length)
  if (challenge.length < MD5_CHALLENGE_BYTES)
    throw new AuthenticationError(`the challenge is too short: ${challenge.length} bytes`)
  const { digest, prefix } = digestOf(challenge, challenge.length === MD5_CHALLENGE_BYTES, secret)
  send(Buffer.concat([prefix, hmac(digest, secret, challenge)]))
  if (!(yield).equals(WELCOME)) throw new AuthenticationError('the other end does not accept our key')
}

function verify(challenge: Buffer, response: Buffer, secret: Secret): void {
  const { digest, prefix } = digestOf(response, response.length === MD5_RESPONSE_BYTES, secret)
  const expected = hmac(digest, secret, challenge)
  const proof = response.subarray(prefix.length)
  if (proof.length !== expected.length || !crypto().timingSafeEqual(proof, expected))
    throw new AuthenticationError('the other end has another key')
}

/** The digest that a message names. It protects the name, too: nobody on the way can talk us down to a weaker one. */
function digestOf(message: Buffer, legacy: boolean, secret: Secret): { digest: string; prefix: Buffer } {
  const [prefix = '', digest = legacy ? 'md5' : ''] = /^\{([a-z0-9_]{1,8})\}/.exec(message.toString('latin1')) ?? []
  if (digest === '' || !DIGESTS.has(digest))
    throw new AuthenticationError('the other end names no digest that is known here')
  if (digest === 'md5' && !secret.allowMd5)
    throw new AuthenticationError(
      'the other end proves its key by MD5 only (CPython before 3.12): refused without allowMd5: true',
    )
  return { digest, prefix: bytesOf(prefix) }
}

function hmac(digest: string, secret: Secret, message: Uint8Array): Buffer {
  try {
    return crypto().createHmac(DIGESTS.get(digest)!, secret.key).update(message).digest()
  } catch (cause) {
    throw new AuthenticationError(`this system cannot compute ${digest}`, undefined, { cause })
  }
}

/** Takes 2 ms to load, and most programs never need it. */
function crypto(): typeof Crypto {
  return require('node:crypto')
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

export class Handshake {
  readonly #link: HandshakeLink
  readonly #exchanges: Exchange[]
  readonly #maxMessageLength: number
  #started = false

  constructor(link: HandshakeLink, secret: Secret, role: 'listener' | 'client') {
    this.#link = link
    this.#maxMessageLength = link.maxMessageLength
    link.maxMessageLength = LONGEST_MESSAGE
    const send = (message: Uint8Array): void => {
      // They are less than the least that a system buffers.
      if (!link.trySend(message, false)) throw new AuthenticationError('the other end does not read')
    }
    const deliver = deliverChallenge(send, secret)
    const answer = answerChallenge(send, secret)
    this.#exchanges = role === 'listener' ? [deliver, answer] : [answer, deliver]
  }

  /**
   * Goes on with what has come; never blocks. True: the other end has the key. False: not yet.
   * @throws AuthenticationError it has not, or what came is none of this protocol
   * @throws EOFError it closed the connection
   */
  advance(): boolean {
    try {
      for (let message: Buffer | undefined; this.#exchanges.length > 0; ) {
        if (this.#started) {
          message = this.#receive()
          if (message === undefined) return false
        }
        // The value of the first next() of a generator is ignored.
        const ended = this.#exchanges[0]!.next(message!).done === true
        this.#started = !ended
        if (ended) this.#exchanges.shift()
      }
      this.#link.maxMessageLength = this.#maxMessageLength
      return true
    } catch (error) {
      if (!(error instanceof MultiprocError) || error instanceof EOFError || error instanceof AuthenticationError)
        throw error
      throw new AuthenticationError(`the other end does not speak the protocol: ${error.message}`, undefined, {
        cause: error,
      })
    }
  }

  #receive(): Buffer | undefined {
    const received = this.#link.tryReceive()
    return received && Buffer.from(received.bytes.buffer, received.bytes.byteOffset, received.bytes.length)
  }
}
