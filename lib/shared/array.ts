// SharedArray and RawArray. Such an array is the TypedArray of its element type, over an ArrayBuffer of its own in shared
// memory: every read and write is the engine's own. It is an instance of a subclass that adds getLock() and close() and
// that nobody sees: `constructor` is the plain TypedArray, so that map, slice and filter give plain, unshared arrays and
// subarray a plain view of the shared memory.
import { type InspectOptions, inspect } from 'node:util'
import { checkInteger, invalidType } from '../check'
import { ClosedError, SerializationError, StateError } from '../errors'
import { Kind } from '../memory'
import { registerShared, SHARED, setSharedBuffers } from '../serialize/shared'
import type { Lock, RLock } from '../sync'
import { Block, checkHandle } from './block'
import { checkElement, type Element } from './element'
import { isLock, rawSettingsOf, type Settings, settingsOf } from './options'
import { describe, StructType, typeFrom, typeName, typeOf } from './struct'
import { encode, StructArray } from './struct-view'
import type * as types from './types'

interface State {
  readonly tag: 'SharedArray' | 'RawArray'
  readonly type: Element | StructType
  readonly block: Block
  readonly name: string | undefined
  readonly lock: Lock | RLock | undefined
}
/** What an array is beside its elements. Not properties of it: the object stays as plain as any TypedArray. */
const states = new WeakMap<object, State>()

function stateOf(array: object): State {
  const state = states.get(array)
  if (state === undefined) throw invalidType('this', 'a SharedArray or a RawArray', array)
  return state
}

function label({ tag, type, name }: State): string {
  return `${tag}<${typeName(type)}>${name === undefined ? '' : ` ${JSON.stringify(name)}`}`
}

function checkOpen(state: State): void {
  if (state.block.dropped) throw new ClosedError(`${label(state)} is closed`)
}

function getLock(this: object): Lock | RLock {
  const state = stateOf(this)
  checkOpen(state)
  if (state.lock !== undefined) return state.lock
  if (!state.block.locked) throw new StateError(`${label(state)} has no lock (it was made with lock: false)`)
  return state.block.lock()
}

function close(this: object): void {
  stateOf(this).block.drop()
}

type AnyArray = new (...args: any[]) => object

/** `Base` with what a shared array has beside its elements. */
function extended(Base: AnyArray, tag: State['tag']): AnyArray {
  const Extended = class extends Base {}
  const define = (key: PropertyKey, value: unknown) =>
    Object.defineProperty(Extended.prototype, key, { value, writable: true, configurable: true })
  define('constructor', Base)
  define('close', close)
  define(Symbol.dispose, close)
  define(SHARED, tag)
  if (tag === 'SharedArray') define('getLock', getLock)
  define(inspect.custom, function (this: object, depth: number, options: InspectOptions): string {
    const state = stateOf(this)
    if (state.block.dropped) return `${label(state)} [closed]`
    if (depth < 0) return `[${label(state)}]`
    // As the plain array shows itself, "Float64Array(3) [ 1, 2, 3 ]", with our label for its class.
    return `${label(state)}${inspect(plainView(this, state), options).replace(/^\w+/, '')}`
  })
  return Extended
}

function plainView(array: object, { type }: State): object {
  const { buffer, length } = array as StructArray
  return type instanceof StructType ? new StructArray(type, buffer, 0, length) : new type.Array(buffer)
}

const classes = { SharedArray: new Map<unknown, AnyArray>(), RawArray: new Map<unknown, AnyArray>() }

function wrap(state: State): object {
  const { tag, type, block } = state
  const Base: AnyArray = type instanceof StructType ? StructArray : type.Array
  let Class = classes[tag].get(Base)
  if (Class === undefined) {
    Class = extended(Base, tag)
    classes[tag].set(Base, Class)
  }
  const buffer = block.buffer!
  const array =
    type instanceof StructType ? new Class(type, buffer, 0, buffer.byteLength / type.size) : new Class(buffer)
  states.set(array, state)
  return array
}

function create(tag: State['tag'], typeArgument: unknown, init: unknown, { lock, name }: Settings): object {
  const type = typeOf('type', typeArgument)
  const content = typeof init === 'number' ? undefined : contentOf(type, init)
  if (typeof init === 'number') checkInteger('init', init, 0, Math.floor(Number.MAX_SAFE_INTEGER / type.size))
  const bytes = content === undefined ? (init as number) * type.size : content.byteLength
  const block = Block.array(bytes, lock === true)
  if (content !== undefined) new Uint8Array(block.buffer!).set(content)
  return wrap({ tag, type, block, name, lock: typeof lock === 'boolean' ? undefined : lock })
}

/** The checked bytes of an initialiser: read to its end, and every element checked, before memory is asked for. */
function contentOf(type: Element | StructType, init: unknown): Uint8Array {
  if (typeof init !== 'object' || init === null || !(Symbol.iterator in init))
    throw invalidType('init', 'a length or an iterable of elements', init)
  // What is an array of this very class already (not of booleans, which are numbers there) holds nothing out of range.
  if (!(type instanceof StructType) && type.family !== 'boolean' && init instanceof type.Array)
    return new Uint8Array(init.buffer, init.byteOffset, init.byteLength)
  const items = Array.from(init as Iterable<unknown>)
  const bytes = new DataView(new ArrayBuffer(items.length * type.size))
  for (let i = 0; i < items.length; i++) {
    const item = items[i]
    if (type instanceof StructType) encode(`init[${i}]`, type, item, bytes, i * type.size, false)
    else {
      checkItem(i, type, item)
      type.put(bytes, i * type.size, item)
    }
  }
  return new Uint8Array(bytes.buffer)
}

// The name of the element is put together only for the error: initialisers are long.
function checkItem(index: number, type: Element, item: unknown): void {
  if (type.family === 'float' && type.size === 8 && typeof item === 'number') return
  if (
    type.family === 'integer' &&
    Number.isInteger(item) &&
    (item as number) >= type.min &&
    (item as number) <= type.max
  )
    return
  checkElement(`init[${index}]`, type, item)
}

function publicClass(tag: State['tag'], settings: (options: any) => Settings): unknown {
  const Public = {
    // A method has no [[Construct]], a class could be extended in vain: a function expression under this name.
    [tag]: function (this: unknown, type: unknown, init: unknown, options?: object): object {
      if (new.target === undefined) throw new TypeError(`${tag} is a class: write new ${tag}(…)`)
      if (new.target !== Public) throw new TypeError(`${tag} cannot be extended: keep one in a field instead`)
      return create(tag, type, init, settings(options))
    },
  }[tag]!
  Object.defineProperty(Public, Symbol.hasInstance, {
    value: (value: unknown) => typeof value === 'object' && value !== null && states.get(value)?.tag === tag,
  })
  return Public
}

/**
 * An array in shared memory: `new SharedArray(type, length | iterable, { lock?, name? })`. It **is** the matching
 * TypedArray (`'d'`: Float64Array; `'bool'` and `'c'`: Uint8Array; `'u'`: Uint32Array; a struct: StructArray), on an
 * ArrayBuffer of its own in shared memory, with a lock: `getLock()`. Stores into it wrap around as those into any
 * TypedArray; initialisers are range-checked. Never blocks. Throws TypeError or RangeError (`ERR_INVALID_ARG_TYPE`,
 * `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`) for wrong arguments, ENOSPC without memory.
 * @example
 * const samples = new SharedArray('d', 1000)
 * samples[0] = 0.5
 * samples.getLock().withSync(() => samples.sort())
 */
export const SharedArray = publicClass('SharedArray', settingsOf) as types.SharedArrayConstructor

/** An array in shared memory without a lock: `new RawArray(type, length | iterable, { name? })`. Otherwise as SharedArray. */
export const RawArray = publicClass('RawArray', rawSettingsOf) as types.RawArrayConstructor

/** A shared array, typed by its TypedArray. */
export type SharedArray<A = Float64Array<ArrayBuffer>> = RawArray<A> & types.HasLock
/** A shared array without a lock. */
export type RawArray<A = Float64Array<ArrayBuffer>> = A & types.Closable

interface ArrayData {
  type: unknown
  kind: number
  handle: unknown
  name?: unknown
  lock?: unknown
}

function write(array: object, hold: (offset: number) => void): ArrayData {
  const state = stateOf(array)
  checkOpen(state)
  const { type, block, name, lock } = state
  const data: ArrayData = { type: describe(type), kind: block.kind, handle: block.handle(hold) }
  if (name !== undefined) data.name = name
  // The lock is a shared object of its own: whoever encodes this data encodes it in turn.
  if (lock !== undefined) data.lock = lock
  return data
}

function read(tag: State['tag'], data: ArrayData): object {
  const type = typeFrom(data.type)
  const { name, lock } = data
  if (!(name === undefined || typeof name === 'string') || !(lock === undefined || isLock(lock)))
    throw new SerializationError(`a received ${tag} is malformed`)
  const block = adoptBlock(data)
  if (block.buffer!.byteLength % type.size !== 0)
    throw new SerializationError(`a received ${tag} has another size than its type`)
  return wrap({ tag, type, block, name, lock })
}

function adoptBlock({ kind, handle }: { kind: number; handle: unknown }): Block {
  if (kind !== Kind.array && kind !== Kind.lockedArray) throw new SerializationError('a received array is malformed')
  return Block.adoptArray(checkHandle(handle), kind)
}

registerShared('SharedArray', { write, read: (data: ArrayData) => read('SharedArray', data) })
registerShared('RawArray', { write, read: (data: ArrayData) => read('RawArray', data) })

// Any other view of such a buffer (a subarray, a field of a struct, a DataView) travels as a view of the same memory.
setSharedBuffers({
  is: (buffer: ArrayBuffer) => Block.ofBuffer(buffer) !== undefined,
  write(buffer: ArrayBuffer, hold: (offset: number) => void) {
    const block = Block.ofBuffer(buffer)!
    return { kind: block.kind, handle: block.handle(hold) }
  },
  read: (data: { kind: number; handle: unknown }) => adoptBlock(data).buffer!,
})
