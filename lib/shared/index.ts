// Shared values: Value, SharedArray and their raw forms, and struct types for them.
import './travel'

export { RawArray, SharedArray } from './array'
export { array, bytes, struct } from './struct'
export type {
  ArrayType,
  Atomic,
  BytesType,
  Fields,
  FieldType,
  InitialOf,
  JsOf,
  RawOptions,
  Struct,
  StructArray,
  TypedOf,
  TypeName,
  ValueOptions,
} from './types'
export { RawValue, Value } from './value'
