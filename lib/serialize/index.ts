// Carrying functions and values to another process. What the rest of the package may use of it.
export { decode, decodeAtOnce, decodeSync } from './decode'
export { type EncodeOptions, encode } from './encode'
export { fnRef } from './fn-ref'
export { REDUCE } from './reduce'
export {
  registerExports,
  registerShared,
  SHARED,
  type SharedBufferCodec,
  type SharedCodec,
  setSharedBuffers,
} from './shared'
