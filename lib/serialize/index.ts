// Carrying functions and values to another process. What the rest of the package may use of it.
export { decode, decodeAtOnce, decodeSync } from './decode'
export { type EncodeOptions, encode } from './encode'
export { type Area, area, writeFlat } from './flat'
export { readFlat } from './flat-read'
export { fnRef } from './fn-ref'
export { REDUCE } from './reduce'
export {
  encodeCustom,
  readCustom,
  type Serializer,
  serializer,
  setSerializer,
  withoutSerializer,
} from './serializer'
export {
  registerExports,
  registerShared,
  SHARED,
  type SharedBufferCodec,
  type SharedCodec,
  setSegments,
  setSharedBuffers,
  setStandIn,
} from './shared'
export { CUSTOM, FLAT } from './wire'
