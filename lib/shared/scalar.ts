// The operations of scalar values, one class a kind of element: `#view` and `#index` say where the scalar lies, and every
// instruction on it is a JavaScript Atomics call or one aligned load or store. Nothing here waits or takes a lock.
//
// A class a kind, written once for values with and without a lock: each method sees two shapes of object at most, and
// `add` on an int32 costs its Atomics call.
import { checkInteger, invalidType } from '../check'
import { viewsAt } from '../memory'
import { Cell, type CellClass } from './cell'
import { checkElement, type Element } from './element'
import { NONE } from './struct-view'

// The operand of add, sub, and, or, xor: any exact integer, as the result wraps.
function checkOperand(n: unknown): void {
  checkInteger('n', n, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
}
function checkBigOperand(n: unknown): asserts n is bigint {
  if (typeof n !== 'bigint') throw invalidType('n', 'a bigint', n)
}
function checkNumberOperand(n: unknown): asserts n is number {
  if (typeof n !== 'number') throw invalidType('n', 'a number', n)
}

class IntegerCell extends Cell {
  #view = this.scalarView() as Int32Array
  readonly #index = this.scalarIndex()
  get value(): number {
    return Atomics.load(this.#view, this.#index)
  }
  set value(value: number) {
    this.#check('value', value)
    Atomics.store(this.#view, this.#index, value)
  }
  load(): number {
    return Atomics.load(this.#view, this.#index)
  }
  store(value: number): number {
    this.#check('value', value)
    return Atomics.store(this.#view, this.#index, value)
  }
  exchange(value: number): number {
    this.#check('value', value)
    return Atomics.exchange(this.#view, this.#index, value)
  }
  compareExchange(expected: number, next: number): number {
    this.#check('expected', expected)
    this.#check('next', next)
    return Atomics.compareExchange(this.#view, this.#index, expected, next)
  }
  add(n: number): number {
    if (!Number.isSafeInteger(n)) checkOperand(n)
    return Atomics.add(this.#view, this.#index, n)
  }
  sub(n: number): number {
    if (!Number.isSafeInteger(n)) checkOperand(n)
    return Atomics.sub(this.#view, this.#index, n)
  }
  and(n: number): number {
    if (!Number.isSafeInteger(n)) checkOperand(n)
    return Atomics.and(this.#view, this.#index, n)
  }
  or(n: number): number {
    if (!Number.isSafeInteger(n)) checkOperand(n)
    return Atomics.or(this.#view, this.#index, n)
  }
  xor(n: number): number {
    if (!Number.isSafeInteger(n)) checkOperand(n)
    return Atomics.xor(this.#view, this.#index, n)
  }
  #check(argument: string, value: number): void {
    const { min, max } = this.element
    if (!(Number.isInteger(value) && value >= min && value <= max)) checkElement(argument, this.element, value)
  }
  override detach(): void {
    this.#view = NONE.i32
  }
}

class BigIntCell extends Cell {
  #view = this.scalarView() as BigInt64Array
  readonly #index = this.scalarIndex()
  get value(): bigint {
    return Atomics.load(this.#view, this.#index)
  }
  set value(value: bigint) {
    this.store(value)
  }
  load(): bigint {
    return Atomics.load(this.#view, this.#index)
  }
  store(value: bigint): bigint {
    checkElement('value', this.element, value)
    return Atomics.store(this.#view, this.#index, value)
  }
  exchange(value: bigint): bigint {
    checkElement('value', this.element, value)
    return Atomics.exchange(this.#view, this.#index, value)
  }
  compareExchange(expected: bigint, next: bigint): bigint {
    checkElement('expected', this.element, expected)
    checkElement('next', this.element, next)
    return Atomics.compareExchange(this.#view, this.#index, expected, next)
  }
  add(n: bigint): bigint {
    checkBigOperand(n)
    return Atomics.add(this.#view, this.#index, n)
  }
  sub(n: bigint): bigint {
    checkBigOperand(n)
    return Atomics.sub(this.#view, this.#index, n)
  }
  and(n: bigint): bigint {
    checkBigOperand(n)
    return Atomics.and(this.#view, this.#index, n)
  }
  or(n: bigint): bigint {
    checkBigOperand(n)
    return Atomics.or(this.#view, this.#index, n)
  }
  xor(n: bigint): bigint {
    checkBigOperand(n)
    return Atomics.xor(this.#view, this.#index, n)
  }
  override detach(): void {
    this.#view = NONE.i64
  }
}

class BooleanCell extends Cell {
  #view = this.scalarView() as Uint8Array
  readonly #index = this.scalarIndex()
  get value(): boolean {
    return Atomics.load(this.#view, this.#index) !== 0
  }
  set value(value: boolean) {
    this.store(value)
  }
  load(): boolean {
    return Atomics.load(this.#view, this.#index) !== 0
  }
  store(value: boolean): boolean {
    checkElement('value', this.element, value)
    Atomics.store(this.#view, this.#index, Number(value))
    return value
  }
  exchange(value: boolean): boolean {
    checkElement('value', this.element, value)
    return Atomics.exchange(this.#view, this.#index, Number(value)) !== 0
  }
  compareExchange(expected: boolean, next: boolean): boolean {
    checkElement('expected', this.element, expected)
    checkElement('next', this.element, next)
    return Atomics.compareExchange(this.#view, this.#index, Number(expected), Number(next)) !== 0
  }
  override detach(): void {
    this.#view = NONE.u8
  }
}

// Atomics know no floats: read-modify-write is a compare-and-swap of the same bytes seen as an integer. The float is
// computed from the very bits that are compared, never loaded apart: a NaN of another payload (Python may have stored
// it) would not survive a load and store as a float, and the swap would fail for ever.
const scratch = new ArrayBuffer(8)
const scratchF64 = new Float64Array(scratch)
const scratchI64 = new BigInt64Array(scratch)
const scratchF32 = new Float32Array(scratch)
const scratchI32 = new Int32Array(scratch)

function bits64(value: number): bigint {
  scratchF64[0] = value
  return scratchI64[0]!
}
function float64(bits: bigint): number {
  scratchI64[0] = bits
  return scratchF64[0]!
}
function bits32(value: number): number {
  scratchF32[0] = value
  return scratchI32[0]!
}
function float32(bits: number): number {
  scratchI32[0] = bits
  return scratchF32[0]!
}

// By value, not by bits: a loop `while ((seen = v.compareExchange(old, next)) !== old)` must not take a -0 that it
// found for its own 0 and lose the store; and NaN must be replaceable at all.
function same(a: number, b: number): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b))
}

class Float64Cell extends Cell {
  #view = this.scalarView() as Float64Array
  readonly #index = this.scalarIndex()
  #bits = viewsAt(this.block.scalarOffset).i64

  // Aligned 8 bytes: x86-64 and arm64 load and store them with one instruction, which cannot be seen half done. Only
  // load() and store() order other memory around them, as Atomics do.
  get value(): number {
    return this.#view[this.#index]!
  }
  set value(value: number) {
    if (typeof value !== 'number') checkElement('value', this.element, value)
    this.#view[this.#index] = value
  }
  load(): number {
    return float64(Atomics.load(this.#bits, this.#index))
  }
  store(value: number): number {
    if (typeof value !== 'number') checkElement('value', this.element, value)
    Atomics.store(this.#bits, this.#index, bits64(value))
    return value
  }
  exchange(value: number): number {
    if (typeof value !== 'number') checkElement('value', this.element, value)
    return float64(Atomics.exchange(this.#bits, this.#index, bits64(value)))
  }
  compareExchange(expected: number, next: number): number {
    checkElement('expected', this.element, expected)
    checkElement('next', this.element, next)
    for (;;) {
      const old = Atomics.load(this.#bits, this.#index)
      const found = float64(old)
      if (!same(found, expected) || Atomics.compareExchange(this.#bits, this.#index, old, bits64(next)) === old)
        return found
    }
  }
  add(n: number): number {
    checkNumberOperand(n)
    let old = Atomics.load(this.#bits, this.#index)
    for (;;) {
      const before = float64(old)
      const found = Atomics.compareExchange(this.#bits, this.#index, old, bits64(before + n))
      if (found === old) return before
      old = found
    }
  }
  sub(n: number): number {
    checkNumberOperand(n)
    return this.add(-n)
  }
  override detach(): void {
    this.#view = NONE.f64
    this.#bits = NONE.i64
  }
}

class Float32Cell extends Cell {
  #view = this.scalarView() as Float32Array
  readonly #index = this.scalarIndex()
  #bits = viewsAt(this.block.scalarOffset).i32

  get value(): number {
    return this.#view[this.#index]!
  }
  set value(value: number) {
    checkElement('value', this.element, value)
    this.#view[this.#index] = value
  }
  load(): number {
    return float32(Atomics.load(this.#bits, this.#index))
  }
  store(value: number): number {
    checkElement('value', this.element, value)
    Atomics.store(this.#bits, this.#index, bits32(value))
    return value
  }
  exchange(value: number): number {
    checkElement('value', this.element, value)
    return float32(Atomics.exchange(this.#bits, this.#index, bits32(value)))
  }
  compareExchange(expected: number, next: number): number {
    checkElement('expected', this.element, expected)
    checkElement('next', this.element, next)
    // What no float32 is cannot be found: 0.1 means the float32 nearest to it, as a store of 0.1 does.
    const wanted = Math.fround(expected)
    for (;;) {
      const old = Atomics.load(this.#bits, this.#index)
      const found = float32(old)
      if (!same(found, wanted) || Atomics.compareExchange(this.#bits, this.#index, old, bits32(next)) === old)
        return found
    }
  }
  add(n: number): number {
    checkNumberOperand(n)
    let old = Atomics.load(this.#bits, this.#index)
    for (;;) {
      const before = float32(old)
      const found = Atomics.compareExchange(this.#bits, this.#index, old, bits32(before + n))
      if (found === old) return before
      old = found
    }
  }
  sub(n: number): number {
    checkNumberOperand(n)
    return this.add(-n)
  }
  override detach(): void {
    this.#view = NONE.f32
    this.#bits = NONE.i32
  }
}

const byFamily = { integer: IntegerCell, bigint: BigIntCell, boolean: BooleanCell, float: Float64Cell }

export const SCALAR_CLASSES: readonly CellClass[] = [...Object.values(byFamily), Float32Cell]

/** The class of values of this element type. */
export function scalarClass({ name, family }: Element): CellClass {
  return name === 'float32' ? Float32Cell : byFamily[family]
}
