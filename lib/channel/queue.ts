// Queue, JoinableQueue and SimpleQueue: many producers, many consumers, in shared memory, without a thread or a process behind it.
import { inspect } from 'node:util'
import { binding } from '../binding'
import { checkBoolean, checkInteger, checkOptions, checkString, invalidType } from '../check'
import { ClosedError, QueueEmptyError, SerializationError, ShutDownError, StateError } from '../errors'
import { adopt, attach, type BlockHandle, drop, handleOf, Kind } from '../memory'
import { registerShared, SHARED } from '../serialize/shared'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import { NOTHING } from './ends'
import { Incoming } from './incoming'
import { introduce } from './label'
import { Outgoing } from './outgoing'
import { full, Ring, withCount } from './ring'

/** What Queue and JoinableQueue take. */
export interface QueueOptions {
  /** How many messages may be queued at most; 0, the default: as many as memory holds. */
  maxSize?: number
  /** How many bytes may be queued at most; 0, the default: no limit. One message always fits into an empty queue. */
  capacity?: number
  /** What messages call it. */
  name?: string
}

interface Ticket extends BlockHandle {
  maxSize?: number
  name?: string
}

/** What all queues have: the channel, and this thread's calls on it. */
abstract class Base {
  readonly #name: string | undefined
  readonly #offset: number
  #closed = false
  /** @internal */ readonly ring: Ring
  /** @internal */ readonly out: Outgoing
  /** @internal */ readonly in: Incoming
  /** @internal */ readonly maxSize: number

  protected constructor(options: QueueOptions | undefined, ticket?: Ticket) {
    checkOptions('options', options)
    const { maxSize = 0, capacity = 0, name }: QueueOptions = ticket ?? options ?? {}
    checkInteger('options.maxSize', maxSize, 0, 2 ** 31 - 1)
    checkInteger('options.capacity', capacity, 0, Number.MAX_SAFE_INTEGER)
    if (name !== undefined) checkString('options.name', name)
    this.#name = name
    this.maxSize = maxSize
    attach()
    if (ticket === undefined) {
      this.#offset = binding().createChannel(this, maxSize, capacity)
      introduce(this.#offset, this.type, name, new.target)
    } else {
      adopt(this, ticket, Kind.channel)
      this.#offset = ticket.offset
    }
    const label = (): string => this.label()
    this.ring = new Ring(this.#offset, label)
    this.out = new Outgoing(this.ring, label, () => full(label()))
    this.in = new Incoming(this.ring, label, () => new QueueEmptyError(`${label()} is empty`))
  }

  /** The label given as `{ name }`. */
  get name(): string | undefined {
    return this.#name
  }
  /** Was it closed in this thread? */
  get closed(): boolean {
    return this.#closed
  }
  /** @internal */
  label(): string {
    return this.#name === undefined ? `this ${this.constructor.name}` : `${this.constructor.name} '${this.#name}'`
  }
  /** @internal 1 Queue, 2 JoinableQueue, 3 SimpleQueue: for whoever looks at it from outside (lib/cli). */
  protected get type(): number {
    return 0
  }
  /** @internal */
  checkOpen(): void {
    if (this.#closed) throw new ClosedError(`${this.label()} is closed`)
  }

  /** Is there nothing to get just now? Exact at the moment of the call. Does not block. */
  empty(): boolean {
    this.checkOpen()
    return this.ring.counts.messages === 0
  }

  /**
   * Lets go of the queue in this thread: calls that wait reject with ClosedError, as all later ones do. What is queued stays for
   * the others; with its last user the queue is gone.
   */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    const error = new ClosedError(`${this.label()} was closed`)
    this.out.end(error)
    this.in.end(error)
    this.ring.close()
    drop(this, this.#offset)
  }
  /** As close(), for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }
  /** Its waiting promises keep the event loop alive (the default). */
  ref(): this {
    this.ring.refed = true
    return this
  }
  /** Promises that begin to wait from now on do not keep the event loop alive. */
  unref(): this {
    this.ring.refed = false
    return this
  }

  /** What JSON.stringify() writes of it: what it is called, never what is in the memory. */
  toJSON(): object {
    return { type: this.constructor.name, ...(this.#name !== undefined && { name: this.#name }) }
  }
  [inspect.custom](_depth: number, options: object): string {
    const name = this.#name === undefined ? {} : { name: this.#name }
    const state = this.#closed ? { closed: true } : { ...name, ...this.shown() }
    return `${this.constructor.name} ${inspect(state, options)}`
  }
  /** @internal */
  protected shown(): object {
    return {
      size: this.ring.counts.messages,
      ...(this.maxSize > 0 && { maxSize: this.maxSize }),
      ...(this.ring.isShutDown && { shutDown: true }),
    }
  }
  /** @internal What a message carries. */
  travel(hold: (offset: number) => void): Ticket {
    this.checkOpen()
    hold(this.#offset)
    return {
      ...handleOf(this.#offset),
      ...(this.maxSize > 0 && { maxSize: this.maxSize }),
      ...(this.#name !== undefined && { name: this.#name }),
    }
  }
}

/**
 * A queue that processes and worker threads share: first in, first out for each producer, any number of producers and consumers,
 * each message to one of them. A message whose `put` has returned is there for good, whoever dies next; one whose `get` has
 * not returned when its consumer dies goes to another.
 *
 * `put` and `get` are asynchronous and leave the event loop free; `putSync` and `getSync` block the thread in the kernel;
 * `tryPut` and `tryGet` never wait.
 */
export class Queue<T = any> extends Base implements AsyncIterable<T> {
  /** Throws RangeError or TypeError for wrong options, ENOSPC without memory. */
  constructor(options?: QueueOptions)
  /** @internal */
  constructor(options: undefined, ticket: Ticket)
  constructor(options?: QueueOptions, ticket?: Ticket) {
    super(options, ticket)
  }

  /** @internal */
  protected override get type(): number {
    return 1
  }

  /**
   * Adds a message. It is serialised during the call, and if there is room it is in the queue when the call returns; else the
   * promise waits for room. Rejects with SerializationError (what cannot be sent, and where it is), QueueFullError after
   * `timeout` ms, ShutDownError, `signal.reason`, ENOSPC.
   */
  async put(value: T, options?: WaitOptions): Promise<void> {
    this.checkOpen()
    await this.out.send(value, false, options)
  }
  /** Adds a message; blocks this thread until there is room. Throws as put(), and StateError `ERR_MP_BUSY` while puts wait. */
  putSync(value: T, options?: WaitSyncOptions): void {
    this.checkOpen()
    this.out.sendSync(value, false, options)
  }
  /** Adds a message if there is room now. Throws SerializationError, ShutDownError, ENOSPC. */
  tryPut(value: T): boolean {
    this.checkOpen()
    return this.out.trySend(value, false)
  }
  /**
   * Adds messages in their order, in few steps. When it fails midway (QueueFullError after `timeout` ms, an abort, what cannot be
   * sent), the error's `count` says how many of them were put.
   */
  async putMany(values: Iterable<T>, options?: WaitOptions): Promise<void> {
    this.checkOpen()
    const list = listOf(values)
    const { timeout, signal } = asyncWait(options)
    signal?.throwIfAborted()
    const next = this.out.waiting === 0 ? this.ring.putMany(list, 0, 0) : 0
    if (next === list.length) return
    if (timeout === 0) throw withCount(full(this.label()), next)
    await this.out.sendMany(list.slice(next), options, (error, sent) => withCount(error, next + sent))
  }
  /** As putMany(), blocking this thread until all are put. */
  putManySync(values: Iterable<T>, options?: WaitSyncOptions): void {
    this.checkOpen()
    const list = listOf(values)
    const timeout = syncTimeout(options)
    this.out.checkFree()
    const deadline = performance.now() + timeout
    for (let next = 0; next < list.length; ) {
      const left = Math.max(0, deadline - performance.now())
      const done = this.ring.putMany(list, next, left)
      if (done === next) throw withCount(full(this.label()), next)
      next = done
    }
  }

  /**
   * Takes the next message. Rejects with QueueEmptyError after `timeout` ms, ShutDownError when the queue was shut down and is
   * empty, `signal.reason`; whoever gives up has taken nothing.
   */
  async get(options?: WaitOptions): Promise<T> {
    this.checkOpen()
    return (await this.in.receive(false, options)) as T
  }
  /** Takes the next message; blocks this thread until there is one. Throws as get(), and StateError `ERR_MP_BUSY`. */
  getSync(options?: WaitSyncOptions): T {
    this.checkOpen()
    return this.in.receiveSync(false, options) as T
  }
  /** The next message if there is one, else `undefined`. */
  tryGet(): T | undefined {
    this.checkOpen()
    const value = this.in.tryReceive(false)
    return value === NOTHING ? undefined : (value as T)
  }
  /**
   * Waits for one message, and takes up to `most` of those that are there then (up to 1 MiB; where short messages and large ones or
   * such with shared objects meet, those before). It takes all that it gives, or nothing. Rejects as get().
   */
  async getMany(most: number = 2 ** 31 - 1, options?: WaitOptions): Promise<T[]> {
    this.checkOpen()
    checkInteger('most', most, 1, 2 ** 31 - 1)
    return (await this.in.attempt(() => this.ring.takeMany(most, 0, false), options)) as T[]
  }
  /** As getMany(), blocking this thread. */
  getManySync(most: number = 2 ** 31 - 1, options?: WaitSyncOptions): T[] {
    this.checkOpen()
    checkInteger('most', most, 1, 2 ** 31 - 1)
    const timeout = syncTimeout(options)
    this.in.checkFree()
    const values = this.ring.takeMany(most, timeout, true)
    if (values === NOTHING) throw new QueueEmptyError(`${this.label()} is empty`)
    return values as T[]
  }

  /** How many messages are queued: exact, on every system. Does not block. */
  qsize(): number {
    this.checkOpen()
    return this.ring.counts.messages
  }
  /** Are there `maxSize` messages? */
  full(): boolean {
    this.checkOpen()
    return this.maxSize > 0 && this.ring.counts.messages >= this.maxSize
  }

  /**
   * Ends the queue for everybody: every `put` throws ShutDownError from now on, `get` when all that is queued has been taken;
   * with `immediate`, at once. Those who wait are told. Does not block.
   */
  shutdown(options?: { immediate?: boolean }): void {
    this.checkOpen()
    checkOptions('options', options)
    const immediate = options?.immediate ?? false
    checkBoolean('options.immediate', immediate)
    this.ring.shutDown(immediate)
  }

  /** Takes one message a step, without looking ahead, until the queue is shut down and empty. */
  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      let value: T
      try {
        value = await this.get()
      } catch (error) {
        if (error instanceof ShutDownError) return
        throw error
      }
      yield value
    }
  }
}

/** A Queue that counts the messages that were put and are not done: `join` waits until all are. */
export class JoinableQueue<T = any> extends Queue<T> {
  /** One message that was taken is done. Throws StateError `ERR_MP_TASK_DONE_TOO_OFTEN`. Does not block. */
  taskDone(): void {
    this.checkOpen()
    if (!this.ring.taskDone())
      throw new StateError(`taskDone() of ${this.label()} was called too often`, 'ERR_MP_TASK_DONE_TOO_OFTEN')
  }
  /** Waits until every message that was put is done: true; false after `timeout` ms. */
  async join(options?: WaitOptions): Promise<boolean> {
    this.checkOpen()
    const { timeout, signal } = asyncWait(options)
    signal?.throwIfAborted()
    if (this.ring.allDone()) return true
    if (timeout === 0) return false
    return await new Promise<boolean>((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const settle = (): void => {
        stop()
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#joiners.delete(closed)
      }
      const onAbort = (): void => {
        settle()
        reject(signal!.reason)
      }
      const closed = (): void => {
        settle()
        reject(new ClosedError(`${this.label()} was closed`))
      }
      const look = (): void => {
        if (!this.ring.allDone()) {
          stop = this.ring.whenDone(look)
          return
        }
        settle()
        resolve(true)
      }
      let stop = this.ring.whenDone(look)
      this.#joiners.add(closed)
      signal?.addEventListener('abort', onAbort, { once: true })
      if (timeout < 2 ** 31)
        timer = setTimeout(() => {
          settle()
          resolve(false)
        }, timeout)
    })
  }
  /** As join(), blocking this thread. */
  joinSync(options?: WaitSyncOptions): boolean {
    this.checkOpen()
    return this.ring.allDoneSync(syncTimeout(options))
  }
  /** @internal */
  protected override get type(): number {
    return 2
  }
  readonly #joiners = new Set<() => void>()
  /** As of Queue; a join() that waits rejects with ClosedError (`ERR_MP_CLOSED`). */
  override close(): void {
    for (const closed of [...this.#joiners]) closed()
    super.close()
  }
  protected override shown(): object {
    return { ...super.shown(), unfinished: this.ring.counts.unfinished }
  }
}

/** The least of a queue: put, get, empty and close. */
export class SimpleQueue<T = any> extends Base {
  /** `options.name`: what messages call it. Throws ENOSPC without memory. */
  constructor(options?: { name?: string })
  /** @internal */
  constructor(options: undefined, ticket: Ticket)
  constructor(options?: { name?: string }, ticket?: Ticket) {
    checkOptions('options', options)
    super(options?.name === undefined ? undefined : { name: options.name }, ticket)
  }
  /** @internal */
  protected override get type(): number {
    return 3
  }
  /** Adds a message: it is in the queue when the call returns. Rejects with SerializationError, ENOSPC. */
  async put(value: T): Promise<void> {
    this.checkOpen()
    await this.out.send(value, false)
  }
  /** As put(); throws. */
  putSync(value: T): void {
    this.checkOpen()
    this.out.sendSync(value, false)
  }
  /** Takes the next message. Rejects with QueueEmptyError after `timeout` ms, or `signal.reason`. */
  async get(options?: WaitOptions): Promise<T> {
    this.checkOpen()
    return (await this.in.receive(false, options)) as T
  }
  /** Takes the next message; blocks this thread until there is one. */
  getSync(options?: WaitSyncOptions): T {
    this.checkOpen()
    return this.in.receiveSync(false, options) as T
  }
}

function listOf<T>(values: Iterable<T>): T[] {
  if (typeof values !== 'object' || values === null || !(Symbol.iterator in values))
    throw invalidType('values', 'an iterable', values)
  return Array.isArray(values) ? values : [...values]
}

type QueueClass = new (options: undefined, ticket: Ticket) => Base
for (const [tag, C] of Object.entries({ Queue, JoinableQueue, SimpleQueue })) {
  Object.defineProperty(C.prototype, SHARED, { value: tag })
  registerShared(tag, {
    write: (queue: Base, hold) => queue.travel(hold),
    read(data: Ticket) {
      if (!Number.isSafeInteger(data?.offset) || !Number.isSafeInteger(data.generation))
        throw new SerializationError(`a received ${tag} is malformed`)
      return new (C as unknown as QueueClass)(undefined, data)
    },
  })
}
