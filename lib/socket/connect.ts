// connect(): finds the address, connects, and proves the key. Both forms take the same steps; they differ in how they wait.
import { binding } from '../binding'
import { type Connection, makeConnection } from '../channel/connection'
import { TimeoutError } from '../errors'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import { type Address, at, checkAddress, describe, type Place, resolve, resolveSync } from './address'
import { Handshake, type Secret } from './handshake'
import { SocketLink } from './link'
import { type ConnectionOptions, checkConnectionOptions } from './listener'
import { until } from './waits'

const READABLE = 1
const WRITABLE = 2
/** A unix socket whose listener has no room cannot be waited for: one tries again. */
const RETRY_MS = 5

/** What connect() takes. */
export interface ConnectOptions extends ConnectionOptions, WaitOptions {}
/** What connectSync() takes. */
export interface ConnectSyncOptions extends ConnectionOptions, WaitSyncOptions {}

/**
 * Connects to a Listener, ours or CPython's. `timeout` is for all of it: name server, connection and handshake.
 *
 * @throws the system's error (ECONNREFUSED, ENOENT, ENOTFOUND …) with code, errno, syscall, address
 * @throws AuthenticationError ERR_MP_AUTHENTICATION: the keys differ, or what answers does not speak the protocol
 * @throws EOFError ERR_MP_EOF: the other end closed during the handshake
 * @throws TimeoutError ERR_MP_TIMEOUT
 * @throws TypeError, RangeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE (as rejections)
 */
export async function connect(address: Address, options?: ConnectOptions): Promise<Connection> {
  const asked = checkAddress('address', address)
  const { secret, maxMessageLength } = checkConnectionOptions(options)
  const { timeout, signal } = asyncWait(options)
  signal?.throwIfAborted()
  const deadline = performance.now() + timeout
  const steps = connecting(await resolve(asked, deadline, signal), secret, maxMessageLength)
  for (let step = steps.next(); ; ) {
    if (step.done) return makeConnection(step.value)
    const { link, events } = step.value
    try {
      await until((callback) => whenReady(link, events, callback), deadline, signal, late(asked))
    } catch (error) {
      step = steps.throw(error)
      continue
    }
    step = steps.next()
  }
}

/** As connect(), but blocks the thread. While it asks for the address of a host name, no `timeout` ends it. */
export function connectSync(address: Address, options?: ConnectSyncOptions): Connection {
  const asked = checkAddress('address', address)
  const { secret, maxMessageLength } = checkConnectionOptions(options)
  const deadline = performance.now() + syncTimeout(options)
  const steps = connecting(resolveSync(asked), secret, maxMessageLength)
  for (let step = steps.next(); ; ) {
    if (step.done) return makeConnection(step.value)
    const { link, events } = step.value
    const left = Math.max(0, deadline - performance.now())
    if (link === undefined) nap(Math.min(left, RETRY_MS))
    else binding().socketWait([link.socket], events, left)
    step = performance.now() < deadline ? steps.next() : steps.throw(new TimeoutError(late(asked)))
  }
}

/** What must happen before the next step: `link` is ready for `events`; without a link, some time. */
interface Step {
  readonly link: SocketLink | undefined
  readonly events: number
}

function* connecting(
  places: readonly Place[],
  secret: Secret | undefined,
  maxMessageLength: number,
): Generator<Step, SocketLink> {
  let link: SocketLink | undefined
  try {
    for (const [i, place] of places.entries()) {
      try {
        link = yield* connected(place, maxMessageLength)
        break
      } catch (error) {
        if (i === places.length - 1 || (error as NodeJS.ErrnoException).syscall !== 'connect') throw error
      }
    }
    if (secret !== undefined) {
      const handshake = new Handshake(link!, secret, 'client')
      while (!handshake.advance()) yield { link, events: READABLE }
    }
  } catch (error) {
    link?.close()
    throw error
  }
  return link!
}

function* connected(place: Place, maxMessageLength: number): Generator<Step, SocketLink> {
  let link: SocketLink | undefined
  while (link === undefined) {
    try {
      link = new SocketLink(
        at(place, () => binding().socketConnect(place.name, place.port)),
        maxMessageLength,
      )
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || place.port >= 0) throw error
      yield { link: undefined, events: 0 }
    }
  }
  try {
    const { socket } = link
    while (!at(place, () => binding().socketConnected(socket))) yield { link, events: WRITABLE }
  } catch (error) {
    link.close()
    throw error
  }
  return link
}

function whenReady(link: SocketLink | undefined, events: number, callback: () => void): () => void {
  if (link !== undefined) return events === READABLE ? link.whenReadable(callback) : link.whenWritable(callback)
  const timer = setTimeout(callback, RETRY_MS)
  return () => clearTimeout(timer)
}

function nap(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

function late(place: Place): string {
  return `no connection with ${describe(place)} in time`
}
