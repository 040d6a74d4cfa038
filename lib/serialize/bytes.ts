// V8's serializer with two rules of our own: a view carries only its own bytes (never the rest of its buffer, or of Buffer's
// pool), and what is read never aliases the bytes it was read from, which may be shared memory that the next message overwrites.
import { Deserializer, Serializer } from 'node:v8'

const VIEWS = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
] as unknown as (new (
  buffer: ArrayBuffer,
  offset?: number,
  length?: number,
) => ArrayBufferView)[]
const BUFFER = VIEWS.length
const FLOAT16 = BUFFER + 1
const byName = new Map(VIEWS.map((View, index) => [View.name, index]))
const Float16 = (globalThis as any).Float16Array as (typeof VIEWS)[number] | undefined
if (Float16) byName.set('Float16Array', FLOAT16)

/** The class of a view, whatever realm it is from: 'Uint8Array', 'Buffer', 'DataView' … */
export function viewType(view: ArrayBufferView): string {
  return Buffer.isBuffer(view)
    ? 'Buffer'
    : view instanceof DataView
      ? 'DataView'
      : ((view as any)[Symbol.toStringTag] ?? 'DataView')
}
export function makeView(type: string, buffer: ArrayBuffer, offset: number, length: number): ArrayBufferView {
  if (type === 'Buffer') return Buffer.from(buffer, offset, length)
  const index = byName.get(type)
  if (index === undefined) throw new TypeError(`this Node has no ${type}`)
  return new (index === FLOAT16 ? Float16! : VIEWS[index]!)(buffer, offset, length)
}

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

/** `kind` and V8's bytes of the value. Throws V8's error where structured clone refuses. */
export function writeBytes(kind: number, value: unknown): Uint8Array {
  const writer: any = new Writer()
  writer._setTreatArrayBufferViewsAsHostObjects(true)
  writer.writeRawBytes(Uint8Array.of(kind))
  writer.writeHeader()
  writer.writeValue(value)
  return writer.releaseBuffer()
}
export function readBytes(bytes: Uint8Array): unknown {
  const reader: any = new Reader(bytes.subarray(1))
  reader.readHeader()
  return reader.readValue()
}
