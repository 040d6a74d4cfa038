// How live views and definitions travel: a StructView or a StructArray inside a struct as its type and a Uint8Array on
// the shared memory (which the serializer sends as a view); struct(), array() and bytes() as their descriptions.
// Values and arrays themselves: value.ts, array.ts.
import { SerializationError } from '../errors'
import { registerShared, SHARED } from '../serialize/shared'
import {
  ArrayMember,
  BytesMember,
  type Description,
  describe,
  fromDescription,
  type Member,
  StructType,
} from './struct'
import { StructArray, StructView } from './struct-view'

interface ViewData {
  type: Description
  bytes: Uint8Array<ArrayBuffer>
}

function structOf(data: ViewData): StructType {
  const type = fromDescription(data.type)
  const { bytes } = data
  if (!(type instanceof StructType) || !(bytes instanceof Uint8Array) || bytes.byteOffset % type.alignment !== 0)
    throw new SerializationError('a received view of a struct is malformed')
  return type
}

Object.defineProperty(StructView.prototype, SHARED, { value: 'StructView' })
registerShared('StructView', {
  write: (view: StructView): ViewData => ({ type: describe(StructView.typeOf(view)), bytes: StructView.bytesOf(view) }),
  read(data: ViewData): StructView {
    const type = structOf(data)
    if (data.bytes.length !== type.size) throw new SerializationError('a received view of a struct has another size')
    return StructView.over(type, data.bytes.buffer, data.bytes.byteOffset)
  },
})

Object.defineProperty(StructArray.prototype, SHARED, { value: 'StructArray' })
registerShared('StructArray', {
  write: (array: StructArray): ViewData => ({
    type: describe(StructArray.typeOf(array)),
    bytes: new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
  }),
  read(data: ViewData): StructArray {
    const type = structOf(data)
    if (data.bytes.length % type.size !== 0)
      throw new SerializationError('a received view of a struct has another size')
    return new StructArray(type, data.bytes.buffer, data.bytes.byteOffset, data.bytes.length / type.size)
  },
})

for (const Definition of [StructType, ArrayMember, BytesMember])
  Object.defineProperty(Definition.prototype, SHARED, { value: 'Definition' })
registerShared('Definition', {
  write: (type: Exclude<Member, { family: string }>) => describe(type),
  read(data: unknown): object {
    const type = fromDescription(data)
    if ('family' in type) throw new SerializationError('a received definition is malformed')
    return type
  },
})
