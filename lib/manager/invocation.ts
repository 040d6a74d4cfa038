// What may be done with an object of a manager: its methods are called, its properties read and set, as its type exposes them.
import { StateError } from '../errors'
import type { Call } from './call'
import type { Entry } from './served'
import { METHOD } from './wire'

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
export function notExposed(message: string): StateError {
  return new StateError(`${message} that clients may use`, 'ERR_MP_NOT_EXPOSED')
}

/** Is what a method gave a promise? */
export function isThenable(value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as any).then === 'function'
}
