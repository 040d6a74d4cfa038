// Proxies of JavaScript's kind, where names are not known ahead: the indices of lists, the names of a Namespace, the members of
// objects that only the server knows.
import { setStandIn } from '../../serialize'
import { METHOD, Op } from '../wire'
import { type BaseProxy, MODE, send } from './base'

/** What proxies have that is not the object's. */
const RESERVED = new Set<PropertyKey>(['then', 'sync', 'batch', 'constructor'])

function wrap(proxy: BaseProxy, handler: ProxyHandler<BaseProxy>): object {
  const wrapped = new Proxy(proxy, handler)
  setStandIn(wrapped, proxy)
  return wrapped
}

/** A property that is read, in the mode of the proxy; nobody need wait for it. */
function read(proxy: BaseProxy, name: string): unknown {
  const value = send(proxy, Op.get, name, undefined)
  if (value instanceof Promise) value.catch(() => {})
  return value
}
/** A property that is written. Where that is a promise, its failure is nobody's but the program's. */
function write(proxy: BaseProxy, name: string, value: unknown): true {
  void send(proxy, Op.set, name, value)
  return true
}

const INDEX = /^\d{1,10}$/
export function wrapIndexed(proxy: BaseProxy): object {
  return wrap(proxy, {
    get: (target, key, receiver) =>
      typeof key === 'string' && INDEX.test(key) ? read(target, key) : Reflect.get(target, key, receiver),
    set: (target, key, value, receiver) =>
      typeof key === 'string' && INDEX.test(key)
        ? write(target, key, value)
        : Reflect.set(target, key, value, receiver),
  })
}

/** Every name is the object's, except for the reserved ones. */
export function wrapNames(proxy: BaseProxy): object {
  const isName = (key: PropertyKey): key is string =>
    typeof key === 'string' && !RESERVED.has(key) && key !== 'get' && key !== 'set'
  return wrap(proxy, {
    get: (target, key, receiver) => (isName(key) ? read(target, key) : Reflect.get(target, key, receiver)),
    set: (target, key, value) => {
      if (!isName(key)) throw new TypeError(`'${String(key)}' is reserved: use set('${String(key)}', value)`)
      return write(target, key, value)
    },
    deleteProperty: (target, key) => {
      if (!isName(key)) return false
      void send(target, Op.call, 'delete', [key])
      return true
    },
    has: (target, key) =>
      isName(key) && target[MODE].kind === 'sync'
        ? (send(target, Op.call, 'has', [key]) as boolean)
        : Reflect.has(target, key),
    ownKeys: (target) => [
      ...(target[MODE].kind === 'sync' ? (send(target, Op.call, 'keys', []) as string[]) : []),
      ...Reflect.ownKeys(target),
    ],
    getOwnPropertyDescriptor: (target, key) =>
      isName(key) && target[MODE].kind === 'sync' && send(target, Op.call, 'has', [key])
        ? { value: read(target, key), writable: true, enumerable: true, configurable: true }
        : Reflect.getOwnPropertyDescriptor(target, key),
  })
}

/** Names that languages and tools look for in every object. */
const ASKED = new Set(['toJSON', 'inspect', 'asymmetricMatch', 'nodeType', '$$typeof', '@@__IMMUTABLE_ITERABLE__@@'])

/** Names that the class does not have may be a method or a property: only the server knows. */
export function wrapOpen(proxy: BaseProxy): object {
  const isOpen = (target: object, key: PropertyKey): key is string =>
    typeof key === 'string' && !(key in target) && !RESERVED.has(key) && !ASKED.has(key) && !key.startsWith('_')
  return wrap(proxy, {
    get(target, key, receiver) {
      if (!isOpen(target, key)) return Reflect.get(target, key, receiver)
      const call = (...args: unknown[]): unknown => send(target, Op.call, key, args)
      if (target[MODE].kind === 'batch') return call
      if (target[MODE].kind === 'sync') return orMethod(read(target, key), call)
      return member(target, key, call)
    },
    set: (target, key, value, receiver) =>
      isOpen(target, key) ? write(target, key, value) : Reflect.set(target, key, value, receiver),
  })
}
function orMethod(value: unknown, call: (...args: unknown[]) => unknown): unknown {
  return value === METHOD ? call : value
}

/** Can be called, if it is a method, and awaited, if it is a property. */
function member(target: BaseProxy, name: string, call: (...args: unknown[]) => unknown): unknown {
  let value: Promise<unknown> | undefined
  const get = (): Promise<unknown> => {
    value ??= Promise.resolve(send(target, Op.get, name, undefined)).then((v) => orMethod(v, call))
    return value
  }
  return Object.assign(call, {
    // biome-ignore lint/suspicious/noThenProperty: it is what makes it a promise
    then: (resolve: any, reject: any) => get().then(resolve, reject),
    catch: (reject: any) => get().catch(reject),
    finally: (done: any) => get().finally(done),
  })
}
