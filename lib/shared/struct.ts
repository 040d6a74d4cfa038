// struct(), array(), bytes(): the layout of records in shared memory. Layout is C's natural one: each field begins at
// a multiple of its alignment (its size; of an array, its element's; of a struct, the largest of its fields), and the
// whole is padded to a multiple of the largest. A ctypes.Structure with the same fields (unpacked, x86-64 or arm64)
// has the same bytes. No memory here: struct-view.ts reads and writes.
import { checkInteger, invalidType, invalidValue } from '../check'
import { SerializationError } from '../errors'
import type { Views } from '../memory'
import { type Element, elementNamed, TYPE_NAMES } from './element'
import type { AnyType, ArrayType, BytesType, Fields, FieldType, Struct } from './types'

/** A definition as it travels: names of elements, and nested lists. */
export type Description =
  | string
  | readonly ['struct', ReadonlyArray<readonly [string, Description]>]
  | readonly ['array', Description, number]
  | readonly ['bytes', number]

export type Member = Element | StructType | ArrayMember | BytesMember

export interface Field {
  readonly name: string
  readonly offset: number
  readonly type: Member
}

/** Structs above this cannot be meant, and a hostile definition must not make us allocate. */
const MAX_BYTES = 2 ** 31
const MAX_DEPTH = 32
const MAX_RECEIVED_MEMBERS = 10_000

export class ArrayMember {
  readonly element: Element | StructType
  readonly length: number
  constructor(element: Element | StructType, length: number) {
    this.element = element
    this.length = length
  }
  get size(): number {
    return this.element.size * this.length
  }
}

export class BytesMember {
  readonly size: number
  constructor(size: number) {
    this.size = size
  }
}

export class StructType {
  readonly size: number
  readonly alignment: number
  readonly offsets: Readonly<Record<string, number>>
  readonly #fields: readonly Field[]
  readonly #views: ReadonlySet<keyof Views>

  constructor(members: ReadonlyArray<readonly [string, Member]>) {
    let end = 0
    let alignment = 1
    const fields: Field[] = []
    const views = new Set<keyof Views>(['u8'])
    for (const [name, type] of members) {
      const aligned = alignmentOf(type)
      const offset = Math.ceil(end / aligned) * aligned
      fields.push({ name, offset, type })
      end = offset + type.size
      alignment = Math.max(alignment, aligned)
      for (const view of viewsOf(type)) views.add(view)
    }
    this.size = Math.ceil(end / alignment) * alignment
    if (this.size > MAX_BYTES) throw invalidValue('definition', `a struct of at most ${MAX_BYTES} bytes`, this.size)
    this.alignment = alignment
    this.#fields = fields
    this.#views = views
    this.offsets = Object.freeze(Object.fromEntries(fields.map(({ name, offset }) => [name, offset])))
  }

  static fieldsOf(type: StructType): readonly Field[] {
    return type.#fields
  }
  /** Which TypedArrays the accessors of this struct, and of those nested in it, read through. */
  static viewsOf(type: StructType): ReadonlySet<keyof Views> {
    return type.#views
  }

  toString(): string {
    return `struct { ${this.#fields.map(({ name, type }) => `${name}: ${memberName(type)}`).join(', ')} }`
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/**
 * Defines a record type, for use as the type of a Value, SharedArray, RawValue or RawArray, or as a field of another.
 * Fields lie in the order written, aligned as a C compiler does. Throws TypeError (`ERR_INVALID_ARG_TYPE`,
 * `ERR_INVALID_ARG_VALUE`) naming the field.
 * @example
 * const Point = struct({ x: 'float64', y: 'float64', tag: bytes(16), grid: array('int32', 9) })
 * const point = new Value(Point, { x: 1, y: 2 })
 * point.value.x += 1
 */
export function struct<const D extends Fields>(definition: D): Struct<D> {
  if (typeof definition !== 'object' || definition === null || Array.isArray(definition))
    throw invalidType('definition', 'an object of field names and types', definition)
  const members = Object.entries(definition).map(([name, type]) => {
    checkFieldName(name)
    return [name, memberOf(`definition.${name}`, type)] as const
  })
  if (members.length === 0) throw invalidValue('definition', 'an object with at least one field', definition)
  return new StructType(members) as unknown as Struct<D>
}

/**
 * A field of `length` elements: in the live view a TypedArray on the same memory (of structs: a StructArray). Throws
 * TypeError, RangeError (`ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`).
 */
export function array<const T extends AnyType>(type: T, length: number): ArrayType<T> {
  const element = typeOf('type', type)
  checkInteger('length', length, 1, Math.floor(MAX_BYTES / element.size))
  return new ArrayMember(element, length) as unknown as ArrayType<T>
}

/**
 * A field of `length` bytes: in the live view a Uint8Array on the same memory. Shorter content is padded with zeros. Throws
 * TypeError, RangeError (`ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE`).
 */
export function bytes(length: number): BytesType {
  checkInteger('length', length, 1, MAX_BYTES)
  return new BytesMember(length) as unknown as BytesType
}

/** The type argument of a Value or an array: a name, a code or a struct. */
export function typeOf(argument: string, type: unknown): Element | StructType {
  if (type instanceof StructType) return type
  const expected = `${TYPE_NAMES}, or a struct()`
  if (typeof type !== 'string') throw invalidType(argument, expected, type)
  const element = elementNamed(type)
  if (element === undefined) throw invalidValue(argument, expected, type)
  return element
}

export function typeName(type: Element | StructType): string {
  return type instanceof StructType ? type.toString() : type.name
}

export function describe(type: Member): Description {
  if (type instanceof StructType)
    return ['struct', StructType.fieldsOf(type).map((field) => [field.name, describe(field.type)])]
  if (type instanceof ArrayMember) return ['array', describe(type.element), type.length]
  if (type instanceof BytesMember) return ['bytes', type.size]
  return type.name
}

// A definition that arrives again gives the same type, so that its views keep one shape. It grows with the number of
// different definitions in the program only.
const received = new Map<string, StructType>()

/** The type of a received description, which may be anything. */
export function fromDescription(description: unknown): Member {
  // A message may contain one object many times: what counts is what it unfolds to.
  const budget = { members: MAX_RECEIVED_MEMBERS }
  try {
    const type = memberFrom(description, 0, budget)
    if (type !== undefined) return type
  } catch (error) {
    throw new SerializationError('a received shared value has no valid type', '', undefined, { cause: error })
  }
  throw new SerializationError('a received shared value has no valid type')
}

/** As fromDescription, where only what a Value or an array may have as its type is allowed. */
export function typeFrom(description: unknown): Element | StructType {
  const type = fromDescription(description)
  if (type instanceof ArrayMember || type instanceof BytesMember)
    throw new SerializationError('a received shared value has no valid type')
  return type
}

function memberFrom(description: unknown, depth: number, budget: { members: number }): Member | undefined {
  if (--budget.members < 0 || depth > MAX_DEPTH) return undefined
  if (typeof description === 'string') return elementNamed(description)
  if (!Array.isArray(description)) return undefined
  const [kind, what, length] = description as unknown[]
  if (kind === 'bytes') return isLength(what, MAX_BYTES) ? new BytesMember(what) : undefined
  if (kind === 'array') {
    const element = memberFrom(what, depth + 1, budget)
    if (element === undefined || element instanceof ArrayMember || element instanceof BytesMember) return undefined
    return isLength(length, MAX_BYTES / element.size) ? new ArrayMember(element, length) : undefined
  }
  return kind === 'struct' && Array.isArray(what) ? structFrom(what, depth, budget) : undefined
}

function structFrom(fields: unknown[], depth: number, budget: { members: number }): StructType | undefined {
  const members = new Map<string, Member>()
  for (const field of fields) {
    const [name, description] = Array.isArray(field) ? field : []
    const type = memberFrom(description, depth + 1, budget)
    if (type === undefined || typeof name !== 'string' || members.has(name)) return undefined
    checkFieldName(name)
    members.set(name, type)
  }
  if (members.size === 0) return undefined
  const type = new StructType([...members])
  const key = JSON.stringify(describe(type))
  const known = received.get(key)
  if (known === undefined) received.set(key, type)
  return known ?? type
}

function memberOf(argument: string, type: FieldType): Member {
  return type instanceof ArrayMember || type instanceof BytesMember ? type : typeOf(argument, type)
}

function memberName(type: Member): string {
  if (type instanceof ArrayMember) return `${typeName(type.element)}[${type.length}]`
  if (type instanceof BytesMember) return `bytes[${type.size}]`
  return typeName(type)
}

function alignmentOf(type: Member): number {
  if (type instanceof StructType) return type.alignment
  if (type instanceof ArrayMember) return alignmentOf(type.element)
  return type instanceof BytesMember ? 1 : type.size
}

function viewsOf(type: Member): Iterable<keyof Views> {
  if (type instanceof StructType) return StructType.viewsOf(type)
  if (type instanceof ArrayMember) return viewsOf(type.element)
  return type instanceof BytesMember ? [] : [type.view]
}

function isLength(value: unknown, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= max
}

// An identifier, because integer-like keys are moved to the front by JavaScript and ctypes could not name others;
// `toJSON` and `constructor` would change how the view itself is treated.
function checkFieldName(name: string): void {
  if (!/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) || ['__proto__', 'constructor', 'toJSON'].includes(name))
    throw invalidValue(
      'definition',
      'an object whose field names are identifiers (not __proto__, constructor, toJSON)',
      name,
    )
}
