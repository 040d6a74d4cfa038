// Value and RawValue: one scalar or one struct in shared memory.
//
//   Cell = RawValue.prototype   <- IntegerCell, BigIntCell, BooleanCell, Float64Cell, Float32Cell, StructCell
//   LockedCell = Value.prototype <- the same operations once more
//
// `new Value('i')` picks the class of its type, so that a Value has exactly the operations its type has.
import { SerializationError } from '../errors'
import { Kind } from '../memory'
import { registerShared } from '../serialize'
import type { Lock, RLock } from '../sync'
import { Block, checkHandle } from './block'
import { Cell, LockedCell } from './cell'
import { checkElement, type Element } from './element'
import { isLock, rawSettingsOf, type Settings, settingsOf } from './options'
import { scalarsOver } from './scalar'
import { describe, StructType, typeFrom, typeOf } from './struct'
import { encode, StructView } from './struct-view'
import type * as types from './types'

const SHARED = Symbol.for('multiproc.shared')

type CellClass = new (type: Element | StructType, block: Block, name?: string, lock?: Lock | RLock) => Cell

function structsOver(Base: abstract new (...args: any[]) => Cell): CellClass {
  return class StructCell extends Base {
    declare view: StructView
    get value(): unknown {
      return this.view
    }
    set value(value: unknown) {
      StructView.assign(this.view, 'value', value)
    }
  }
}

/** The classes over one base, chosen by type; outside they all show the one constructor that users call. */
function family(Base: typeof Cell | typeof LockedCell, Public: object, tag: string) {
  const scalars = scalarsOver(Base)
  const Struct = structsOver(Base)
  Object.defineProperty(Public, 'prototype', { value: Base.prototype, writable: false })
  Object.defineProperty(Base.prototype, SHARED, { value: tag })
  const shown = new Set<unknown>()
  return (type: Element | StructType): CellClass => {
    const Class = (type instanceof StructType ? Struct : scalars.classOf(type)) as CellClass
    if (!shown.has(Class)) {
      Object.defineProperty(Class.prototype, 'constructor', { value: Public, writable: true, configurable: true })
      shown.add(Class)
    }
    return Class
  }
}

function create(
  classOf: (type: Element | StructType) => CellClass,
  typeArgument: unknown,
  initial: unknown,
  settings: Settings,
): Cell {
  const type = typeOf('type', typeArgument)
  const locked = settings.lock === true
  const lock = typeof settings.lock === 'boolean' ? undefined : settings.lock
  const Class = classOf(type)
  if (type instanceof StructType) {
    const bytes = new DataView(new ArrayBuffer(type.size))
    if (initial !== undefined) encode('initial', type, initial, bytes, 0, false)
    const block = Block.array(type.size, locked)
    if (initial !== undefined) new Uint8Array(block.buffer!).set(new Uint8Array(bytes.buffer))
    return new Class(type, block, settings.name, lock)
  }
  if (initial !== undefined) checkElement('initial', type, initial)
  const cell = new Class(type, Block.scalar(locked), settings.name, lock)
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
export const Value: types.ValueConstructor = function Value(
  this: object,
  type: unknown,
  initial?: unknown,
  options?: object,
) {
  checkNew('Value', Value, new.target)
  return create(lockedClassOf, type, initial, settingsOf(options))
} as unknown as types.ValueConstructor

/** A value in shared memory without a lock: `new RawValue(type, initial?, { name? })`. Otherwise as Value. */
export const RawValue: types.RawValueConstructor = function RawValue(
  this: object,
  type: unknown,
  initial?: unknown,
  options?: object,
) {
  checkNew('RawValue', RawValue, new.target)
  return create(rawClassOf, type, initial, rawSettingsOf(options))
} as unknown as types.RawValueConstructor

/** A shared value, typed by the JavaScript type of what it holds. */
export type Value<V = number> = types.Value<V>
/** A shared value without a lock. */
export type RawValue<V = number> = types.RawValue<V>

const rawClassOf = family(Cell, RawValue, 'RawValue')
const lockedClassOf = family(LockedCell, Value, 'Value')

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
  if (cell instanceof LockedCell && cell.foreignLock !== undefined) data.lock = cell.foreignLock
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
