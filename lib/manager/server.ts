// Server: has the objects of a manager, and answers its clients.
//
//   door (queue) ──▶ ends of pipes ──┐
//   network.ts ──▶ sockets, TLS ─────┴─▶ ServedClient: its transport, its indices ──▶ Entry ──▶ the object
//
// Everything runs on one event loop, so each call is atomic up to its first await. A message is served when all before it of the
// same client have been begun; a call that waits keeps no other call waiting.
import { binding } from '../binding'
import { Connection } from '../channel/connection'
import { NOTHING } from '../channel/ends'
import { Pipe } from '../channel/pipe'
import { Queue } from '../channel/queue'
import { EOFError, MultiprocError, SerializationError, StateError } from '../errors'
import { isPlain } from '../serialize/plain'
import type { Call, Client, Hold } from './call'
import { writeFailure } from './failure'
import {
  type Door,
  type Endpoint,
  forgetConnection,
  forgetEndpoint,
  Handle,
  handleOf,
  makeProxy,
  registerConnection,
  registerEndpoint,
  writeFor,
} from './handle'
import { Entry, type ServedType } from './served'
import { RingTransport, type Transport } from './transport'
import { ITERATOR, type Iteration, iterated } from './types/iterator'
import { METHOD, type Message, Op, randomId, type Shape, Status } from './wire'

const ID_BYTES = 16
/** After so many messages of one client, or so long, the others have their turn. */
const TURN = 512
const TURN_MS = 2
/** So long a client that has just been answered is waited for without the event loop, in ms: most calls come in rows. */
const LINGER_MS = 0.1
/** Who has sent nothing for so long, in ms, is not busy. */
const RECENT_MS = 5
/** How long a ticket may be ahead of what its sender told us, in ms. */
const TICKET_MS = 2000

/** What only clients on this machine may ask for. */
const ON_MACHINE = new Set<unknown>([Op.open, Op.keep, Op.shutdown])

/** A call that was not answered at once. */
class Running implements Call {
  onCancel: (() => void | Promise<void>) | undefined
  constructor(readonly client: ServedClient) {}
}

export class Server {
  readonly managerId = randomId(binding().randomBytes(ID_BYTES))
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

export class ServedClient implements Client {
  id = ''
  readonly holds = new Set<Hold>()
  readonly #server: Server
  readonly #transport: Transport
  readonly #entries = new Map<number, Entry | { error: unknown }>()
  readonly #running = new Map<number, Running>()
  /** The next message's number. */
  #number = 0
  /** The next index that we choose. */
  #index = 1
  ended = false
  #seen = 0
  #watching = false
  /** The next message must wait for the one before. */
  #blocked = false
  /** When its last message came. */
  heard = performance.now()
  /** What our answers are written with. */
  readonly #writer = {
    id: '',
    shapes: true,
    indexOf: (handle: Handle): number | undefined => {
      const entry = this.#server.entryOf(handle)
      return entry && this.add(entry)
    },
  }

  constructor(server: Server, transport: Transport) {
    this.#server = server
    this.#transport = transport
    transport.onError = () => this.end()
  }

  entries(): Entry[] {
    return [...this.#entries.values()].filter((entry) => entry instanceof Entry)
  }
  at(index: number): Entry | undefined {
    const entry = this.#entries.get(index)
    return entry instanceof Entry ? entry : undefined
  }
  /** Gives the client a reference. */
  add(entry: Entry): number {
    const index = this.#index
    this.#index += 2
    this.#entries.set(index, entry)
    return index
  }
  /** The client has sent one of our objects back. */
  read({ i }: { i: number }): object {
    const entry = this.#entries.get(i)
    if (!(entry instanceof Entry)) throw new SerializationError('a proxy was received whose object could not be made')
    return this.#server.proxyOf(entry)
  }

  // ---- receiving -----------------------------------------------------------------------------------------------------

  readonly pump = (): void => {
    this.#watching = false
    if (this.#blocked || this.ended) return
    const until = performance.now() + TURN_MS
    const { recent } = this.#server
    recent.add(this)
    for (;;) {
      if (!this.#drain(TURN, 0)) return
      const now = performance.now()
      this.#seen = now
      if (now >= until) {
        setImmediate(this.pump)
        return
      }
      if (this.#transport.network) break
      for (const client of recent) if (now - client.#seen > RECENT_MS) recent.delete(client)
      if (recent.size > 1) {
        if (!this.#serveRecent(recent, until)) return
        break
      }
      const before = this.#number
      if (!this.#drain(1, LINGER_MS)) return
      if (this.#number === before) break
    }
    this.#watch()
  }
  /** Serves up to `most` messages; waits up to `timeout` ms for the first. False: the client has ended, or the next must wait. */
  #drain(most: number, timeout: number): boolean {
    for (let n = 0; n < most && !this.ended; n++) {
      const taken = this.#take(timeout)
      if (taken === undefined) return true
      if (taken !== true) {
        this.#blocked = true
        void taken.then(() => {
          this.#blocked = false
          this.pump()
        })
        return false
      }
    }
    return !this.ended
  }
  /** Several clients are busy: none is waited for, all are looked at in turn. False: see #drain. */
  #serveRecent(recent: Set<ServedClient>, until: number): boolean {
    let now = performance.now()
    for (let idle = now + LINGER_MS; now < until && now < idle; now = performance.now())
      for (const client of recent) {
        if (client.#blocked || client.ended || client.#transport.network) continue
        const before = client.#number
        if (!client.#drain(1, 0) && client === this) return false
        if (client.#number === before) continue
        client.#seen = now
        idle = now + LINGER_MS
      }
    return true
  }
  #watch(): void {
    if (this.#watching || this.ended) return
    this.#watching = true
    this.#transport.whenReady(this.pump)
  }

  /** Serves one message. undefined: there is none; a promise: the next one must wait for it. */
  #take(timeout: number): true | Promise<void> | undefined {
    let message: unknown
    try {
      message = timeout > 0 ? this.#transport.linger(timeout) : this.#transport.take()
      if (message === NOTHING) return undefined
    } catch (error) {
      const broken = this.#transport.network ? !(error instanceof SerializationError) : error instanceof EOFError
      if (broken || this.#transport.closed) this.end()
      else this.#fail(this.#number++, error)
      return true
    }
    const number = this.#number++
    if (message instanceof Promise)
      return message.then(
        (m) => this.#serve(number, m),
        (error) => this.#fail(number, error),
      )
    return this.#serve(number, message) ?? true
  }

  /** A promise: the next message must wait for it. */
  #serve(number: number, message: unknown): Promise<void> | undefined {
    try {
      if (!Array.isArray(message)) throw new StateError('not a message')
      const [op, a, b, c] = message
      if (this.#transport.network) {
        this.heard = performance.now()
        if (ON_MACHINE.has(op)) throw notExposed('a manager has nothing of this kind')
      }
      if (this.id === '' && op !== Op.hello) throw new StateError('the first message must be hello')
      switch (op) {
        case Op.call:
          this.#withEntry(a, (entry) => this.#invoke(number, entry, b, message.slice(3)))
          return undefined
        case Op.get:
          this.#withEntry(a, (entry) => {
            const value = get(entry, b)
            if (value === METHOD) this.#post([number, Status.method, undefined])
            else this.#answer(number, entry, value)
          })
          return undefined
        case Op.set:
          this.#withEntry(a, (entry) => {
            set(entry, b, c)
            this.#answer(number, entry, undefined)
          })
          return undefined
        case Op.batch:
          this.#withEntry(a, (entry) => this.#batch(number, entry, c))
          return undefined
        case Op.create:
          return this.#create(number, a, b, c)
        case Op.drop:
          this.#entries.delete(a)
          return undefined
        case Op.open:
          return this.#open(a, b)
        case Op.keep:
          this.#keep(a, b)
          return undefined
        case Op.cancel:
          this.#cancel(a)
          return undefined
        case Op.hello:
          this.#hello(number, a)
          return undefined
        case Op.shutdown:
          this.#post([number, Status.ok, undefined])
          setImmediate(() => this.#server.shutDown())
          return undefined
        case Op.alive:
          this.#post([number, Status.ok, undefined])
          return undefined
        case Op.count:
          this.#post([number, Status.ok, this.#server.numberOfObjects()])
          return undefined
        default:
          throw new StateError('a message of an unknown kind')
      }
    } catch (error) {
      this.#fail(number, error)
      return undefined
    }
  }

  #hello(number: number, id: unknown): void {
    if (this.id !== '' || typeof id !== 'string' || id.length < ID_BYTES) throw new StateError('not a hello')
    this.id = id
    this.#writer.id = id
    registerConnection(id, this)
    this.#server.known(this)
    this.#post([
      number,
      Status.ok,
      { managerId: this.#server.managerId, shapes: this.#server.shapes(), lease: this.#server.lease },
    ])
  }

  #withEntry(index: unknown, use: (entry: Entry) => void): void {
    const entry = this.#entries.get(index as number)
    if (entry === undefined) throw new MultiprocError('there is no such object', 'ERR_MP_GONE')
    if (!(entry instanceof Entry)) throw entry.error
    use(entry)
  }

  #invoke(number: number, entry: Entry, name: unknown, args: unknown): void {
    const running = entry.type.waits ? this.#begin(number) : undefined
    const result = invoke(entry, name, args, running)
    if (running !== undefined && !(result instanceof Promise)) this.#running.delete(number)
    this.#answer(number, entry, result, name as string)
  }
  #begin(number: number): Running {
    const running = new Running(this)
    this.#running.set(number, running)
    return running
  }

  /** Answers with the result, when it is there. */
  #answer(number: number, entry: Entry | undefined, result: unknown, name = ''): void {
    if (!isThenable(result)) {
      this.#reply(number, entry, result, name)
      return
    }
    if (!this.#running.has(number)) this.#begin(number)
    result.then(
      (value) => {
        if (!this.#running.delete(number)) return
        this.#reply(number, entry, value, name)
      },
      (error) => {
        if (this.#running.delete(number)) this.#fail(number, error)
      },
    )
  }

  #reply(number: number, entry: Entry | undefined, value: unknown, name: string): void {
    if (typeof value !== 'object' || value === null) {
      if (typeof value === 'function') this.#fail(number, new SerializationError('the result is a function'))
      else this.#post(value === undefined ? number * 2 : [number, Status.ok, value])
      return
    }
    if (value === entry?.target) {
      this.#post(number * 2 + 1)
      return
    }
    try {
      const type = entry?.type.resultType?.(name)
      if (type !== undefined) this.#postValue(number, this.#server.proxyOf(new Entry(value, type)))
      else if (handleOf(value) === undefined && isIterator(value))
        this.#postValue(number, this.#server.proxyOf(new Entry(iterated(value as Iteration), ITERATOR)))
      else this.#postValue(number, value)
    } catch (error) {
      this.#fail(number, error)
    }
  }
  #postValue(number: number, value: object): void {
    if (this.#transport.network || isPlain(value)) {
      this.#post([number, Status.ok, value], true)
      return
    }
    this.#post([number, Status.next, Status.ok])
    try {
      this.#post([value], true)
    } catch (error) {
      // Its place must be taken: what comes there is nothing, and then the failure.
      this.#post([])
      throw error
    }
  }

  #fail(number: number, error: unknown): void {
    this.#post([number, Status.failed, writeFailure(error, this.#transport.network)])
  }
  /** `value`: it may be one that cannot be sent, and throws then. */
  #post(message: Message | number, value = false): void {
    if (this.ended) return
    try {
      writeFor(this.#writer, () => this.#transport.post(message))
    } catch (error) {
      if (value && error instanceof SerializationError) throw error
      this.end()
    }
  }

  // ---- the rest ------------------------------------------------------------------------------------------------------

  #batch(number: number, entry: Entry, list: unknown): void {
    if (!Array.isArray(list)) throw new StateError('not a batch')
    const results: unknown[] = []
    let running: Running | undefined
    const run = (from: number): unknown => {
      for (let i = from; i < list.length; i += 2) {
        if (entry.type.waits) running ??= this.#begin(number)
        let result: unknown
        try {
          result = invoke(entry, list[i], list[i + 1], running)
        } catch (error) {
          throw atCall(error, i / 2)
        }
        if (isThenable(result))
          return result.then(
            (value) => {
              results.push(value === entry.target ? undefined : value)
              return run(i + 2)
            },
            (error) => {
              throw atCall(error, i / 2)
            },
          )
        results.push(result === entry.target ? undefined : result)
      }
      return results
    }
    const done = run(0)
    if (!isThenable(done)) this.#running.delete(number)
    this.#answer(number, undefined, done)
  }

  #create(number: number, index: unknown, name: unknown, args: unknown): Promise<void> | undefined {
    if (!Number.isSafeInteger(index) || (index as number) % 2 !== 0 || this.#entries.has(index as number))
      throw new StateError('not an index')
    const i = index as number
    try {
      if (!Array.isArray(args)) throw new StateError('arguments must be an array')
      const type = this.#server.typeOf(String(name))
      const made = (target: unknown): void => {
        this.#enter(i, new Entry(objectOf(target, type), type))
        this.#post([number, Status.ok, undefined])
      }
      const target = type.make(args, new Running(this))
      if (isThenable(target)) return target.then(made).catch((error) => this.#notMade(number, i, error))
      made(target)
    } catch (error) {
      this.#notMade(number, i, error)
    }
    return undefined
  }
  #enter(index: number, entry: Entry): void {
    this.#entries.set(index, entry)
    this.#server.appeared(`${this.id}:${index}`, entry)
  }
  #notMade(number: number, index: number, error: unknown): void {
    this.#entries.set(index, { error })
    this.#fail(number, error)
  }

  #open(index: unknown, ticket: unknown): Promise<void> | undefined {
    if (typeof ticket !== 'string' || typeof index !== 'number') throw new StateError('not a ticket')
    const found = this.#server.find(ticket)
    if (!(found instanceof Promise)) {
      this.#enter(index, found)
      return undefined
    }
    return found.then(
      (entry) => this.#enter(index, entry),
      (error) => void this.#entries.set(index, { error }),
    )
  }

  #keep(index: unknown, token: unknown): void {
    if (!(token instanceof Connection)) throw new StateError('not a token')
    const entry = this.#entries.get(index as number)
    const ticket = `${this.id}:${index}`
    if (entry instanceof Entry) this.#server.keep(ticket, entry, token)
    else token.close()
  }

  #cancel(number: unknown): void {
    const running = this.#running.get(number as number)
    if (running === undefined) return
    this.#running.delete(number as number)
    const told = (): void => this.#post([number as number, Status.cancelled, undefined])
    const done = running.onCancel?.()
    if (done instanceof Promise) void done.then(told)
    else told()
  }

  /** The client is gone, or has broken the rules: what it held is given back. */
  end(): void {
    if (this.ended) return
    this.ended = true
    forgetConnection(this.id)
    this.#server.gone(this)
    for (const running of this.#running.values()) void running.onCancel?.()
    this.#running.clear()
    for (const hold of [...this.holds]) hold.abandon()
    this.#entries.clear()
    this.#transport.close()
  }
}

// ---- calls ---------------------------------------------------------------------------------------------------------------

export function invoke(entry: Entry, name: unknown, args: unknown, call: Call | undefined): unknown {
  const { type, target } = entry
  if (typeof name !== 'string' || !Array.isArray(args)) throw new StateError('not a call')
  const method = type.method(target, name)
  if (method === undefined) throw notExposed(`${type.shape.type} has no method '${name}'`)
  return call === undefined ? method.apply(target, args) : method.call(target, call, ...args)
}
export function get(entry: Entry, name: unknown): unknown {
  const { type, target } = entry
  if (typeof name !== 'string' || !type.property(target, name))
    throw notExposed(`${type.shape.type} has no property '${String(name)}'`)
  if (type.get !== undefined) return type.get(target, name)
  return typeof target[name] === 'function' ? METHOD : target[name]
}
export function set(entry: Entry, name: unknown, value: unknown): void {
  const { type, target } = entry
  if (typeof name !== 'string' || !type.property(target, name))
    throw notExposed(`${type.shape.type} has no property '${String(name)}'`)
  if (type.set === undefined) target[name] = value
  else type.set(target, name, value)
}
function notExposed(message: string): StateError {
  return new StateError(`${message} that clients may use`, 'ERR_MP_NOT_EXPOSED')
}

function objectOf(value: unknown, type: ServedType): object {
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`what makes '${type.shape.type}' must give an object; it gave ${String(value)}`)
  return value
}
function isThenable(value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as any).then === 'function'
}
function isIterator(value: object): boolean {
  if (typeof (value as any).next !== 'function') return false
  return Symbol.iterator in value || Symbol.asyncIterator in value
}
/** An error that says which call of a batch threw it. */
function atCall(error: unknown, index: number): unknown {
  if (typeof error !== 'object' || error === null) return error
  try {
    Object.assign(error, { batchIndex: index })
  } catch {
    // it is frozen
  }
  return error
}

/** The server as its own process sees it: proxies of its objects call them directly. */
class LocalEndpoint implements Endpoint {
  readonly id: string
  readonly managerId: string
  readonly door: Door
  readonly fork = -1
  readonly #server: Server
  readonly #entries = new Map<number, Entry>()
  readonly #proxies = new WeakMap<Entry, WeakRef<object>>()
  #index = 1

  constructor(server: Server) {
    this.#server = server
    this.managerId = server.managerId
    this.id = randomId(binding().randomBytes(ID_BYTES))
    this.door = server.door
  }
  proxyOf(entry: Entry): object {
    const known = this.#proxies.get(entry)?.deref()
    if (known !== undefined) return known
    const proxy = makeProxy(this.#handle(entry))
    this.#proxies.set(entry, new WeakRef(proxy))
    return proxy
  }
  #handle(entry: Entry): Handle {
    const index = this.#index++
    this.#entries.set(index, entry)
    return new Handle(this, index, entry.type.shape)
  }
  entryAt(index: number): Entry | undefined {
    return this.#entries.get(index)
  }
  async call(handle: Handle, op: number, name: string, content: unknown): Promise<unknown> {
    return await this.#do(handle, op, name, content)
  }
  callSync(handle: Handle, op: number, name: string, content: unknown): unknown {
    const result = this.#do(handle, op, name, content)
    if (!isThenable(result)) return result
    throw new StateError('a Sync call that waits would wait for this very thread: in the server, await its promise')
  }
  #do(handle: Handle, op: number, name: string, content: unknown): unknown {
    const entry = this.#entries.get(handle.index)
    if (entry === undefined) throw new MultiprocError('there is no such object', 'ERR_MP_GONE')
    const call: Call | undefined = entry.type.waits ? { client: LOCAL, onCancel: undefined } : undefined
    if (op === Op.get) return get(entry, name)
    if (op === Op.set) return set(entry, name, content)
    if (op !== Op.batch) {
      const result = invoke(entry, name, content, call)
      return result === entry.target ? makeProxy(handle) : result
    }
    const list = content as unknown[]
    const run = async (): Promise<unknown[]> => {
      const results: unknown[] = []
      for (let i = 0; i < list.length; i += 2) results.push(await invoke(entry, list[i], list[i + 1], call))
      return results
    }
    return run()
  }
  targetOf(index: number): unknown {
    return this.#entries.get(index)?.target
  }
  tell(): void {}
  drop(index: number): void {
    this.#entries.delete(index)
  }
  keep(handle: Handle, token: Connection): string {
    const ticket = `${this.id}:${handle.index}`
    this.#server.keep(ticket, this.#entries.get(handle.index)!, token)
    return ticket
  }
  open(ticket: string, shape: Shape): Handle {
    const found = this.#server.find(ticket)
    if (found instanceof Entry) return this.#handle(found)
    const index = this.#index++
    void found.then(
      (entry) => this.#entries.set(index, entry),
      () => {},
    )
    return new Handle(this, index, shape)
  }
}

/** Who holds what code of the server's own process holds. */
const LOCAL: Client = { holds: new Set(), ended: false }
