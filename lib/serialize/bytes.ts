// V8's serializer with three rules of our own: a view carries only its own bytes (never the rest of its buffer, or of Buffer's
// pool); what is read never aliases the bytes it was read from, which may be shared memory that the next message overwrites; a
// large view may travel beside the bytes, in a segment of shared memory that the message names and the receiver's view lies on.
//
// Loaded when first needed (wire-bytes.ts): node:v8 takes 2 ms, and most of what children are started with needs none of it.
import { Deserializer, Serializer } from 'node:v8'
import { fromSegment, type ToSegment } from './shared'
import { BUFFER, byName, FLOAT16, Float16, VIEWS, viewType } from './views'

/** In place of a view's class: the view lies on a segment. Class, generation, offset and length in bytes follow. */
const SEGMENT = 255

class Writer extends Serializer {
  segment: ToSegment | undefined

  _writeHostObject(this: any, view: ArrayBufferView): void {
    if (!ArrayBuffer.isView(view)) throw new Error(`${Object.prototype.toString.call(view)} cannot be cloned`)
    const type = viewType(view)
    const index = type === 'Buffer' ? BUFFER : byName.get(type)!
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    const segment = (this.segment as ToSegment | undefined)?.(bytes)
    if (segment !== undefined) {
      this.writeUint32(SEGMENT)
      this.writeUint32(index)
      this.writeUint32(segment.generation)
      this.writeDouble(segment.offset)
      this.writeDouble(bytes.byteLength)
      return
    }
    this.writeUint32(index)
    this.writeUint32(view.byteLength)
    this.writeRawBytes(bytes)
  }
}
class Reader extends Deserializer {
  _readHostObject(this: any): ArrayBufferView {
    const index = this.readUint32()
    if (index === SEGMENT) {
      const View = viewOf(this.readUint32())
      const generation = this.readUint32()
      const buffer = fromSegment({ offset: this.readDouble(), generation }, this.readDouble())
      return View === undefined ? Buffer.from(buffer) : new View(buffer)
    }
    const length = this.readUint32()
    const raw = this.readRawBytes(length) as Buffer
    if (index === BUFFER) return Buffer.from(raw)
    const View = viewOf(index)!
    const copy = new Uint8Array(length)
    copy.set(raw)
    return new View(copy.buffer)
  }
}

/** The class of this number; undefined: Buffer. */
function viewOf(index: number): (typeof VIEWS)[number] | undefined {
  if (index === BUFFER) return undefined
  const View = index === FLOAT16 ? Float16 : VIEWS[index]
  if (!View) throw new Error('unknown kind of view')
  return View
}
/** Of Node 20 to 24. */
const OLDEST_FORM = 15

/** `kind` and V8's bytes of the value. Throws V8's error where structured clone refuses. */
export function writeClone(kind: number, value: unknown, segment?: ToSegment): Uint8Array {
  const writer: any = new Writer()
  writer.segment = segment
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
