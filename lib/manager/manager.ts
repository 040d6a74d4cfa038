// BaseManager, SyncManager and Manager(): the objects of users that start a server, or connect to one, and make things there.
import type { ConnectionOptions as TlsConnectOptions, TlsOptions } from 'node:tls'
import { inspect } from 'node:util'
import { Pipe } from '../channel/pipe'
import { checkFunction, checkInteger, checkOptions, checkString, invalidType } from '../check'
import { EOFError, StateError } from '../errors'
import type { PoolOptions } from '../pool'
import { type Context, currentProcess, Process } from '../process'
import { toAuthKey } from '../process/auth-key'
import type { TypeName } from '../shared/types'
import { type Address, connect } from '../socket'
import { checkAddress } from '../socket/address'
import { Client } from './client'
import { readFailure } from './failure'
import { makeProxy, setMakers } from './handle'
import { ManagerServer } from './manager-server'
import type { NetworkConfig } from './network'
import { managerServer, type Ready, type ServerConfig } from './process'
import { BaseProxy } from './proxies/base'
import { proxyFor } from './proxies/make'
import type {
  ArrayProxy,
  BarrierProxy,
  ConditionProxy,
  DictProxy,
  EventProxy,
  JoinableQueueProxy,
  ListProxy,
  LockProxy,
  NamespaceProxy,
  PoolProxy,
  QueueProxy,
  Remote,
  SemaphoreProxy,
  SetProxy,
  ValueProxy,
} from './proxy-types'
import type { Registration } from './served'
import { connectTls } from './tls'
import { NetTransport } from './transport'
import { BUILTIN } from './types'
import { Op, type Shape } from './wire'

setMakers(Client.throughDoor, proxyFor)

/** What Manager(), SyncManager and classes of your own take. */
export interface ManagerOptions {
  /** Whose processes the server is one of. Default: those of the default start method. */
  context?: Context | undefined
  /** How long shutdown() waits for the server before it is killed, in ms. Default: 2,000. */
  shutdownTimeout?: number | undefined
  /** Runs in the server's process before anything else. */
  initializer?: ((...args: any[]) => unknown) | undefined
  /** The arguments of `initializer`. */
  initargs?: readonly unknown[] | undefined
  /**
   * Where the server also listens, or where connect() connects to: `[host, port]` or a path, as of Listener. Default: nowhere; the
   * processes of this program do not need it.
   */
  address?: Address | undefined
  /** Both sides of a network must have it. Default: that of the current process. */
  authKey?: string | Uint8Array | undefined
  /** Options of node:tls: of its server (`key`, `cert` …) for start() and getServer(), of its connect() (`ca` …) for connect(). */
  tls?: TlsOptions | TlsConnectOptions | undefined
  /** A longer message over a network, in bytes, ends the connection before memory is taken for it. Default: 1 GiB. */
  maxMessageLength?: number | undefined
  /** A client on a network that is not heard of for so long, in ms, is dropped with all that it holds. Default: 600,000. */
  lease?: number | undefined
}

/** What register() takes. */
export interface RegisterOptions {
  /** What clients may use. Default: all that the class has and does not begin with an underscore. */
  exposed?: readonly string[] | undefined
  /** The class of proxies, which extends BaseProxy. Default: one with the methods of the class. */
  proxyType?: (new (...args: any[]) => BaseProxy) | undefined
  /** By method: the type of what it gives, which stays in the server; clients get a proxy. */
  resultTypes?: Readonly<Record<string, string>> | undefined
}

interface Registered extends Registration {
  readonly builtin?: boolean
  readonly proxyType?: RegisterOptions['proxyType']
}

/** A class of managers. */
export type ManagerClass = (new (options?: ManagerOptions) => BaseManager) & Omit<typeof BaseManager, 'prototype'>
type Types = Map<string, Registered>
const REGISTRY: unique symbol = Symbol('multiproc.types')
const CREATE: unique symbol = Symbol('multiproc.create')
const RESERVED = new Set(['start', 'connect', 'shutdown', 'join', 'getServer', 'address', 'constructor', 'then'])
const SHUTDOWN_MS = 2000
const LEASE_MS = 600_000
const DEFAULT_ADDRESS: Address = ['127.0.0.1', 0]

/** @inline */
type Fn = (...args: any[]) => unknown
/** What BaseManager.with() takes: classes, or functions that give objects, by their names. */
export type Constructors = Record<string, (new (...args: any[]) => object) | ((...args: any[]) => object)>
/** The methods that BaseManager.with() adds. */
export type Factories<T extends Constructors> = {
  [K in keyof T]: T[K] extends new (
    ...args: infer A
  ) => infer R
    ? (...args: A) => Remote<R>
    : T[K] extends (...args: infer A) => infer R
      ? (...args: A) => Remote<Awaited<R>>
      : never
}

/** Managers have what was registered with their class, and with the classes that it extends. */
export class BaseManager {
  /** @internal */
  static [REGISTRY]: Types = new Map()

  /**
   * Registers a type: `manager.<name>(…)` makes an object of it in the server and gives a proxy, at once. `callable` is its class, or
   * a function that gives an object; without it only a server that has it can make the type. Must be done before start().
   * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
   */
  static register(name: string, callable?: Fn | (new (...args: any[]) => object), options?: RegisterOptions): void {
    checkString('name', name)
    if (callable !== undefined) checkFunction('callable', callable)
    checkOptions('options', options)
    const { exposed, proxyType, resultTypes } = options ?? {}
    if (exposed !== undefined && !(Array.isArray(exposed) && exposed.every((member) => typeof member === 'string')))
      throw invalidType('options.exposed', 'an array of strings', exposed)
    if (proxyType !== undefined) {
      checkFunction('options.proxyType', proxyType)
      if (!((proxyType as any).prototype instanceof BaseProxy))
        throw invalidType('options.proxyType', 'a class that extends BaseProxy', proxyType)
    }
    checkOptions('options.resultTypes', resultTypes)
    if (RESERVED.has(name)) throw invalidType('name', 'a name that managers do not have themselves', name)
    // biome-ignore lint/complexity/noThisInStatic: the class that was called
    addType(this, name, { callable: callable as Fn | undefined, exposed, proxyType, resultTypes })
  }

  /** A subclass with these types registered, and typed: `BaseManager.with({ Maths: MathsClass })`. */
  static with<M extends ManagerClass, T extends Constructors>(
    this: M,
    types: T,
  ): Omit<M, 'prototype'> & (new (options?: ManagerOptions) => InstanceType<M> & Factories<T>) {
    // biome-ignore lint/complexity/noThisInStatic: the class that was called
    const With = class extends (this as unknown as typeof BaseManager) {}
    for (const [name, callable] of Object.entries(types)) With.register(name, callable as Fn)
    return With as any
  }

  readonly #options: ManagerOptions
  #client: Client | undefined
  #process: Process | undefined
  #address: Address | null = null
  #state: 'made' | 'starting' | 'started' | 'connected' | 'ended' = 'made'

  /** Only describes the manager. @throws TypeError, RangeError */
  constructor(options?: ManagerOptions) {
    checkOptions('options', options)
    const { shutdownTimeout, initializer, initargs, address, authKey, tls, maxMessageLength, lease } = options ?? {}
    if (shutdownTimeout !== undefined) checkInteger('options.shutdownTimeout', shutdownTimeout, 0, 2 ** 31 - 1)
    checkInitializer('options.', initializer, initargs)
    if (address !== undefined) checkAddress('options.address', address)
    checkOptions('options.tls', tls)
    if (maxMessageLength !== undefined)
      checkInteger('options.maxMessageLength', maxMessageLength, 1, Number.MAX_SAFE_INTEGER)
    if (lease !== undefined) checkInteger('options.lease', lease, 10, 2 ** 31 - 1)
    this.#options = { ...options, ...(authKey !== undefined && { authKey: toAuthKey('options.authKey', authKey) }) }
  }

  /**
   * Starts the server's process, a daemon, and resolves when it is ready. Also takes an initializer and its arguments.
   * @throws StateError ERR_MP_STATE: started or connected before. What the initializer throws
   * @throws SerializationError ERR_MP_SERIALIZATION: something registered cannot travel
   */
  async start(
    first?: Fn | { initializer?: Fn; initargs?: readonly unknown[] },
    second?: readonly unknown[],
  ): Promise<void> {
    const given = typeof first === 'object' && first !== null ? first : { initializer: first, initargs: second }
    checkInitializer('', given.initializer, given.initargs)
    this.#begin('start')
    const { context, initializer = given.initializer, initargs = given.initargs ?? [] } = this.#options
    const config: ServerConfig = {
      types: this.#types(),
      initializer,
      initargs,
      network: this.#options.address === undefined ? undefined : this.#network(),
    }
    const [here, there] = Pipe<never, Ready>({ duplex: false })
    try {
      const Class = context?.Process ?? Process
      const child = new Class({
        target: managerServer,
        args: [config, there as any],
        name: `${this.constructor.name}Server`,
        daemon: true,
      })
      child.start()
      await child.started
      there.close()
      this.#process = child
      this.#ready(await here.recv())
    } catch (error) {
      this.#state = 'made'
      there.close()
      if (this.#process !== undefined) {
        this.#process.kill()
        await this.#process.join()
        this.#process = undefined
      }
      throw error instanceof EOFError ? new StateError('the server of the manager ended while it started') : error
    } finally {
      here.close()
    }
    await this.#client!.ask([Op.count]) // its hello has been answered, too
    this.#state = 'started'
  }
  #types(): ServerConfig['types'] {
    return [...typesOf(this)].map(([name, { builtin, callable, exposed, resultTypes }]) =>
      builtin ? [name, null] : [name, { callable, exposed, resultTypes }],
    )
  }
  #network(): NetworkConfig {
    const { address = DEFAULT_ADDRESS, authKey, tls, maxMessageLength, lease = LEASE_MS } = this.#options
    return { address, authKey: keyOf(authKey), tls: tls as TlsOptions | undefined, maxMessageLength, lease }
  }

  /**
   * Connects to the server of a manager that listens on a network. Its proxies live as long as this connection.
   * @throws StateError ERR_MP_STATE: started or connected before, or no address
   * @throws AuthenticationError, TimeoutError, the system's and TLS's errors: as connect()
   */
  async connect(options?: { timeout?: number; signal?: AbortSignal }): Promise<void> {
    const { address, authKey, tls, maxMessageLength } = this.#options
    if (address === undefined)
      throw new StateError(`connect() needs an address: new ${this.constructor.name}({ address })`)
    this.#begin('connect')
    try {
      const key = keyOf(authKey)
      const connection =
        tls === undefined
          ? await connect(address, { authKey: key, maxMessageLength, ...options })
          : await connectTls(address, tls as TlsConnectOptions, key, maxMessageLength, options ?? {})
      this.#client = await Client.overNetwork(new NetTransport(connection))
      this.#address = address
      this.#state = 'connected'
    } catch (error) {
      this.#state = 'made'
      throw error
    }
  }

  /** A server in this process, instead of one of its own: `await manager.getServer().serveForever()`. Needs an address. */
  getServer(): ManagerServer {
    this.#begin('start')
    this.#state = 'ended'
    return new ManagerServer(this.#types(), this.#network())
  }

  /** Where the server listens, with the port that the system has chosen; null: nowhere. */
  get address(): Address | null {
    return this.#address
  }

  #ready(ready: Ready): void {
    if ('failure' in ready) throw readFailure(ready.failure, false)
    this.#client = Client.throughDoor(ready.managerId, ready.door)
    this.#address = ready.address
  }
  #begin(what: string): void {
    if (this.#state === 'ended') throw new StateError('the manager was shut down')
    if (this.#state !== 'made') throw new StateError(`cannot ${what} a manager twice`)
    this.#state = 'starting'
  }

  /** Ends the server: it lets go of all objects. Whoever calls them afterwards gets EOFError. May be called twice. */
  async shutdown(): Promise<void> {
    const child = this.#process
    const client = this.#client
    this.#state = 'ended'
    this.#process = undefined
    this.#client = undefined
    if (child !== undefined && client !== undefined) {
      await client.ask([Op.shutdown]).catch(() => {})
      if (!(await child.join({ timeout: this.#options.shutdownTimeout ?? SHUTDOWN_MS }))) {
        child.kill()
        await child.join()
      }
    }
    client?.close(new EOFError('the manager was shut down'))
  }
  /** As shutdown(), for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  /** Waits for the end of the server's process. false: timed out. */
  async join(options?: { timeout?: number; signal?: AbortSignal }): Promise<boolean> {
    return (await this.#process?.join(options)) ?? true
  }

  /** How many objects clients have references to, in the server. */
  async numberOfObjects(): Promise<number> {
    return (await this.#open().ask([Op.count])) as number
  }

  #open(): Client {
    if (this.#client === undefined || this.#state === 'starting')
      throw new StateError(
        this.#state === 'ended'
          ? 'the manager was shut down'
          : 'the manager is not started: await start() or connect()',
      )
    return this.#client
  }

  /** @internal Makes an object of a registered type. */
  [CREATE](name: string, registered: Registered, args: unknown[]): object {
    const client = this.#open()
    const builtin = registered.builtin ? BUILTIN.get(name) : undefined
    const shape: Shape = builtin?.shape ?? client.shapes.get(name) ?? unknownShape(name)
    const handle = client.create(shape, args)
    handle.proxyType = registered.proxyType
    return makeProxy(handle)
  }

  [inspect.custom](): string {
    return `<${this.constructor.name} ${this.#state}>`
  }
}

function keyOf(authKey: ManagerOptions['authKey']): Uint8Array {
  return Uint8Array.from((authKey ?? currentProcess().authKey) as Uint8Array)
}

function unknownShape(type: string): Shape {
  return { type, kind: 'object', methods: [], properties: [], open: true }
}

function checkInitializer(prefix: string, initializer: unknown, initargs: unknown): void {
  if (initializer !== undefined) checkFunction(`${prefix}initializer`, initializer)
  if (initargs !== undefined && !Array.isArray(initargs)) throw invalidType(`${prefix}initargs`, 'an array', initargs)
}

function typesOf(manager: BaseManager): Types {
  return (manager.constructor as typeof BaseManager)[REGISTRY]
}

function addType(Class: typeof BaseManager, name: string, registered: Registered): void {
  if (!Object.hasOwn(Class, REGISTRY)) Class[REGISTRY] = new Map(Class[REGISTRY])
  Class[REGISTRY].set(name, registered)
  Object.defineProperty(Class.prototype, name, {
    value(this: BaseManager, ...args: unknown[]) {
      return this[CREATE](name, registered, args)
    },
    configurable: true,
    writable: true,
  })
}

/** A manager of dictionaries, lists, locks and so on: its methods make them, and give proxies at once. */
export class SyncManager extends BaseManager {
  /** A Map in the server, filled with these entries, if any. */
  declare readonly dict: <K = any, V = any>(init?: Iterable<[K, V]> | Readonly<Record<string, V>>) => DictProxy<K, V>
  /** An Array in the server. */
  declare readonly list: <T = any>(init?: Iterable<T>) => ListProxy<T>
  /** A Set in the server. */
  declare readonly set: <T = any>(init?: Iterable<T>) => SetProxy<T>
  /** An object for names of your own: `await ns.x`, `ns.x = 1`. */
  declare readonly Namespace: <T extends object = any>(init?: T) => NamespaceProxy<T>
  /** A Queue in the server. */
  declare readonly Queue: <T = any>(options?: number | { maxSize?: number }) => QueueProxy<T>
  /** A JoinableQueue in the server. */
  declare readonly JoinableQueue: <T = any>(options?: number | { maxSize?: number }) => JoinableQueueProxy<T>
  /** A Lock in the server: given on if its client ends. */
  declare readonly Lock: () => LockProxy
  /** An RLock in the server. */
  declare readonly RLock: () => LockProxy
  /** A Semaphore in the server. */
  declare readonly Semaphore: (value?: number) => SemaphoreProxy
  /** A BoundedSemaphore in the server. */
  declare readonly BoundedSemaphore: (value?: number) => SemaphoreProxy
  /** A Condition in the server, with a lock of its own or the one given. */
  declare readonly Condition: (lock?: LockProxy) => ConditionProxy
  /** An Event in the server. */
  declare readonly Event: () => EventProxy
  /** A Barrier in the server. */
  declare readonly Barrier: (parties: number, options?: { action?: () => unknown; timeout?: number }) => BarrierProxy
  /** A value of a scalar type in the server. */
  declare readonly Value: (type: TypeName, initial?: number | bigint | boolean) => ValueProxy
  /** A typed array in the server. */
  declare readonly Array: (type: TypeName, init: number | Iterable<number | bigint | boolean>) => ArrayProxy
  /** A Pool whose workers are children of the server. */
  declare readonly Pool: (options?: number | PoolOptions) => PoolProxy
}
for (const [name] of BUILTIN) if (name !== 'Iterator') addType(SyncManager, name, { builtin: true })

/** A started SyncManager. Rejects as its start() does. */
export async function Manager(options?: ManagerOptions): Promise<SyncManager> {
  const manager = new SyncManager(options)
  await manager.start()
  return manager
}
