// Value and RawValue: one scalar or one struct in shared memory.
//
//   Cell  <-  IntegerCell, BigIntCell, BooleanCell, Float64Cell, Float32Cell, StructCell   made by new RawValue()
//             each  <-  the same with getLock() and update()                               made by new Value()
//
// `new Value('i')` picks the class of its type, so that a Value has exactly the operations its type has.
import { SerializationError } from '../errors'
import { Kind } from '../memory'
import { registerShared, SHARED } from '../serialize/shared'
import { Block, checkHandle } from './block'
import { Cell, type CellClass, locked } from './cell'
import { checkElement, type Element } from './element'
import { isLock, rawSettingsOf, type Settings, settingsOf } from './options'
import { SCALAR_CLASSES, scalarClass } from './scalar'
import { describe, StructType, typeFrom, typeOf } from './struct'
import { encode, StructView } from './struct-view'
import type * as types from './types'

class StructCell extends Cell {
  readonly #view = StructView.over(this.type as StructType, this.block.buffer!, 0)
  get value(): unknown {
    this.assertOpen()
    return this.#view
  }
  set value(value: unknown) {
    this.assertOpen()
    StructView.assign(this.#view, 'value', value)
  }
}

function rawClassOf(type: Element | StructType): CellClass {
  return type instanceof StructType ? StructCell : scalarClass(type)
}

const lockedClasses = new Map<CellClass, CellClass>()
function lockedClassOf(type: Element | StructType): CellClass {
  const Raw = rawClassOf(type)
  let Locked = lockedClasses.get(Raw)
  if (Locked === undefined) {
    Locked = locked(Raw)
    Object.defineProperty(Locked.prototype, SHARED, { value: 'Value' })
    Object.defineProperty(Locked.prototype, 'constructor', {
      value: Value.prototype.constructor,
      writable: true,
      configurable: true,
    })
    lockedClasses.set(Raw, Locked)
  }
  return Locked
}

function create(
  classOf: (type: Element | StructType) => CellClass,
  typeArgument: unknown,
  initial: unknown,
  settings: Settings,
): Cell {
  const type = typeOf('type', typeArgument)
  const ownLock = settings.lock === true
  const lock = typeof settings.lock === 'boolean' ? undefined : settings.lock
  const Class = classOf(type)
  if (type instanceof StructType) {
    const bytes = new DataView(new ArrayBuffer(type.size))
    if (initial !== undefined) encode('initial', type, initial, bytes, 0, false)
    const block = Block.array(type.size, ownLock)
    if (initial !== undefined) new Uint8Array(block.buffer!).set(new Uint8Array(bytes.buffer))
    return new Class(type, block, settings.name, lock)
  }
  if (initial !== undefined) checkElement('initial', type, initial)
  const cell = new Class(type, Block.scalar(ownLock), settings.name, lock)
  if (initial !== undefined) cell.value = initial
  return cell
}

/**
 * A value in shared memory: `new Value(type, initial?, { lock?, name? })`. Reads and stores of scalars through `.value`
 * are atomic; of a struct `.value` is a live view. Never blocks. Absent `initial`: zero. Throws TypeError or RangeError
 * (`ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`) for wrong arguments, ENOSPC without memory.
 * @example
 * const hits = new Value('i', 0)
 * hits.add(1)                        // atomic, without a lock
 * hits.updateSync((n) => n * 2)      // read-modify-write under its lock
 */
export const Value: types.ValueConstructor = function (
  this: object,
  type: unknown,
  initial?: unknown,
  options?: object,
) {
  checkNew('Value', Value, new.target)
  return create(lockedClassOf, type, initial, settingsOf(options))
} as unknown as types.ValueConstructor

/** A value in shared memory without a lock: `new RawValue(type, initial?, { name? })`. Otherwise as Value. */
export const RawValue: types.RawValueConstructor = function (
  this: object,
  type: unknown,
  initial?: unknown,
  options?: object,
) {
  checkNew('RawValue', RawValue, new.target)
  return create(rawClassOf, type, initial, rawSettingsOf(options))
} as unknown as types.RawValueConstructor

/** A shared value, typed by the JavaScript type of what it holds. */
export type Value<V = number> = RawValue<V> & types.LockedUpdate<V>
/** A shared value without a lock. */
export type RawValue<V = number> = types.Box<V> & types.AtomicFor<V> & types.Closable

for (const [Public, tag] of [
  [Value, 'Value'],
  [RawValue, 'RawValue'],
] as const)
  Object.defineProperty(Public, Symbol.hasInstance, {
    value: (value: unknown) => value instanceof Cell && (value as { [SHARED]?: string })[SHARED] === tag,
  })
Object.defineProperty(Cell.prototype, SHARED, { value: 'RawValue' })
for (const Class of [StructCell, ...SCALAR_CLASSES])
  Object.defineProperty(Class.prototype, 'constructor', {
    get: () => RawValue.prototype.constructor, // what users see as RawValue may stand for it (lib/chunks.ts)
    configurable: true,
  })

// The instance is of the class of its type, so a subclass could not add anything to it.
function checkNew(name: string, Public: unknown, target: unknown): void {
  if (target === undefined) throw new TypeError(`${name} is a class: write new ${name}(…)`)
  if (target !== Public) throw new TypeError(`${name} cannot be extended: keep one in a field instead`)
}

interface ValueData {
  type: unknown
  kind: number
  handle: unknown
  name?: unknown
  lock?: unknown
}

function write(cell: Cell, hold: (offset: number) => void): ValueData {
  cell.assertOpen()
  const data: ValueData = { type: describe(cell.type), kind: cell.block.kind, handle: cell.block.handle(hold) }
  if (cell.name !== undefined) data.name = cell.name
  // The lock is a shared object of its own: whoever encodes this data encodes it in turn.
  if (cell.foreignLock !== undefined) data.lock = cell.foreignLock
  return data
}

function read(classOf: (type: Element | StructType) => CellClass, data: ValueData): Cell {
  const type = typeFrom(data.type)
  const isStruct = type instanceof StructType
  const kinds = isStruct ? [Kind.array, Kind.lockedArray] : [Kind.value, Kind.lockedValue]
  const { kind, name, lock } = data
  if (
    !kinds.includes(kind as never) ||
    !(name === undefined || typeof name === 'string') ||
    !(lock === undefined || isLock(lock))
  )
    throw new SerializationError('a received Value is malformed')
  const handle = checkHandle(data.handle)
  const block = isStruct ? Block.adoptArray(handle, kind) : Block.adoptScalar(handle, kind)
  if (isStruct && block.buffer!.byteLength !== type.size)
    throw new SerializationError('a received Value has another size than its type')
  return new (classOf(type))(type, block, name, lock)
}

registerShared('RawValue', { write, read: (data: ValueData) => read(rawClassOf, data) })
registerShared('Value', { write, read: (data: ValueData) => read(lockedClassOf, data) })
