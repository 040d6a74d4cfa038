// What the workers of a node run: an entry of its own, which the node's pool sends them by reference. Arguments come as bytes, as
// the submitter wrote them, and results leave as bytes: nothing of the user's is decoded in the node itself.
import { pathToFileURL } from 'node:url'
import { encodeFailure, SerializationError, taskContext, UnsupportedError } from './core'
import { decodeValue, encodeValue } from './tame'

type Fn = (...args: any[]) => unknown

/** Which function, as a node tells its workers once. */
export interface Wanted {
  /** By reference. */
  module?: string
  path?: string[]
  /** By value. */
  bytes?: Uint8Array
  name: string
  /** Items are lists of arguments. */
  spread: boolean
  /** Functions may come by value, and arguments may hold code. */
  free: boolean
  /** How often the task was given to nodes before. */
  before: number
}

const modules = new Map<string, any>()
const known = new WeakMap<Wanted, Fn>()
const counted = new WeakSet<object>()

/** The initializer of a node's workers. */
export async function preload(list: readonly (readonly [name: string, file: string])[]): Promise<void> {
  for (const [name, file] of list) modules.set(name, await import(pathToFileURL(file).href))
}

/** Calls the function with one item, which is bytes. What is thrown, here or by the function, is bytes, too. */
export function runItem(wanted: Wanted, item: Uint8Array): Uint8Array | Promise<Uint8Array> {
  try {
    const result = run(wanted, item)
    return result instanceof Promise ? result.catch(fail) : result
  } catch (error) {
    return fail(error)
  }
}
function fail(error: unknown): never {
  throw encodeFailure(error).bytes
}
function run(wanted: Wanted, item: Uint8Array): Uint8Array | Promise<Uint8Array> {
  const fn = known.get(wanted) ?? functionOf(wanted)
  const read = decodeValue(item, wanted.free)
  if (typeof fn === 'function' && !(read instanceof Promise)) return call(wanted, fn, read.value)
  return Promise.all([fn, read]).then(([f, { value }]) => call(wanted, f, value))
}
function call(wanted: Wanted, fn: Fn, value: unknown): Uint8Array | Promise<Uint8Array> {
  if (wanted.before > 0) countAttempts(wanted.before)
  const result = wanted.spread ? fn(...(value as unknown[])) : fn(value)
  if (typeof (result as PromiseLike<unknown> | undefined)?.then === 'function')
    return Promise.resolve(result).then((settled) => encodeValue(settled, 'result', wanted.free))
  return encodeValue(result, 'result', wanted.free)
}

/** The task sees how often it was run on all nodes. */
function countAttempts(before: number): void {
  const context = taskContext()
  if (counted.has(context)) return
  counted.add(context)
  Object.defineProperty(context, 'attempt', { value: context.attempt + before })
}

function functionOf(wanted: Wanted): Fn | Promise<Fn> {
  if (wanted.bytes === undefined) {
    const fn = exported(wanted.module!, wanted.path!)
    known.set(wanted, fn)
    return fn
  }
  if (!wanted.free)
    throw new UnsupportedError(
      `this node runs functions of its preloaded modules only, not ${wanted.name} by value: start it with --allow-functions, or preload the module that exports it`,
    )
  const read = decodeValue(wanted.bytes, true)
  const use = ({ value }: { value: unknown }): Fn => {
    if (typeof value !== 'function') throw new SerializationError('a malformed message of the cluster: no function')
    known.set(wanted, value as Fn)
    return value as Fn
  }
  return read instanceof Promise ? read.then(use) : use(read)
}
/** Own members only: what a module does not export itself cannot be reached. */
function exported(module: string, path: string[]): Fn {
  const namespace = modules.get(module)
  if (namespace === undefined)
    throw new UnsupportedError(
      `this node has not preloaded the module ${module}: start it with --preload and that file (it has ${[...modules.keys()].join(', ') || 'none'})`,
    )
  let owner: any
  let value: any = Object.hasOwn(namespace, path[0]!) ? namespace : namespace.default
  for (const key of path) {
    owner = value
    value =
      (typeof value === 'object' || typeof value === 'function') && value !== null && Object.hasOwn(value, key)
        ? value[key]
        : undefined
  }
  if (typeof value !== 'function' || value === Function)
    throw new UnsupportedError(`the module ${module} of this node exports no function ${path.join('.')}`)
  return path.length > 1 ? value.bind(owner) : value
}
