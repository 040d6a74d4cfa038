// Shared values: Value, SharedArray and their raw forms, and struct types for them.
import './travel'

export { RawArray, SharedArray } from './array'
export { array, bytes, struct } from './struct'
export type {
  AnyType,
  ArrayType,
  Atomic,
  AtomicFor,
  Box,
  BytesType,
  Closable,
  Fields,
  FieldType,
  HasLock,
  InitialOf,
  JsOf,
  LockedUpdate,
  RawArrayConstructor,
  RawOptions,
  RawValueConstructor,
  SharedArrayConstructor,
  Struct,
  StructArray,
  TypedOf,
  TypeName,
  ValueConstructor,
  ValueOptions,
} from './types'
export { RawValue, Value } from './value'
