// What all proxies have, and how a class of proxies is made for a type.
//
//   proxy ───────────── mode 'async': each call is a promise
//     ├─ proxy.sync ─── 'sync': each call blocks this thread
//     └─ in batch() ─── 'batch': calls are noted, and sent together
//
// All of one object are of one class and have the same handle. Lists, Namespaces and objects whose members only the server knows are
// wrapped in a JavaScript Proxy besides (members.ts).
import { inspect } from 'node:util'
import { checkFunction, invalidType } from '../../check'
import { StateError } from '../../errors'
import { asyncWait, syncTimeout } from '../../wait-options'
import { Handle, handleOf, type Limits, setHandle, tagProxies } from '../handle'
import { Op, type Shape } from '../wire'

export interface Mode {
  readonly kind: 'async' | 'sync' | 'batch'
  readonly limits?: Limits | undefined
  /** What was noted: method, arguments, … */
  readonly noted?: unknown[]
}
const ASYNC: Mode = { kind: 'async' }
const SYNC: Mode = { kind: 'sync' }

export const MODE: unique symbol = Symbol('multiproc.mode')
const TWIN = Symbol('multiproc.twin')

type ProxyClass = new (handle: Handle, mode?: Mode) => BaseProxy

/** How objects of this class are wrapped; members.ts says. */
export const WRAP: unique symbol = Symbol('multiproc.wrap')

/**
 * A proxy: stands for an object in the server of a manager. Methods of the object are methods here and give promises; those of
 * `proxy.sync` block and give values. May be sent to other processes. Extend it for a `proxyType` of your own.
 */
export class BaseProxy {
  /** @internal */
  declare readonly [MODE]: Mode
  /** @internal */
  static [WRAP]: ((proxy: BaseProxy) => object) | undefined

  /** A manager makes proxies. */
  constructor(handle: unknown, mode?: unknown) {
    if (!(handle instanceof Handle)) throw new TypeError('a proxy is made by a manager')
    setHandle(this, handle)
    Object.defineProperty(this, MODE, { value: mode ?? ASYNC, configurable: true })
  }

  /** Its blocking twin: the same methods and properties, whose calls block this thread and give values. */
  get sync(): any {
    const { kind, limits } = this[MODE]
    if (kind === 'sync') return this
    if (limits !== undefined) return viewOf(this, { kind: 'sync', limits: { timeout: limits.timeout } })
    const handle = handleOf(this)! as Handle & { [TWIN]?: object }
    handle[TWIN] ??= viewOf(this, SYNC)
    return handle[TWIN]
  }

  /** Calls a method of the object. The form of the answer is that of this proxy: a promise, or a value. */
  callMethod(name: string, args: readonly unknown[] = [], limits?: Limits): any {
    return send(this, Op.call, name, args, limits)
  }

  /**
   * Many calls as one message: `write` makes them of its argument, and their results come as an array. Without `write` it gives
   * something to make calls of, and then to `run()` or to await. After a call that throws none is made: its error has a
   * `batchIndex`.
   */
  batch(write?: (batch: any) => unknown): any {
    const noted: unknown[] = []
    const note = viewOf(this, { kind: 'batch', noted }) as any
    if (write === undefined) return recorder(this, note, noted)
    const { kind } = this[MODE]
    let done: unknown
    try {
      checkFunction('write', write)
      done = write(note)
    } catch (error) {
      if (kind === 'sync') throw error
      return Promise.reject(error)
    }
    if (kind !== 'sync' && done instanceof Promise) return done.then(() => send(this, Op.batch, '', noted))
    return send(this, Op.batch, '', noted)
  }

  /** The type of the object, and where it lives. Does not ask the server. */
  toString(): string {
    return `<${this.constructor.name} of ${handleOf(this)!.shape.type}>`
  }
  [inspect.custom](): string {
    return this.toString()
  }
}
tagProxies(BaseProxy.prototype)

/** Sends a call in the mode of the proxy. In a batch it gives the proxy: calls can be chained. */
export function send(proxy: BaseProxy, op: number, name: string, content: unknown, limits?: Limits): any {
  const mode = proxy[MODE]
  const handle = handleOf(proxy)!
  switch (mode.kind) {
    case 'async':
      return handle.call(op, name, content, limits ?? mode.limits)
    case 'sync': {
      const most = limits ?? mode.limits
      return handle.callSync(op, name, content, most === undefined ? Number.POSITIVE_INFINITY : syncTimeout(most))
    }
    default:
      if (op === Op.batch) throw new StateError('a batch cannot be part of a batch')
      if (op === Op.get) mode.noted!.push('get', [name])
      else if (op === Op.set) mode.noted!.push('set', [name, content])
      else mode.noted!.push(name, content)
      return (proxy as any)[RECORDER] ?? proxy
  }
}

const RECORDER = Symbol('multiproc.recorder')

/** What batch() gives without a function. */
function recorder(proxy: BaseProxy, note: object, noted: unknown[]): object {
  const run = (limits?: Limits): Promise<unknown[]> =>
    handleOf(proxy)!.call(Op.batch, '', noted, limits) as Promise<any>
  const extra: Record<PropertyKey, unknown> = {
    run,
    runSync: (options?: { timeout?: number }) => handleOf(proxy)!.callSync(Op.batch, '', noted, syncTimeout(options)),
    // biome-ignore lint/suspicious/noThenProperty: a batch may be awaited
    then: (resolve: any, reject: any) => run().then(resolve, reject),
  }
  const recording = new Proxy(note, {
    get: (target, key, receiver) => (Object.hasOwn(extra, key) ? extra[key] : Reflect.get(target, key, receiver)),
  })
  extra[RECORDER] = recording
  return recording
}

/** The same proxy in another mode. */
export function viewOf(proxy: BaseProxy, mode: Mode): object {
  const Class = proxy.constructor as ProxyClass & { [WRAP]?: (proxy: BaseProxy) => object }
  const view = new Class(handleOf(proxy)!, mode)
  return Class[WRAP] === undefined ? view : Class[WRAP](view)
}

/**
 * The proxy with a time-out (ms) or a signal for each of its calls: `withOptions(proxy, { timeout: 100 }).get('key')`. A call that is
 * late throws TimeoutError; the server is told that nobody waits for it.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
 */
export function withOptions<P extends object>(proxy: P, options: Limits): P {
  if (handleOf(proxy) === undefined) throw invalidType('proxy', 'a proxy of a manager', proxy)
  const base = proxy as unknown as BaseProxy
  const { kind } = base[MODE]
  if (kind === 'sync') syncTimeout(options as { timeout?: number })
  else asyncWait(options)
  return viewOf(base, { kind, limits: options }) as P
}

/** `value`, or what it is a promise of, through `change`. */
export function after<T, R>(value: T | Promise<T>, change: (value: T) => R): R | Promise<R> {
  return value instanceof Promise ? value.then(change) : change(value)
}

/** A class of proxies that has what the shape says, unless `Base` has it already. */
export function generate(Base: ProxyClass, { type, methods, properties }: Shape, name = `${type}Proxy`): ProxyClass {
  const Generated = class extends Base {}
  Object.defineProperty(Generated, 'name', { value: name, configurable: true })
  const { prototype } = Generated
  for (const method of methods)
    if (!(method in prototype) || method === 'toString')
      Object.defineProperty(prototype, method, {
        value(this: BaseProxy, ...args: unknown[]) {
          return send(this, Op.call, method, args)
        },
        configurable: true,
        writable: true,
      })
  for (const property of properties)
    if (!(property in prototype))
      Object.defineProperty(prototype, property, {
        get(this: BaseProxy) {
          return send(this, Op.get, property, undefined)
        },
        set(this: BaseProxy, value: unknown) {
          void send(this, Op.set, property, value)
        },
        configurable: true,
      })
  return Generated
}

/** `getSync` besides `get`, and so on, as the package's own classes have it. */
export function addSyncForms(prototype: object, methods: readonly string[]): void {
  for (const method of methods)
    Object.defineProperty(prototype, `${method}Sync`, {
      value(this: BaseProxy, ...args: unknown[]) {
        return (this.sync as any)[method](...args)
      },
      configurable: true,
      writable: true,
    })
}
