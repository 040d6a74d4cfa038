// The types of shared values: which JavaScript type and which TypedArray belong to a type name or a struct.
// Types only; they are written so that `new Value('q')` infers Value<bigint> and `value.add` is missing where it has no meaning.
import type { Lock, RLock } from '../sync'
import type { WaitOptions, WaitSyncOptions } from '../wait-options'
import type { RawArray, SharedArray } from './array'
import type { RawValue, Value } from './value'

/** @inline */
type Int8Name = 'int8' | 'b'
/** @inline */
type UInt8Name = 'uint8' | 'B' | 'c'
/** @inline */
type Int16Name = 'int16' | 'h'
/** @inline */
type UInt16Name = 'uint16' | 'H'
/** @inline */
type Int32Name = 'int32' | 'i'
/** @inline */
type UInt32Name = 'uint32' | 'I' | 'u'
/** @inline */
type Int64Name = 'int64' | 'q' | 'l'
/** @inline */
type UInt64Name = 'uint64' | 'Q' | 'L'
/** @inline */
type Float32Name = 'float32' | 'f'
/** @inline */
type Float64Name = 'float64' | 'd'
/** @inline */
type BoolName = 'bool'
/** @inline */
type IntegerName = Int8Name | UInt8Name | Int16Name | UInt16Name | Int32Name | UInt32Name
/** @inline */
type BigIntName = Int64Name | UInt64Name
/** @inline */
type FloatName = Float32Name | Float64Name
/** @inline */
type NumberName = IntegerName | FloatName

/** The scalar types: our names and Python's one-letter codes. 'l' and 'L' are 64-bit on every system. */
export type TypeName = NumberName | BigIntName | BoolName

declare const structBrand: unique symbol
declare const arrayBrand: unique symbol
declare const bytesBrand: unique symbol

/** What `array()` gives: a fixed number of elements inside a struct. */
export interface ArrayType<T> {
  readonly [arrayBrand]: T
}
/** What `bytes()` gives: a fixed number of bytes inside a struct. */
export interface BytesType {
  readonly [bytesBrand]: true
}
/** What `struct()` gives: a type for Value, SharedArray, RawValue, RawArray and for fields of other structs. */
export interface Struct<D> {
  readonly [structBrand]: D
  /** Bytes of one struct, padding included. */
  readonly size: number
  /** The largest alignment among its fields, in bytes. */
  readonly alignment: number
  /** Byte offset of each field. */
  readonly offsets: { readonly [K in keyof D]: number }
}
/** What a field of a struct may be. */
export type FieldType = TypeName | Struct<any> | ArrayType<any> | BytesType
/** The fields of a struct, in their order in memory. */
export interface Fields {
  readonly [name: string]: FieldType
}
/** What a shared value may be of: a scalar type or a struct. */
export type AnyType = TypeName | Struct<any>

/** The JavaScript type of a value of shared type `T`; of a struct, the type of its live view. */
export type JsOf<T> = T extends BigIntName
  ? bigint
  : T extends BoolName
    ? boolean
    : T extends NumberName
      ? number
      : T extends Struct<infer D>
        ? { -readonly [K in keyof D]: JsOf<D[K]> }
        : T extends ArrayType<infer E>
          ? TypedOf<E>
          : T extends BytesType
            ? Uint8Array
            : never

/** What a value of shared type `T` may be initialised from: of a struct a plain object; absent fields are zero. */
export type InitialOf<T> =
  T extends Struct<infer D>
    ? { readonly [K in keyof D]?: InitialOf<D[K]> }
    : T extends ArrayType<infer E>
      ? Iterable<InitialOf<E>>
      : JsOf<T>

/** The array type of shared type `T`. */
export type TypedOf<T> = T extends Int8Name
  ? Int8Array<ArrayBuffer>
  : T extends UInt8Name | BoolName
    ? Uint8Array<ArrayBuffer>
    : T extends Int16Name
      ? Int16Array<ArrayBuffer>
      : T extends UInt16Name
        ? Uint16Array<ArrayBuffer>
        : T extends Int32Name
          ? Int32Array<ArrayBuffer>
          : T extends UInt32Name
            ? Uint32Array<ArrayBuffer>
            : T extends Int64Name
              ? BigInt64Array<ArrayBuffer>
              : T extends UInt64Name
                ? BigUint64Array<ArrayBuffer>
                : T extends Float32Name
                  ? Float32Array<ArrayBuffer>
                  : T extends Float64Name
                    ? Float64Array<ArrayBuffer>
                    : T extends Struct<any>
                      ? StructArray<JsOf<T>, InitialOf<T>>
                      : never

/** An array of structs: `at` gives live views. */
export interface StructArray<V = any, I = any> extends Iterable<V> {
  /** How many structs. */
  readonly length: number
  /** The memory of all elements, one after the other. */
  readonly buffer: ArrayBuffer
  /** Where in `buffer` the first element begins, in bytes. */
  readonly byteOffset: number
  /** Bytes of all elements. */
  readonly byteLength: number
  /** The live view of element `index`; negative counts from the end; undefined when there is none. */
  at(index: number): V | undefined
  /** Replaces element `index` by a plain object (every field given), all or nothing. */
  set(index: number, value: I): void
}

/** What Value and SharedArray take. */
export interface ValueOptions {
  /** true (default): an RLock of its own; false: none; or an existing lock. */
  lock?: boolean | Lock | RLock
  /** A label for messages and inspection. */
  name?: string
}
/** What RawValue and RawArray take. */
export interface RawOptions {
  /** A label for messages and inspection. */
  name?: string
}

/**
 * Lock-free operations on a scalar, none of which blocks. Each but `load` and `store` returns the value from before. They
 * throw TypeError (`ERR_INVALID_ARG_TYPE`) and RangeError (`ERR_OUT_OF_RANGE`), with the memory untouched, and ClosedError
 * (`ERR_MP_CLOSED`) after close().
 */
export interface Atomic<V> {
  /** Adds; integers wrap around. */
  add(n: V): V
  /** Subtracts; integers wrap around. */
  sub(n: V): V
  /** Stores `value`. */
  exchange(value: V): V
  /**
   * Stores `next` if the value is `expected`, and returns what was found. Floats compare by value: 0 and -0 are
   * equal, and so are all NaNs.
   */
  compareExchange(expected: V, next: V): V
  /** Not there for floats. */
  and(n: V): V
  /** Not there for floats. */
  or(n: V): V
  /** Not there for floats. */
  xor(n: V): V
  /** The value now. */
  load(): V
  /** Returns `value`. */
  store(value: V): V
}
/** The operations that a value of this type has. */
export type AtomicFor<V> = [V] extends [number | bigint]
  ? Atomic<V>
  : [V] extends [boolean]
    ? Pick<Atomic<V>, 'exchange' | 'compareExchange' | 'load' | 'store'>
    : unknown

/** What all shared values have. */
export interface Box<V> {
  /** The value now: of a scalar read and stored atomically, of a struct a live view. */
  value: V
}
/** What all shared values and arrays have. */
export interface Closable {
  /**
   * Gives this handle up. Every later use of a value throws ClosedError (`ERR_MP_CLOSED`); an array and all views of it have
   * length 0. The memory lives on while others hold it.
   */
  close(): void
  /** As close(), for `using`. */
  [Symbol.dispose](): void
}
/** What has a lock of its own. */
export interface HasLock {
  /** The lock, the same object each time. Does not take it. Throws StateError (`ERR_MP_STATE`) where `lock: false` was given. */
  getLock(): Lock | RLock
}
/** What a Value with a lock has. */
export interface LockedUpdate<V> extends HasLock {
  /**
   * Read-modify-write under the lock; resolves to the new value. Of a struct, `fn` gets the live view and may change
   * it in place. It excludes whoever takes the lock, not the lock-free operations. Rejects with StateError (`ERR_MP_STATE`)
   * without a lock, TimeoutError (`ERR_MP_TIMEOUT`) when time is over, `signal.reason` when aborted.
   */
  update(fn: (old: V) => V | PromiseLike<V>, options?: WaitOptions): Promise<V>
  /** As `update`, blocking the thread until the lock is had. Throws where that rejects. */
  updateSync(fn: (old: V) => V, options?: WaitSyncOptions): V
}

/** The class Value. */
export interface ValueConstructor {
  new <const T extends AnyType>(type: T, initial?: InitialOf<T>, options?: ValueOptions): Value<JsOf<T>>
  /** For `Value.prototype`. */
  readonly prototype: Value<any>
}
/** The class RawValue. */
export interface RawValueConstructor {
  new <const T extends AnyType>(type: T, initial?: InitialOf<T>, options?: RawOptions): RawValue<JsOf<T>>
  /** For `Value.prototype`. */
  readonly prototype: RawValue<any>
}
/** The class SharedArray. */
export interface SharedArrayConstructor {
  new <const T extends AnyType>(
    type: T,
    init: number | Iterable<InitialOf<T>>,
    options?: ValueOptions,
  ): SharedArray<TypedOf<T>>
  /** Is it one, in whatever process it was made? */
  [Symbol.hasInstance](value: unknown): boolean
}
/** The class RawArray. */
export interface RawArrayConstructor {
  new <const T extends AnyType>(
    type: T,
    init: number | Iterable<InitialOf<T>>,
    options?: RawOptions,
  ): RawArray<TypedOf<T>>
  /** Is it one, in whatever process it was made? */
  [Symbol.hasInstance](value: unknown): boolean
}
