// Server: has the objects of a manager, and answers its clients.
//
//   door (queue) ──▶ ends of pipes ──┐
//   network.ts ──▶ sockets, TLS ─────┴─▶ ServedClient: its transport, its indices ──▶ Entry ──▶ the object
//
// Everything runs on one event loop, so each call is atomic up to its first await. A message is served when all before it of the
// same client have been begun; a call that waits keeps no other call waiting.
import { Connection } from '../channel/connection'
import { Pipe } from '../channel/pipe'
import { Queue } from '../channel/queue'
import { MultiprocError, StateError } from '../errors'
import { type Door, forgetEndpoint, type Handle, registerEndpoint } from './handle'
import { LocalEndpoint } from './local-endpoint'
import type { Entry, ServedType } from './served'
import { ServedClient } from './served-client'
import { RingTransport, type Transport } from './transport'
import { randomId, type Shape } from './wire'

/** How long a ticket may be ahead of what its sender told us, in ms. */
const TICKET_MS = 2000

export class Server {
  readonly managerId = randomId()
  readonly door: Door
  /** Held by nobody else: our end is its end. */
  readonly #life: Connection
  readonly types: ReadonlyMap<string, ServedType>
  readonly #clients = new Map<string, ServedClient>()
  readonly #all = new Set<ServedClient>()
  /** What only holders of tokens have. */
  readonly #kept = new Map<string, Entry>()
  readonly #awaited = new Map<string, ((entry: Entry) => void)[]>()
  readonly #local: LocalEndpoint
  /** Whoever sent something lately. */
  readonly recent = new Set<ServedClient>()
  #down: (() => void) | undefined
  readonly ended: Promise<void>
  #isDown = false
  /** How long a client on a network may be silent, in ms. */
  lease = 0

  constructor(types: ReadonlyMap<string, ServedType>) {
    this.types = types
    const [life, ours] = Pipe({ duplex: false })
    this.door = { queue: new Queue<Connection>(), life }
    this.#life = ours
    this.#local = new LocalEndpoint(this)
    registerEndpoint(this.#local)
    this.ended = new Promise((resolve) => {
      this.#down = resolve
    })
  }

  /** Lets in who shares this memory. */
  openDoor(): void {
    void this.#serveDoor()
  }
  async #serveDoor(): Promise<void> {
    try {
      for await (const connection of this.door.queue) {
        if (connection instanceof Connection) this.serve(new RingTransport(connection))
      }
    } catch (error) {
      if (!this.#isDown) throw error
    }
  }

  serve(transport: Transport): ServedClient {
    const client = new ServedClient(this, transport)
    this.#all.add(client)
    client.pump()
    return client
  }
  /** @internal */
  known(client: ServedClient): void {
    this.#clients.set(client.id, client)
  }
  /** @internal */
  gone(client: ServedClient): void {
    this.#all.delete(client)
    this.recent.delete(client)
    if (this.#clients.get(client.id) === client) this.#clients.delete(client.id)
  }

  shapes(): Shape[] {
    return [...this.types.values()].map(({ shape }) => shape)
  }
  typeOf(name: string): ServedType {
    const type = this.types.get(name)
    if (type === undefined)
      throw new StateError(
        `the manager has no type '${name}': register() it before the server starts`,
        'ERR_MP_NOT_EXPOSED',
      )
    return type
  }

  /** How many objects clients have references to. */
  numberOfObjects(): number {
    const entries = new Set<Entry>(this.#kept.values())
    for (const client of this.#all) for (const entry of client.entries()) entries.add(entry)
    return entries.size
  }

  // ---- tickets -------------------------------------------------------------------------------------------------------

  /** The object lives as long as somebody holds the other end of the token. */
  keep(ticket: string, entry: Entry, token: Connection): void {
    this.#kept.set(ticket, entry)
    for (const found of this.#awaited.get(ticket) ?? []) found(entry)
    const release = (): void => {
      this.#kept.delete(ticket)
      token.close()
    }
    token.unref()
    token.recv().then(release, release)
  }
  find(ticket: string): Entry | Promise<Entry> {
    const kept = this.#kept.get(ticket)
    if (kept !== undefined) return kept
    const colon = ticket.lastIndexOf(':')
    const found = this.#clients.get(ticket.slice(0, colon))?.at(Number(ticket.slice(colon + 1)))
    if (found !== undefined) return found
    // Its sender said so before the ticket was sent; we may only not have read that yet.
    return new Promise((resolve, reject) => {
      const waiting = this.#awaited.get(ticket) ?? []
      this.#awaited.set(ticket, waiting)
      const end = (): void => {
        clearTimeout(timer)
        waiting.splice(waiting.indexOf(resolved), 1)
        if (waiting.length === 0) this.#awaited.delete(ticket)
      }
      const timer = setTimeout(() => {
        end()
        reject(new MultiprocError('nobody holds the object of this proxy any more', 'ERR_MP_GONE'))
      }, TICKET_MS)
      const resolved = (entry: Entry): void => {
        setImmediate(end)
        resolve(entry)
      }
      waiting.push(resolved)
    })
  }
  /** A client has told of an object. */
  appeared(ticket: string, entry: Entry): void {
    if (this.#awaited.size > 0) for (const found of this.#awaited.get(ticket) ?? []) found(entry)
  }

  /** A proxy of one of our objects, for code of this process. */
  proxyOf(entry: Entry): object {
    return this.#local.proxyOf(entry)
  }
  /** The object that a proxy stands for, if it is ours. */
  entryOf(handle: Handle): Entry | undefined {
    return handle.endpoint === this.#local ? this.#local.entryAt(handle.index) : undefined
  }

  /** Ends all connections and takes no new ones. */
  shutDown(): void {
    if (this.#isDown) return
    this.#isDown = true
    for (const client of [...this.#all]) client.end()
    forgetEndpoint(this.#local)
    this.door.queue.shutdown({ immediate: true })
    this.#life.close()
    this.#down!()
  }
}
