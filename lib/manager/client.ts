// Client: this thread's connection to the server of a manager.
//
//   calls of this thread ──post──▶ transport ──▶ server
//   #pending, by number  ◀─#deliver─ transport ◀── answers     taken by the event loop (#pump), or by whoever blocks (callSync)
//
// Whoever takes an answer delivers it, whosever it is: so calls of both forms may be under way at the same time.
import type { Connection } from '../channel/connection'
import { NOTHING } from '../channel/ends'
import { Pipe } from '../channel/pipe'
import { EOFError, RemoteError, SerializationError, StateError, TimeoutError } from '../errors'
import { here } from '../memory'
import { asyncWait } from '../wait-options'
import { readFailure, readFailureSync } from './failure'
import {
  type Door,
  type Endpoint,
  forgetConnection,
  forgetEndpoint,
  Handle,
  type Limits,
  makeProxy,
  registerConnection,
  registerEndpoint,
  writeFor,
} from './handle'
import { RingTransport, type Transport } from './transport'
import { METHOD, type Message, Op, randomId, type Shape, Status } from './wire'

/** After so many answers the event loop has its turn. */
const TURN = 256
/** How long an aborted call waits for the server to say whether it was too late, in ms. */
const ABORT_MS = 2000

/** How often a thread that blocks looks whether a server that has not answered yet is alive, in ms. */
const UNBORN_MS = 100

/** How often in a lease a client on a network says that it is there. */
const BEATS = 3

interface Pending {
  readonly handle: Handle | undefined
  resolve(value: unknown): void
  reject(error: unknown): void
  /** It blocks this thread. */
  readonly sync: boolean
  readonly refs: boolean
}

export class Client implements Endpoint {
  readonly id = randomId()
  /** Of a manager on a network: '' until it has said hello. */
  managerId: string
  readonly door: Door | undefined
  readonly fork = here.forks
  readonly #transport: Transport
  readonly #pending = new Map<number, Pending>()
  /** Calls that keep the event loop alive. */
  #refs = 0
  #number = 0
  #index = 0
  #stop: (() => void) | undefined
  #ended: { error: Error } | undefined
  /** Looks whether the server has ended; until it has answered. */
  #unborn: (() => void) | undefined
  #stopLife: (() => void) | undefined
  /** Over a network: how long each side may be silent, in ms, and when the server was heard last. */
  #lease = Number.POSITIVE_INFINITY
  #heard = performance.now()
  #beats: NodeJS.Timeout | undefined
  /** The next message is the value of this call. */
  #announced: { number: number; status: number } | undefined
  /** The types that the server knows, by name; after hello(). */
  shapes: ReadonlyMap<string, Shape> = new Map()
  readonly #writer = {
    id: this.id,
    shapes: false,
    indexOf: (handle: Handle): number | undefined => (handle.endpoint === this ? handle.index : undefined),
  }

  constructor(managerId: string, door: Door | undefined, transport: Transport) {
    this.managerId = managerId
    this.door = door
    this.#transport = transport
    transport.onError = (error) => this.#end(error as Error)
    transport.setRef(true)
    registerConnection(this.id, this)
  }

  /** By the door of a server on this machine. Does not wait for it. */
  static throughDoor(managerId: string, door: Door): Client {
    const [ours, servers] = Pipe({ capacity: 0 })
    const client = new Client(managerId, door, new RingTransport(ours))
    try {
      door.queue.putSync(servers)
    } catch (error) {
      client.close(new EOFError(undefined, undefined, { cause: error })) // it was shut down
    }
    servers.close()
    if (client.#ended !== undefined) return client
    registerEndpoint(client)
    client.hello()
    client.#watchLife(door.life)
    return client
  }
  /** Until the server has taken our pipe, its end does not end the pipe. */
  #watchLife(life: Connection): void {
    life.unref()
    this.#unborn = () => {
      if (life.inlet.ready()) this.#end(new EOFError())
    }
    this.#stopLife = life.inlet.whenReady(this.#unborn)
  }
  /** Over a network, where it has proved its key. Resolves when the server has answered. */
  static async overNetwork(transport: Transport): Promise<Client> {
    const client = new Client('', undefined, transport)
    await client.ask([Op.hello, client.id]).then(client.#welcome)
    registerEndpoint(client)
    return client
  }
  hello(): void {
    this.#expect(this.#post([Op.hello, this.id]), undefined, this.#welcome, () => {}, false)
  }
  readonly #welcome = (value: unknown): void => {
    const { managerId, shapes, lease } = (value ?? {}) as { managerId?: unknown; shapes?: unknown; lease?: unknown }
    this.#greeted()
    if (this.managerId === '' && typeof managerId === 'string') this.managerId = managerId
    if (this.#transport.network && typeof lease === 'number' && lease > 0) this.#keepLease(lease)
    if (Array.isArray(shapes)) this.shapes = new Map(shapes.filter(isShape).map((shape) => [shape.type, shape]))
  }
  /** Says now and then that we are there, and looks whether the server is. */
  #keepLease(lease: number): void {
    this.#lease = lease
    this.#beats = setInterval(() => {
      while (this.#ended === undefined && this.#take(() => this.#transport.take()));
      this.#beat()
    }, lease / BEATS)
    this.#beats.unref()
  }
  #beat(): void {
    if (this.#ended !== undefined) return
    if (performance.now() - this.#heard > this.#lease)
      this.#end(new EOFError('the server of the manager was not heard of'))
    else
      this.#expect(
        this.#post([Op.alive]),
        undefined,
        () => {},
        () => {},
        false,
      )
  }
  #greeted(): void {
    this.#stopLife?.()
    this.#stopLife = undefined
    this.#unborn = undefined
  }

  // ---- sending -------------------------------------------------------------------------------------------------------

  /** Sends a message and gives its number. */
  #post(message: Message): number {
    if (this.fork !== here.forks) throw new StateError('this connection is the parent process’s')
    if (this.#ended !== undefined) throw this.#ended.error
    try {
      writeFor(this.#writer, () => this.#transport.post(message))
    } catch (error) {
      if (error instanceof EOFError) {
        this.#end(error)
        throw this.#ended!.error
      }
      throw error
    }
    return this.#number++
  }

  call(handle: Handle, op: number, name: string, content: unknown, limits?: Limits): Promise<unknown> {
    return limits === undefined
      ? new Promise((resolve, reject) => {
          this.#expect(this.#post(messageOf(op, handle.index, name, content)), handle, resolve, reject)
        })
      : this.#limited(handle, messageOf(op, handle.index, name, content), limits)
  }
  /** Asks what no object is asked. */
  ask(message: Message): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#expect(this.#post(message), undefined, resolve, reject)
    })
  }
  #expect(
    number: number,
    handle: Handle | undefined,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
    refs = true,
  ): void {
    this.#pending.set(number, { handle, resolve, reject, sync: false, refs })
    if (refs && this.#refs++ === 0) this.#watch()
  }

  async #limited(handle: Handle, message: Message, limits: Limits): Promise<unknown> {
    const { timeout, signal } = asyncWait(limits)
    signal?.throwIfAborted()
    let number = 0
    let timer: NodeJS.Timeout | undefined
    let onAbort: (() => void) | undefined
    try {
      return await new Promise((resolve, reject) => {
        number = this.#post(message)
        this.#expect(number, handle, resolve, reject)
        if (timeout < 2 ** 31)
          timer = setTimeout(() => {
            this.#cancel(number)
            this.#settled(number)?.reject(new TimeoutError('the manager did not answer in time'))
          }, timeout)
        // The answer may be on its way: what was taken must not be lost.
        onAbort = () => {
          this.#cancel(number)
          clearTimeout(timer)
          timer = setTimeout(() => this.#settled(number)?.reject(signal!.reason), ABORT_MS)
        }
        signal?.addEventListener('abort', onAbort, { once: true })
      })
    } catch (error) {
      throw error === CANCELLED ? signal!.reason : error
    } finally {
      clearTimeout(timer)
      if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort)
    }
  }
  #cancel(number: number): void {
    if (this.#pending.has(number) && this.#ended === undefined) this.tell([Op.cancel, number])
  }

  callSync(handle: Handle, op: number, name: string, content: unknown, timeout: number): unknown {
    return this.#await(this.#post(messageOf(op, handle.index, name, content)), handle, timeout)
  }
  askSync(message: Message, timeout = Number.POSITIVE_INFINITY): unknown {
    return this.#await(this.#post(message), undefined, timeout)
  }

  /** Blocks until the answer is there, and delivers all others that come before. */
  #await(number: number, handle: Handle | undefined, timeout: number): unknown {
    let answer: { value?: unknown; error?: unknown } | undefined
    this.#pending.set(number, {
      handle,
      resolve: (value) => {
        answer = { value }
      },
      reject: (error) => {
        answer = { error }
      },
      sync: true,
      refs: false,
    })
    const deadline = timeout === Number.POSITIVE_INFINITY ? timeout : performance.now() + timeout
    while (answer === undefined) {
      const left = deadline === Number.POSITIVE_INFINITY ? deadline : Math.max(0, deadline - performance.now())
      if (this.#ended !== undefined) throw this.#ended.error
      const most = Math.min(left, this.#unborn === undefined ? this.#lease / BEATS : UNBORN_MS)
      if (this.#take(() => this.#transport.takeSync(most))) continue
      this.#unborn?.()
      if (this.#transport.network && most < left) this.#beat()
      if (deadline > performance.now()) continue
      this.tell([Op.cancel, number])
      this.#pending.delete(number)
      throw new TimeoutError('the manager did not answer in time')
    }
    const { value, error } = answer as { value?: unknown; error?: unknown }
    if ('error' in (answer as object)) throw error
    return value
  }

  tell(message: Message): void {
    this.#post(message)
  }

  /** Makes an object of a registered type, and does not wait for it: a failure is told by each call of its proxy. */
  create(shape: Shape, args: readonly unknown[]): Handle {
    const index = this.#newIndex()
    const number = this.#post([Op.create, index, shape.type, args])
    const handle = new Handle(this, index, shape)
    this.#expect(
      number,
      handle,
      () => {},
      (error) => {
        handle.failed ??= { error }
      },
      false,
    )
    return handle
  }
  #newIndex(): number {
    this.#index += 2
    return this.#index
  }

  drop(index: number): void {
    if (this.#ended !== undefined || this.#transport.closed) return
    try {
      this.tell([Op.drop, index])
    } catch {
      // The server has just ended. The garbage collector is our caller: nobody could catch it.
    }
  }
  keep(handle: Handle, token: Connection): string {
    this.tell([Op.keep, handle.index, token])
    token.close()
    return `${this.id}:${handle.index}`
  }
  open(ticket: string, shape: Shape, token: Connection | undefined): Handle {
    const index = this.#newIndex()
    this.tell([Op.open, index, ticket])
    const handle = new Handle(this, index, shape)
    return token === undefined ? handle : handle.received(ticket, token)
  }
  /** The server has sent us an object. */
  read({ i, shape }: { i: number; shape?: Shape }): object {
    if (i % 2 === 0 || !isShape(shape)) throw new SerializationError('a received proxy is malformed')
    return makeProxy(new Handle(this, i, shape))
  }

  // ---- receiving -----------------------------------------------------------------------------------------------------

  #watch(): void {
    this.#stop ??= this.#transport.whenReady(() => {
      this.#stop = undefined
      this.#pump()
    })
  }
  #pump(): void {
    for (let n = 0; n < TURN; n++)
      if (this.#refs === 0 || !this.#take(() => this.#transport.take())) {
        if (this.#refs > 0 && this.#ended === undefined) this.#watch()
        return
      }
    setImmediate(() => this.#pump())
  }

  /** False: there was nothing. */
  #take(take: () => unknown): boolean {
    let message: unknown
    const announced = this.#announced
    try {
      message = take()
      if (message === NOTHING) return false
      if (this.#transport.network) this.#heard = performance.now()
    } catch (error) {
      if (announced !== undefined && !(error instanceof EOFError)) {
        this.#announced = undefined
        this.#settled(announced.number)?.reject(error)
      } else this.#end(error as Error)
      return true
    }
    if (announced !== undefined) {
      this.#announced = undefined
      const { number, status } = announced
      if (message instanceof Promise)
        message.then(
          (value) => this.#announcedValue(number, status, value),
          (error) => this.#settled(number)?.reject(error),
        )
      else this.#announcedValue(number, status, message)
      return true
    }
    if (typeof message === 'number') {
      const number = Math.floor(message / 2)
      this.#answer(number, message === number * 2 ? Status.ok : Status.self, undefined)
    } else if (!Array.isArray(message))
      this.#end(new SerializationError('the server of the manager does not speak the protocol'))
    else {
      const [number, status, value] = message
      if (status === Status.next) this.#announced = { number, status: value }
      else this.#answer(number, status, value)
    }
    return true
  }

  /** None: it could not be sent, and the failure follows. */
  #announcedValue(number: number, status: number, value: unknown): void {
    if (Array.isArray(value) && value.length === 1) this.#answer(number, status, value[0])
  }
  #answer(number: number, status: number, value: unknown): void {
    const pending = this.#settled(number)
    if (pending === undefined) return
    if (status === Status.ok) pending.resolve(value)
    else if (status === Status.self) pending.resolve(pending.handle && makeProxy(pending.handle))
    else if (status === Status.method) pending.resolve(METHOD)
    else if (status === Status.cancelled) pending.reject(CANCELLED)
    else if (pending.handle?.failed !== undefined) pending.reject(pending.handle.failed.error)
    else if (pending.sync) pending.reject(readFailureSync(value, this.#transport.network))
    else {
      const error = readFailure(value, this.#transport.network)
      if (error instanceof Promise) void error.then(pending.reject, pending.reject)
      else pending.reject(error)
    }
  }
  #settled(number: number): Pending | undefined {
    const pending = this.#pending.get(number)
    if (pending === undefined) return undefined
    this.#pending.delete(number)
    if (pending.refs && --this.#refs === 0) {
      this.#stop?.()
      this.#stop = undefined
    }
    return pending
  }

  /** Nothing comes any more. */
  #end(cause: Error): void {
    if (this.#ended !== undefined) return
    const error =
      cause instanceof EOFError ? new EOFError('the server of the manager has ended', undefined, { cause }) : cause
    this.#ended = { error }
    this.close()
    for (const number of [...this.#pending.keys()]) this.#settled(number)?.reject(error)
  }
  close(error?: Error): void {
    if (error !== undefined) this.#end(error)
    this.#stop?.()
    this.#stop = undefined
    this.#greeted()
    clearInterval(this.#beats)
    forgetEndpoint(this)
    forgetConnection(this.id)
    this.#transport.close()
  }
}

/** Arguments are not an array of their own: the shorter a message, the sooner it is there. */
function messageOf(op: number, index: number, name: string, content: unknown): Message {
  return op === Op.call ? [op, index, name, ...(content as unknown[])] : [op, index, name, content]
}

/** The server has given the call up. */
const CANCELLED = new RemoteError('the call was cancelled')

function isShape(shape: unknown): shape is Shape {
  const { type, kind, methods, properties } = (shape ?? {}) as Record<string, unknown>
  const strings = (list: unknown): boolean => Array.isArray(list) && list.every((name) => typeof name === 'string')
  return typeof type === 'string' && typeof kind === 'string' && strings(methods) && strings(properties)
}
