// Handle: what a proxy has in its hand, a reference to one object of a manager's server. And how handles travel.
//
//   to the server that has the object, and from it     { c: connection, i: index of the object there }
//   to anybody else who shares this memory             { m: manager, door, ticket, token, shape }
//
// A ticket names the object as it is known on the sender's own connection. The token, an end of a pipe, is held by everybody who
// has the ticket, messages included, whoever dies; its other end is the server's, who keeps the object until all are gone.
import type { Connection } from '../channel/connection'
import { Pipe } from '../channel/pipe'
import type { Queue } from '../channel/queue'
import { SerializationError } from '../errors'
import { here } from '../memory'
import { registerShared, SHARED } from '../serialize'
import { PROXY } from './transport'
import type { Message, Shape } from './wire'

/** Where the rest of a program on this machine finds a server. */
export interface Door {
  /** It takes ends of pipes out of this queue. */
  readonly queue: Queue<Connection>
  /** At its end when the server is gone, which only holds the other end. */
  readonly life: Connection
}

/** How long a call may take, and what aborts it. */
export interface Limits {
  /** How long to wait at most, in ms. Absent: for ever. */
  readonly timeout?: number | undefined
  /** Aborting rejects with `signal.reason`. Not in Sync forms. */
  readonly signal?: AbortSignal | undefined
}

/** A connection to the server of a manager, or the server itself in its own process. */
export interface Endpoint {
  /** Of the connection. */
  readonly id: string
  readonly managerId: string
  readonly door: Door | undefined
  /** Absent where the server is in this process. */
  readonly fork: number
  call(handle: Handle, op: number, name: string, content: unknown, limits?: Limits): Promise<unknown>
  callSync(handle: Handle, op: number, name: string, content: unknown, timeout: number): unknown
  /** Sends what needs no answer. */
  tell(message: Message): void
  drop(index: number): void
  /** The object itself, where the server is in this process. */
  targetOf?(index: number): unknown
  /** Keeps the object for as long as the other end of the token, which is the server's from now on, is held; its ticket. */
  keep(handle: Handle, token: Connection): string
  /** An object that somebody else has given us a ticket for. */
  open(ticket: string, shape: Shape, token: Connection | undefined): Handle
}

const collected = new FinalizationRegistry<{ endpoint: Endpoint; index: number }>(({ endpoint, index }) => {
  if (endpoint.fork === here.forks) endpoint.drop(index)
})

export class Handle {
  readonly #endpoint: Endpoint
  readonly #index: number
  readonly shape: Shape
  /** Why the object could not be made. */
  failed: { error: unknown } | undefined
  /** The proxy's class, where the user gave one. */
  proxyType: unknown
  #token: { end: Connection; ticket: string } | undefined
  /** The same object, as this forked child knows it. */
  #here: Handle | undefined

  constructor(endpoint: Endpoint, index: number, shape: Shape) {
    this.#endpoint = endpoint
    this.#index = index
    this.shape = shape
    collected.register(this, { endpoint, index })
  }

  /** This handle, or in a forked child its counterpart there: the connection is the parent's. */
  #own(): Handle {
    const { fork, id } = this.#endpoint
    if (fork === here.forks || fork < 0) return this
    this.#here ??= endpointOf(this.#endpoint.managerId, this.#endpoint.door, '').open(
      `${id}:${this.#index}`,
      this.shape,
      undefined,
    )
    return this.#here
  }
  get endpoint(): Endpoint {
    return this.#own().#endpoint
  }
  get index(): number {
    return this.#own().#index
  }

  call(op: number, name: string, content: unknown, limits?: Limits): Promise<unknown> {
    const own = this.#own()
    return own.#endpoint.call(own, op, name, content, limits)
  }
  callSync(op: number, name: string, content: unknown, timeout: number): unknown {
    const own = this.#own()
    return own.#endpoint.callSync(own, op, name, content, timeout)
  }

  /** The object, if it is in this process. */
  target(): unknown {
    return this.#endpoint.targetOf?.(this.#index)
  }

  /** What a message for others carries. */
  ticket(): Ticket {
    const own = this.#own()
    if (own !== this) return own.ticket()
    const { managerId, door } = this.#endpoint
    if (door === undefined)
      throw new SerializationError(
        'a proxy of a manager on a network can be sent to that manager only: connect there, too',
      )
    if (this.#token === undefined) {
      const [servers, ours] = Pipe({ duplex: false })
      this.#token = { end: ours, ticket: this.#endpoint.keep(this, servers) }
    }
    const { end, ticket } = this.#token
    return { m: managerId, door, ticket, token: end, shape: this.shape, proxyType: this.proxyType }
  }
  /** It came with a token, which it can pass on. */
  received(ticket: string, end: Connection): this {
    this.#token = { end, ticket }
    return this
  }
}

interface Ticket {
  m: string
  door: Door
  ticket: string
  token: Connection
  shape: Shape
  proxyType?: unknown
}
interface Known {
  c: string
  i: number
  shape?: Shape
}

// ---- who is there in this thread ---------------------------------------------------------------------------------------

const byConnection = new Map<string, { read(known: Known): object }>()
const byManager = new Map<string, Endpoint>()
let connectTo: ((managerId: string, door: Door) => Endpoint) | undefined
let proxyOf: ((handle: Handle) => object) | undefined

/** Whoever reads messages of the connection `id`. */
export function registerConnection(id: string, reader: { read(known: Known): object }): void {
  byConnection.set(id, reader)
}
export function forgetConnection(id: string): void {
  byConnection.delete(id)
}
export function registerEndpoint(endpoint: Endpoint): void {
  byManager.set(endpoint.managerId, endpoint)
}
export function forgetEndpoint(endpoint: Endpoint): void {
  if (byManager.get(endpoint.managerId) === endpoint) byManager.delete(endpoint.managerId)
}
/** How connections and proxies are made: client.ts and proxy.ts say. */
export function setMakers(connect: typeof connectTo, proxy: typeof proxyOf): void {
  connectTo = connect
  proxyOf = proxy
}
export function makeProxy(handle: Handle): object {
  return proxyOf!(handle)
}

/** This thread's connection to the manager. */
function endpointOf(managerId: string, door: Door | undefined, why: string): Endpoint {
  const known = byManager.get(managerId)
  if (known !== undefined && (known.fork < 0 || known.fork === here.forks)) return known
  if (door === undefined)
    throw new SerializationError(`this process is not connected to the manager of a proxy${why}: connect() to it first`)
  return connectTo!(managerId, door)
}

// ---- travelling --------------------------------------------------------------------------------------------------------

/** The connection that a message is being written for. */
let writingFor: Writer | undefined
interface Writer {
  readonly id: string
  /** The index of the object on this connection; undefined: it is none of this server's. */
  indexOf(handle: Handle): number | undefined
  readonly shapes: boolean
}

export function writeFor<R>(writer: Writer, write: () => R): R {
  const before = writingFor
  writingFor = writer
  try {
    return write()
  } finally {
    writingFor = before
  }
}

const HANDLE = Symbol('multiproc.handle')
/** What all proxies have. */
export interface Held {
  [HANDLE]: Handle
}
export function handleOf(proxy: object): Handle | undefined {
  return (proxy as Partial<Held>)[HANDLE]
}
/** Makes an object a proxy, for whoever sends it. */
export function setHandle(proxy: object, handle: Handle): void {
  Object.defineProperty(proxy, HANDLE, { value: handle })
}
export function tagProxies(prototype: object): void {
  Object.defineProperty(prototype, SHARED, { value: PROXY })
}

registerShared(PROXY, {
  write(proxy: object): Known | Ticket {
    const handle = handleOf(proxy)!
    const index = writingFor?.indexOf(handle)
    if (index === undefined) return handle.ticket()
    const known: Known = { c: writingFor!.id, i: index }
    if (writingFor!.shapes) known.shape = handle.shape
    return known
  },
  read(data: Known | Ticket): object {
    if (typeof data !== 'object' || data === null) throw malformed()
    if ('c' in data) {
      const reader = byConnection.get(data.c)
      if (reader === undefined || !Number.isSafeInteger(data.i)) throw malformed()
      return reader.read(data)
    }
    if (typeof data.m !== 'string' || typeof data.ticket !== 'string') throw malformed()
    const endpoint = endpointOf(data.m, data.door, ' that was received')
    const handle = endpoint.open(data.ticket, data.shape, data.token)
    handle.proxyType = data.proxyType
    return makeProxy(handle)
  },
})

function malformed(): SerializationError {
  return new SerializationError('a received proxy is malformed, or of a connection that has ended')
}
