// The scalar element types: one table of names, sizes, ranges and TypedArrays, and the checks of values against it.
import { invalidType, outOfRange } from '../check'
import type { Views } from '../memory'

export interface Element {
  readonly name: string
  readonly family: 'integer' | 'bigint' | 'float' | 'boolean'
  /** Bytes; also the alignment. */
  readonly size: number
  readonly view: keyof Views
  readonly min: number | bigint
  readonly max: number | bigint
  readonly Array: new (buffer: ArrayBuffer, byteOffset?: number, length?: number) => Views[keyof Views]
  /** Writes a checked value at any byte offset of private memory. */
  put(target: DataView, byteOffset: number, value: any): void
}

// DataView wants to be told; TypedArrays, which everybody reads through, use the machine's order.
const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

function integer(bits: 8 | 16 | 32, signed: boolean): Element {
  const size = bits / 8
  const kind = signed ? 'Int' : 'Uint'
  const set = DataView.prototype[`set${kind}${bits}`]
  return {
    name: `${kind.toLowerCase()}${bits}`,
    family: 'integer',
    size,
    view: `${signed ? 'i' : 'u'}${bits}`,
    min: signed ? -(2 ** (bits - 1)) : 0,
    max: 2 ** (signed ? bits - 1 : bits) - 1,
    Array: globalThis[`${kind}${bits}Array`],
    put: (target, byteOffset, value) => set.call(target, byteOffset, value, LITTLE_ENDIAN),
  }
}
const ELEMENTS: readonly Element[] = [
  integer(8, true),
  integer(8, false),
  integer(16, true),
  integer(16, false),
  integer(32, true),
  integer(32, false),
  {
    name: 'int64',
    family: 'bigint',
    size: 8,
    view: 'i64',
    min: -(2n ** 63n),
    max: 2n ** 63n - 1n,
    Array: BigInt64Array,
    put: (target, byteOffset, value) => target.setBigInt64(byteOffset, value, LITTLE_ENDIAN),
  },
  {
    name: 'uint64',
    family: 'bigint',
    size: 8,
    view: 'u64',
    min: 0n,
    max: 2n ** 64n - 1n,
    Array: BigUint64Array,
    put: (target, byteOffset, value) => target.setBigUint64(byteOffset, value, LITTLE_ENDIAN),
  },
  {
    name: 'float32',
    family: 'float',
    size: 4,
    view: 'f32',
    min: -3.4028234663852886e38,
    max: 3.4028234663852886e38,
    Array: Float32Array,
    put: (target, byteOffset, value) => target.setFloat32(byteOffset, value, LITTLE_ENDIAN),
  },
  {
    name: 'float64',
    family: 'float',
    size: 8,
    view: 'f64',
    min: -Number.MAX_VALUE,
    max: Number.MAX_VALUE,
    Array: Float64Array,
    put: (target, byteOffset, value) => target.setFloat64(byteOffset, value, LITTLE_ENDIAN),
  },
  {
    name: 'bool',
    family: 'boolean',
    size: 1,
    view: 'u8',
    min: 0,
    max: 1,
    Array: Uint8Array,
    put: (target, byteOffset, value) => target.setUint8(byteOffset, value ? 1 : 0),
  },
]

const CODES: Readonly<Record<string, string>> = {
  c: 'uint8',
  b: 'int8',
  B: 'uint8',
  u: 'uint32',
  h: 'int16',
  H: 'uint16',
  i: 'int32',
  I: 'uint32',
  l: 'int64',
  L: 'uint64',
  q: 'int64',
  Q: 'uint64',
  f: 'float32',
  d: 'float64',
}
const byName = new Map(ELEMENTS.map((element) => [element.name, element]))
for (const code of Object.keys(CODES)) byName.set(code, byName.get(CODES[code]!)!)

/** All names and codes, for messages. */
export const TYPE_NAMES = `${ELEMENTS.map((element) => `'${element.name}'`).join(', ')}, one of Python's codes ${Object.keys(CODES).join(' ')}`

export function elementNamed(name: string): Element | undefined {
  return byName.get(name)
}

/** Throws unless `value` is one that `element` holds: TypeError or RangeError naming `argument`. */
export function checkElement(argument: string, element: Element, value: unknown): void {
  switch (element.family) {
    case 'integer':
      if (typeof value !== 'number') throw invalidType(argument, `an integer (${element.name})`, value)
      if (!(Number.isInteger(value) && value >= element.min && value <= element.max))
        throw range(argument, element, value)
      return
    case 'bigint':
      if (typeof value !== 'bigint') throw invalidType(argument, `a bigint (${element.name})`, value)
      if (value < element.min || value > element.max) throw range(argument, element, value)
      return
    case 'float':
      if (typeof value !== 'number') throw invalidType(argument, `a number (${element.name})`, value)
      // What would round to infinity is out of range; infinities and NaN themselves are not.
      if (element.size === 4 && Number.isFinite(value) && !Number.isFinite(Math.fround(value)))
        throw range(argument, element, value)
      return
    case 'boolean':
      if (typeof value !== 'boolean') throw invalidType(argument, 'a boolean', value)
  }
}

function range(argument: string, element: Element, value: unknown): RangeError {
  const what = element.family === 'bigint' ? 'a bigint' : element.family === 'float' ? 'a number' : 'an integer'
  return outOfRange(argument, `${what} from ${element.min} to ${element.max} (${element.name})`, value)
}
