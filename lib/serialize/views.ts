// The classes of views of memory, and how they are named on the wire.

export const VIEWS = [
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
export const BUFFER = VIEWS.length
export const FLOAT16 = BUFFER + 1
export const byName = new Map(VIEWS.map((View, index) => [View.name, index]))
export const Float16 = (globalThis as any).Float16Array as (typeof VIEWS)[number] | undefined
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
