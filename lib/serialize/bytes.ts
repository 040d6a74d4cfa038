// V8's serializer with two rules of our own: a view carries only its own bytes (never the rest of its buffer, or of Buffer's
// pool), and what is read never aliases the bytes it was read from, which may be shared memory that the next message overwrites.
//
// Loaded when first needed (wire-bytes.ts): node:v8 takes 2 ms, and most of what children are started with needs none of it.
import { Deserializer, Serializer } from 'node:v8'
import { BUFFER, byName, FLOAT16, Float16, VIEWS, viewType } from './views'

class Writer extends Serializer {
  _writeHostObject(this: any, view: ArrayBufferView): void {
    if (!ArrayBuffer.isView(view)) throw new Error(`${Object.prototype.toString.call(view)} cannot be cloned`)
    const type = viewType(view)
    this.writeUint32(type === 'Buffer' ? BUFFER : byName.get(type)!)
    this.writeUint32(view.byteLength)
    this.writeRawBytes(new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
  }
}
class Reader extends Deserializer {
  _readHostObject(this: any): ArrayBufferView {
    const index = this.readUint32()
    const length = this.readUint32()
    const raw = this.readRawBytes(length) as Buffer
    if (index === BUFFER) return Buffer.from(raw)
    const View = index === FLOAT16 ? Float16 : VIEWS[index]
    if (!View) throw new Error('unknown kind of view')
    const copy = new Uint8Array(length)
    copy.set(raw)
    return new View(copy.buffer)
  }
}

/** Of Node 20 to 24. */
const OLDEST_FORM = 15

/** `kind` and V8's bytes of the value. Throws V8's error where structured clone refuses. */
export function writeClone(kind: number, value: unknown): Uint8Array {
  const writer: any = new Writer()
  writer._setTreatArrayBufferViewsAsHostObjects(true)
  writer.writeUint32(kind) // of one byte: it is below 128
  writer.writeHeader()
  writer.writeValue(value)
  return writer.releaseBuffer()
}
/** The value after the first byte. */
export function readClone(bytes: Uint8Array): unknown {
  // V8 still reads forms of ten years ago, by code that nobody tests any more; no Node that we support writes them.
  if (bytes[1] !== 0xff || bytes[2]! < OLDEST_FORM) throw new Error('not in the form of this V8')
  const reader: any = new Reader(bytes.subarray(1))
  reader.readHeader()
  return reader.readValue()
}
