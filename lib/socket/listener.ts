// Listener: a bound socket, and the handshakes of those who come.
//
//   no key   system's queue ── accept() ──▶ Connection
//   key      system's queue ──▶ handshakes, side by side ──▶ #outcomes ── accept() ──▶ Connection, or an error
//
// With a key, whoever comes is taken and examined also while nobody calls accept(), so that a slow one delays no other. Both
// sides of that are bounded: when too many are being examined, the oldest gives way; when too many outcomes wait for
// accept(), no more are taken.
import type { SocketHandle } from '../../binding'
import { binding } from '../binding'
import { type Connection, makeConnection } from '../channel/connection'
import { checkBoolean, checkInteger, checkOptions, invalidValue } from '../check'
import { AuthenticationError, ClosedError, SerializationError, StateError, TimeoutError } from '../errors'
import { here } from '../memory'
import { toAuthKey } from '../process/auth-key'
import { syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import {
  type Address,
  at,
  checkAddress,
  checkFamily,
  describe,
  type Family,
  familyOf,
  literal,
  resolve,
} from './address'
import { fileOf, privateFolder, removeFile, removeFolder, type SocketFile } from './file'
import { Handshake, type Secret } from './handshake'
import { notInChild, SocketLink } from './link'
import { Pending } from './waits'

const READABLE = 1
const DEFAULT_BACKLOG = 128
const DEFAULT_HANDSHAKE_MS = 10_000
export const DEFAULT_MAX_MESSAGE = 2 ** 30
/** Even with a small backlog so many are examined side by side. */
const LEAST_HANDSHAKES = 64

/** What both ends of a connection over a socket take. */
export interface ConnectionOptions {
  /** Both ends must have the same key. Absent: whoever can reach the address may connect. */
  authKey?: string | Uint8Array | undefined
  /** Also accept peers that prove their key by HMAC-MD5: CPython before 3.12. Default: false. */
  allowMd5?: boolean | undefined
  /** A longer message, in bytes, ends the connection before memory is taken for it. Default: 1 GiB. */
  maxMessageLength?: number | undefined
}

/** What Listener takes. */
export interface ListenerOptions extends ConnectionOptions {
  /** How many connections the system keeps for accept(). Also how many outcomes of handshakes wait for it. Default: 128. */
  backlog?: number | undefined
  /** Where to listen if there is no address. Default: 'AF_UNIX'; on Windows 'AF_PIPE'. */
  family?: Family | undefined
  /** How long a peer may take to prove its key, in ms. Default: 10,000. */
  handshakeTimeout?: number | undefined
}

/** Checks what Listener and connect() have in common. */
export function checkConnectionOptions(options: ConnectionOptions | undefined): {
  secret: Secret | undefined
  maxMessageLength: number
} {
  checkOptions('options', options)
  const { authKey, allowMd5 = false, maxMessageLength = DEFAULT_MAX_MESSAGE } = options ?? {}
  checkBoolean('options.allowMd5', allowMd5)
  checkInteger('options.maxMessageLength', maxMessageLength, 0, Number.MAX_SAFE_INTEGER)
  const secret = authKey === undefined ? undefined : { key: toAuthKey('options.authKey', authKey), allowMd5 }
  return { secret, maxMessageLength }
}

interface Examined {
  readonly link: SocketLink
  readonly peer: Address | null
  readonly handshake: Handshake
  readonly deadline: number
  timer: NodeJS.Timeout | undefined
  stop: (() => void) | undefined
}
type Outcome = { link: SocketLink; peer: Address | null } | { error: unknown }

/**
 * A place where other processes, CPython's too, can connect to. Bound when the constructor returns.
 *
 * The address: see Address; absent: a unix socket in a private directory, a pipe on Windows. A host other than an IP literal
 * or `localhost` needs `await listen(…)`. A pending accept() keeps the event loop alive, an idle Listener does not.
 *
 * @throws the system's error (EADDRINUSE, EACCES …) with code, errno, syscall
 * @throws TypeError, RangeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE
 * @throws UnsupportedError ERR_MP_UNSUPPORTED: this system does not have such addresses
 */
export class Listener {
  readonly #socket: SocketHandle
  readonly #address: Address
  readonly #file: SocketFile | undefined
  readonly #secret: Secret | undefined
  readonly #maxMessageLength: number
  readonly #handshakeTimeout: number
  readonly #backlog: number
  readonly #examined = new Set<Examined>()
  readonly #outcomes: Outcome[] = []
  readonly #accepts = new Pending(() => this.#watch())
  #lastAccepted: Address | null = null
  #closed = false
  /** A forked child has none of its parent's sockets. */
  readonly #fork = here.forks
  #keepsAlive = true
  /** The system could not give us the next one (no descriptor is free): until accept() is called again. */
  #blocked = false
  #watched: number | undefined
  readonly #onReady = (): void => this.#ready()

  constructor(address?: Address, options?: ListenerOptions) {
    const { secret, maxMessageLength } = checkConnectionOptions(options)
    const { backlog = DEFAULT_BACKLOG, family, handshakeTimeout = DEFAULT_HANDSHAKE_MS } = options ?? {}
    checkInteger('options.backlog', backlog, 1, 65_535)
    checkInteger('options.handshakeTimeout', handshakeTimeout, 1, 2 ** 31 - 1)
    if (family !== undefined) checkFamily('options.family', family)
    this.#secret = secret
    this.#maxMessageLength = maxMessageLength
    this.#handshakeTimeout = handshakeTimeout
    this.#backlog = backlog
    let folder: string | undefined
    let given = address
    if (given === undefined) {
      if (family === 'AF_INET') given = ['localhost', 0]
      else if (family === 'AF_PIPE' || (family === undefined && process.platform === 'win32')) given = pipeOfItsOwn()
      else {
        folder = privateFolder()
        given = `${folder}/listener`
      }
    }
    const asked = checkAddress('address', given)
    if (family !== undefined && familyOf(given) !== family)
      throw invalidValue('options.family', `${familyOf(given)} or absent for this address`, family)
    const place = literal(asked)
    if (place === undefined)
      throw invalidValue('address', "[IP address or 'localhost', port] (for another host: await listen(…))", given)
    try {
      this.#socket = at(place, () => binding().socketListen(place.name, place.port, backlog))
    } catch (error) {
      if (folder !== undefined) removeFolder(folder)
      throw error
    }
    this.#address = binding().socketName(this.#socket, false)
    if (familyOf(given) === 'AF_UNIX' && place.name[0] !== '\0') {
      this.#file = fileOf(place.name, folder)
      garbage.register(this, this.#file, this)
    }
    this.#watch()
  }

  /** Where it listens: with the port that the system has chosen, if that was 0. */
  get address(): Address {
    return this.#address
  }
  /** Where the last accepted connection came from: `[address, port]`; `''` for a unix socket. null: there was none yet. */
  get lastAccepted(): Address | null {
    return this.#lastAccepted
  }

  /**
   * The next connection.
   * @throws TimeoutError ERR_MP_TIMEOUT: nobody came in time
   * @throws AuthenticationError ERR_MP_AUTHENTICATION: somebody came who does not have the key. Call it again for the next one
   * @throws EOFError ERR_MP_EOF: somebody came and went away during the handshake. The same
   * @throws ClosedError ERR_MP_CLOSED
   */
  accept(options?: WaitOptions): Promise<Connection> {
    if (this.#fork !== here.forks) return Promise.reject(notInChild('Listener'))
    return this.#accepts.take(
      () => this.#next(),
      options,
      () => {
        throw tooLate()
      },
    )
  }

  /** As accept(), but blocks the thread. @throws StateError ERR_MP_BUSY: an accept() is pending */
  acceptSync(options?: WaitSyncOptions): Connection {
    const deadline = performance.now() + syncTimeout(options)
    if (this.#fork !== here.forks) throw notInChild('Listener')
    if (this.#accepts.size > 0)
      throw new StateError('an accept() of this Listener is pending: acceptSync() would overtake it', 'ERR_MP_BUSY')
    for (;;) {
      for (const each of this.#examined) this.#advance(each)
      const connection = this.#next()
      if (connection !== undefined) return connection
      const now = performance.now()
      if (now >= deadline) throw tooLate()
      let until = deadline
      for (const each of this.#examined) until = Math.min(until, each.deadline)
      const sockets = [...this.#examined].map(({ link }) => link.socket)
      binding().socketWait([this.#socket, ...sockets], READABLE, Math.max(0, until - now))
    }
  }

  /** A pending accept() keeps the event loop alive (the default). */
  ref(): this {
    this.#keepsAlive = true
    this.#watch()
    return this
  }
  /** A pending accept() does not keep the event loop alive. */
  unref(): this {
    this.#keepsAlive = false
    this.#watch()
    return this
  }

  /** Ends listening and removes the file of the socket. Pending accept() calls reject with ClosedError; connections stay. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#fork !== here.forks) return
    binding().socketClose(this.#socket)
    if (this.#file !== undefined) {
      garbage.unregister(this)
      removeFile(this.#file)
    }
    for (const each of this.#examined) this.#end(each)
    for (const outcome of this.#outcomes.splice(0)) if ('link' in outcome) outcome.link.close()
    this.#accepts.wake()
  }
  /** As close(), for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  [Symbol.for('multiproc.reduce')](): never {
    throw new SerializationError('a Listener cannot be sent: send its address, or the connections that it accepts')
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const text = typeof this.#address === 'string' ? { name: this.#address, port: -1 } : undefined
    const where = describe(text ?? { name: this.#address[0]!, port: this.#address[1] as number })
    return `<Listener ${where}${this.#closed ? ' closed' : ''}>`
  }

  /** A connection if there is one now. Throws what became of one that failed. */
  #next(): Connection | undefined {
    if (this.#closed) throw new ClosedError('the Listener is closed')
    if (this.#secret === undefined) {
      const socket = binding().socketAccept(this.#socket)
      if (socket === null) return undefined
      return this.#connection(new SocketLink(socket, this.#maxMessageLength), peerOf(socket))
    }
    this.#blocked = false
    if (this.#outcomes.length === 0) this.#admit(this.#secret)
    const outcome = this.#outcomes.shift()
    this.#watch()
    if (outcome === undefined) return undefined
    if ('error' in outcome) throw outcome.error
    return this.#connection(outcome.link, outcome.peer)
  }

  #connection(link: SocketLink, peer: Address | null): Connection {
    this.#lastAccepted = peer
    return makeConnection(link)
  }

  #ready(): void {
    if (this.#secret !== undefined) this.#admit(this.#secret)
    this.#accepts.wake()
    this.#watch()
  }

  /** Takes whoever has come, and begins to examine them. */
  #admit(secret: Secret): void {
    try {
      while (this.#outcomes.length < this.#backlog) {
        const socket = binding().socketAccept(this.#socket)
        if (socket === null) return
        this.#examine(socket, secret)
      }
    } catch (error) {
      this.#blocked = true
      this.#outcomes.push({ error })
    }
  }

  #examine(socket: SocketHandle, secret: Secret): void {
    if (this.#examined.size >= Math.max(LEAST_HANDSHAKES, this.#backlog)) {
      const [oldest] = this.#examined
      this.#fail(oldest!, new AuthenticationError('too many others came before the peer had proved its key'))
    }
    const link = new SocketLink(socket, this.#maxMessageLength)
    link.keepAlive(false)
    const each: Examined = {
      link,
      peer: peerOf(socket),
      handshake: new Handshake(link, secret, 'listener'),
      deadline: performance.now() + this.#handshakeTimeout,
      timer: undefined,
      stop: undefined,
    }
    each.timer = setTimeout(() => {
      this.#overdue(each)
      this.#settled()
    }, this.#handshakeTimeout).unref()
    this.#examined.add(each)
    this.#advance(each)
  }

  #advance(each: Examined): void {
    try {
      if (!each.handshake.advance()) {
        if (performance.now() >= each.deadline) this.#overdue(each)
        else
          each.stop ??= each.link.whenReadable(() => {
            each.stop = undefined
            this.#advance(each)
            this.#settled()
          })
        return
      }
    } catch (error) {
      this.#fail(each, error)
      return
    }
    this.#forget(each)
    each.link.keepAlive(true)
    this.#outcomes.push({ link: each.link, peer: each.peer })
  }

  #overdue(each: Examined): void {
    this.#fail(each, new AuthenticationError(`the peer did not prove its key within ${this.#handshakeTimeout} ms`))
  }
  #fail(each: Examined, error: unknown): void {
    this.#end(each)
    this.#outcomes.push({ error })
  }
  #end(each: Examined): void {
    this.#forget(each)
    each.link.close()
  }
  #forget(each: Examined): void {
    this.#examined.delete(each)
    clearTimeout(each.timer)
    each.stop?.()
  }

  /** A handshake may have ended. */
  #settled(): void {
    this.#accepts.wake()
    this.#watch()
  }

  /** Tells the event loop whether to look for who comes, and whether to stay alive for it. */
  #watch(): void {
    if (this.#closed || this.#fork !== here.forks) return
    const examines = this.#secret !== undefined && this.#outcomes.length < this.#backlog && !this.#blocked
    const wanted = this.#accepts.size > 0 || examines ? READABLE : 0
    if (wanted === 0 && this.#watched === undefined) return
    if (this.#watched === undefined) binding().socketOnReady(this.#socket, this.#onReady)
    binding().socketKeepAlive(this.#socket, this.#accepts.size > 0 && this.#keepsAlive)
    if (wanted !== this.#watched) binding().socketWatch(this.#socket, wanted)
    this.#watched = wanted
  }
}

/** A Listener that nobody has any more is closed by the addon; its file is ours. */
const garbage = new FinalizationRegistry<SocketFile>(removeFile)

/**
 * A Listener on a host that a name server has to be asked for; also for every other address. Rejects with what the constructor
 * throws, and with ENOTFOUND.
 */
export async function listen(address?: Address, options?: ListenerOptions): Promise<Listener> {
  if (address === undefined) return new Listener(undefined, options)
  const [place] = await resolve(checkAddress('address', address), Number.POSITIVE_INFINITY, undefined)
  return new Listener(place!.port < 0 ? place!.name : [place!.name, place!.port], options)
}

/** null: it has gone already. */
function peerOf(socket: SocketHandle): Address | null {
  try {
    return binding().socketName(socket, true)
  } catch {
    return null
  }
}

/** A name that nobody can have taken before. */
function pipeOfItsOwn(): string {
  return `\\\\.\\pipe\\multiproc-${process.pid}-${Buffer.from(binding().randomBytes(16)).toString('hex')}`
}

function tooLate(): TimeoutError {
  return new TimeoutError('nobody connected in time')
}
