// ServedClient: one client as the server has it: its transport, the indices that it knows objects by, its calls.
//
//   transport ─▶ take ─▶ serve(message number) ─▶ invoke, create, open … ─▶ answer ─▶ transport
//                          └─ a call that waits: Running, until it settles or is cancelled
//
// A message is served when all before it of the same client have been begun; a call that waits keeps no other call waiting.
import { Connection } from '../channel/connection'
import { NOTHING } from '../channel/ends'
import { EOFError, MultiprocError, SerializationError, StateError } from '../errors'
import { isPlain } from '../serialize/plain'
import type { Call, Client, Hold } from './call'
import { writeFailure } from './failure'
import { forgetConnection, type Handle, handleOf, registerConnection, writeFor } from './handle'
import { get, invoke, isThenable, notExposed, set } from './invocation'
import { Entry, type ServedType } from './served'
import type { Server } from './server'
import type { Transport } from './transport'
import { ITERATOR, type Iteration, iterated } from './types/iterator'
import { ID_BYTES, METHOD, type Message, Op, Status } from './wire'

/** After so many messages of one client, or so long, the others have their turn. */
const TURN = 512
const TURN_MS = 2
/** So long a client that has just been answered is waited for without the event loop, in ms: most calls come in rows. */
const LINGER_MS = 0.1
/** Who has sent nothing for so long, in ms, is not busy. */
const RECENT_MS = 5

/** What only clients on this machine may ask for. */
const ON_MACHINE = new Set<unknown>([Op.open, Op.keep, Op.shutdown])

/** A call that was not answered at once. */
class Running implements Call {
  onCancel: (() => void | Promise<void>) | undefined
  constructor(readonly client: ServedClient) {}
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

function objectOf(value: unknown, type: ServedType): object {
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`what makes '${type.shape.type}' must give an object; it gave ${String(value)}`)
  return value
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
