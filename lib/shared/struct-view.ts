// Live views of structs in shared memory: StructView (one) and StructArray (many). Reading a field reads memory through
// a TypedArray, so a number is never torn; a whole struct is many stores, so who must see it whole takes the lock.
//
// Assigning an object happens in two steps: encode() checks it and writes it to private memory, then the bytes are
// copied. Whatever is wrong with the object, or its getters throw, shared memory has not been touched.
import { type InspectOptions, inspect } from 'node:util'
import { checkInteger, invalidType, outOfRange } from '../check'
import { ClosedError } from '../errors'
import type { Views } from '../memory'
import { checkElement } from './element'
import { ArrayMember, BytesMember, type Field, type Member, StructType } from './struct'

/** The TypedArrays over one buffer that its structs are read through; those that no field needs stay empty. */
class Cells implements Views {
  i8 = NONE.i8
  u8 = NONE.u8
  i16 = NONE.i16
  u16 = NONE.u16
  i32 = NONE.i32
  u32 = NONE.u32
  f32 = NONE.f32
  f64 = NONE.f64
  i64 = NONE.i64
  u64 = NONE.u64
  readonly buffer: ArrayBuffer

  constructor(buffer: ArrayBuffer, type: StructType) {
    this.buffer = buffer
    for (const key of StructType.viewsOf(type)) {
      const View = NONE[key].constructor as new (buffer: ArrayBuffer, byteOffset: number, length: number) => never
      // The buffer may end with elements smaller than this one; no field lies in the rest.
      this[key] = new View(buffer, 0, Math.floor(buffer.byteLength / NONE[key].BYTES_PER_ELEMENT))
    }
  }
}
/** Empty arrays: what there is to see where memory is closed. */
export const NONE: Views = {
  i8: new Int8Array(0),
  u8: new Uint8Array(0),
  i16: new Int16Array(0),
  u16: new Uint16Array(0),
  i32: new Int32Array(0),
  u32: new Uint32Array(0),
  f32: new Float32Array(0),
  f64: new Float64Array(0),
  i64: new BigInt64Array(0),
  u64: new BigUint64Array(0),
}

const shapes = new WeakMap<StructType, readonly PropertyDescriptor[]>()

/** One struct in memory. Its fields are own enumerable accessors: spread, Object.keys and structuredClone see them. */
export class StructView {
  readonly #cells: Cells
  readonly #base: number
  readonly #type: StructType
  /** Views that fields gave out (arrays, bytes, nested structs), by index of the field: the same object each time. */
  readonly #parts: object[] = []

  private constructor(type: StructType, cells: Cells, base: number) {
    this.#type = type
    this.#cells = cells
    this.#base = base
    let shape = shapes.get(type)
    if (shape === undefined) {
      shape = StructType.fieldsOf(type).map((field, index) => StructView.#accessor(field, index))
      shapes.set(type, shape)
    }
    const fields = StructType.fieldsOf(type)
    for (let i = 0; i < fields.length; i++) Object.defineProperty(this, fields[i]!.name, shape[i]!)
  }

  static over(type: StructType, buffer: ArrayBuffer, byteOffset: number): StructView {
    return new StructView(type, new Cells(buffer, type), byteOffset)
  }
  static within(type: StructType, cells: Cells, base: number): StructView {
    return new StructView(type, cells, base)
  }
  static is(value: unknown): value is StructView {
    return typeof value === 'object' && value !== null && #cells in value
  }
  static typeOf(view: StructView): StructType {
    return view.#type
  }
  /** The bytes of a view, on the same memory. */
  static bytesOf(view: StructView): Uint8Array<ArrayBuffer> {
    view.#check()
    return new Uint8Array(view.#cells.buffer, view.#base, view.#type.size)
  }
  /** Replaces the whole struct. */
  static assign(view: StructView, argument: string, value: unknown): void {
    const bytes = encodeWhole(argument, view.#type, value)
    view.#check()
    view.#cells.u8.set(bytes, view.#base)
  }

  // A detached buffer leaves every TypedArray empty.
  #check(): void {
    if (this.#cells.u8.length === 0) throw new ClosedError('the shared memory of this struct is closed')
  }

  static #accessor({ name, offset, type }: Field, index: number): PropertyDescriptor {
    if (type instanceof StructType || type instanceof ArrayMember || type instanceof BytesMember)
      return {
        enumerable: true,
        get(this: StructView) {
          this.#check()
          this.#parts[index] ??= partOf(type, this.#cells, this.#base + offset)
          return this.#parts[index]
        },
        set(this: StructView, value: unknown) {
          const bytes = encodeWhole(name, type, value)
          this.#check()
          this.#cells.u8.set(bytes, this.#base + offset)
        },
      }
    const { view, size, family } = type
    return {
      enumerable: true,
      get(this: StructView) {
        const value = this.#read(view, (this.#base + offset) / size)
        if (value === undefined) this.#check()
        return family === 'boolean' ? value !== 0 : value
      },
      set(this: StructView, value: unknown) {
        checkElement(name, type, value)
        this.#check()
        this.#write(view, (this.#base + offset) / size, family === 'boolean' ? Number(value) : value)
      },
    }
  }

  // A switch instead of `cells[view][index]`: each line keeps the type feedback of one class of TypedArray.
  #read(view: keyof Views, index: number): number | bigint | undefined {
    const cells = this.#cells
    switch (view) {
      case 'i8':
        return cells.i8[index]
      case 'u8':
        return cells.u8[index]
      case 'i16':
        return cells.i16[index]
      case 'u16':
        return cells.u16[index]
      case 'i32':
        return cells.i32[index]
      case 'u32':
        return cells.u32[index]
      case 'f32':
        return cells.f32[index]
      case 'f64':
        return cells.f64[index]
      case 'i64':
        return cells.i64[index]
      case 'u64':
        return cells.u64[index]
    }
  }
  #write(view: keyof Views, index: number, value: any): void {
    const cells = this.#cells
    switch (view) {
      case 'i8':
        cells.i8[index] = value
        break
      case 'u8':
        cells.u8[index] = value
        break
      case 'i16':
        cells.i16[index] = value
        break
      case 'u16':
        cells.u16[index] = value
        break
      case 'i32':
        cells.i32[index] = value
        break
      case 'u32':
        cells.u32[index] = value
        break
      case 'f32':
        cells.f32[index] = value
        break
      case 'f64':
        cells.f64[index] = value
        break
      case 'i64':
        cells.i64[index] = value
        break
      case 'u64':
        cells.u64[index] = value
    }
  }

  /** A plain copy: numbers, bigints, booleans, arrays and nested objects. */
  toJSON(): Record<string, unknown> {
    const plain: Record<string, unknown> = {}
    for (const { name, type } of StructType.fieldsOf(this.#type)) {
      const value = (this as unknown as Record<string, any>)[name]
      if (type instanceof StructType) plain[name] = value.toJSON()
      else if (type instanceof ArrayMember || type instanceof BytesMember) plain[name] = Array.from(value, plainItem)
      else plain[name] = value
    }
    return plain
  }

  [inspect.custom](_depth: number, options: InspectOptions): string {
    if (this.#cells.u8.length === 0) return 'StructView [closed]'
    return `StructView ${inspect({ ...this }, options)}`
  }
}

/** Structs one after the other in memory; `at` makes a live view of one. */
export class StructArray {
  readonly length: number
  readonly #type: StructType
  readonly #cells: Cells
  readonly #base: number

  constructor(type: StructType, cells: Cells | ArrayBuffer, base: number, length: number) {
    this.#type = type
    this.#cells = cells instanceof ArrayBuffer ? new Cells(cells, type) : cells
    this.#base = base
    this.length = length
  }
  static is(value: unknown): value is StructArray {
    return typeof value === 'object' && value !== null && #cells in value
  }
  static typeOf(array: StructArray): StructType {
    return array.#type
  }
  get buffer(): ArrayBuffer {
    return this.#cells.buffer
  }
  get byteOffset(): number {
    return this.#base
  }
  get byteLength(): number {
    return this.#cells.u8.length === 0 ? 0 : this.length * this.#type.size
  }
  at(index: number): StructView | undefined {
    const i = Math.trunc(index) || 0
    const from = i < 0 ? i + this.length : i
    if (from < 0 || from >= this.length) return undefined
    return StructView.within(this.#type, this.#cells, this.#base + from * this.#type.size)
  }
  set(index: number, value: unknown): void {
    if (this.length === 0) throw outOfRange('index', 'the index of an element (there is none)', index)
    checkInteger('index', index, 0, this.length - 1)
    StructView.assign(this.at(index)!, 'value', value)
  }
  *[Symbol.iterator](): Generator<StructView, void, undefined> {
    for (let i = 0; i < this.length; i++) yield this.at(i)!
  }
  toJSON(): unknown[] {
    return Array.from(this, (view) => view.toJSON())
  }
  [inspect.custom](depth: number, options: InspectOptions): string {
    if (depth < 0) return '[StructArray]'
    const shown = Array.from({ length: Math.min(this.length, options.maxArrayLength ?? 100) }, (_, i) => this.at(i))
    const more = this.length - shown.length
    return `StructArray(${this.length}) ${inspect(shown, options)}${more > 0 ? ` and ${more} more` : ''}`
  }
}

function plainItem(item: unknown): unknown {
  return StructView.is(item) ? item.toJSON() : item
}

function partOf(type: StructType | ArrayMember | BytesMember, cells: Cells, base: number): object {
  if (type instanceof StructType) return StructView.within(type, cells, base)
  if (type instanceof BytesMember) return new Uint8Array(cells.buffer, base, type.size)
  if (type.element instanceof StructType) return new StructArray(type.element, cells, base, type.length)
  return new type.element.Array(cells.buffer, base, type.length)
}

/** The checked bytes of a struct, array or bytes field; of a struct every field must be there. */
function encodeWhole(argument: string, type: Member, value: unknown): Uint8Array<ArrayBuffer> {
  if (StructView.is(value) && StructView.typeOf(value) === type) return StructView.bytesOf(value)
  const target = new DataView(new ArrayBuffer(type.size))
  encode(argument, type, value, target, 0, true)
  return new Uint8Array(target.buffer)
}

/**
 * Checks `value` against `type` and writes it to private, zeroed memory. Content shorter than an array or bytes field
 * leaves zeros, longer throws; absent fields leave zeros unless `whole`.
 */
export function encode(
  argument: string,
  type: Member,
  value: unknown,
  target: DataView,
  at: number,
  whole: boolean,
): void {
  if (type instanceof StructType) encodeStruct(argument, type, value, target, at, whole)
  else if (type instanceof BytesMember) {
    if (!(value instanceof Uint8Array)) throw invalidType(argument, `a Uint8Array of at most ${type.size} bytes`, value)
    if (value.length > type.size) throw outOfRange(`${argument}.length`, `at most ${type.size}`, value.length)
    new Uint8Array(target.buffer).set(value, at)
  } else if (type instanceof ArrayMember) {
    if (typeof value !== 'object' || value === null || !(Symbol.iterator in value))
      throw invalidType(argument, `an iterable of at most ${type.length} elements`, value)
    let index = 0
    for (const item of value as Iterable<unknown>) {
      if (index === type.length) throw outOfRange(`${argument}.length`, `at most ${type.length}`, 'more')
      encode(`${argument}[${index}]`, type.element, item, target, at + index++ * type.element.size, whole)
    }
  } else {
    checkElement(argument, type, value)
    type.put(target, at, value)
  }
}

function encodeStruct(
  argument: string,
  type: StructType,
  value: unknown,
  target: DataView,
  at: number,
  whole: boolean,
): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value))
    throw invalidType(argument, `an object with the fields of ${type}`, value)
  const fields = StructType.fieldsOf(type)
  for (const key of Object.keys(value))
    if (!Object.hasOwn(type.offsets, key))
      throw invalidType(
        `${argument}.${key}`,
        `absent (the fields are ${fields.map((f) => f.name).join(', ')})`,
        (value as any)[key],
      )
  for (const field of fields) {
    const part = (value as Record<string, unknown>)[field.name]
    if (part !== undefined || whole)
      encode(`${argument}.${field.name}`, field.type, part, target, at + field.offset, whole)
  }
}
