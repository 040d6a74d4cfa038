// The operations of scalar values, one class a kind of element: `view` and `index` say where the scalar lies, and every
// instruction on it is a JavaScript Atomics call or one aligned load or store. Nothing here waits or takes a lock.
//
// Each is written over a base (RawValue's or Value's): the same operations with and without a lock. A class a kind, so
// that each method sees one shape of object and one kind of TypedArray: `add` on an int32 costs its Atomics call.
import { checkInteger, invalidType } from '../check'
import { viewsAt } from '../memory'
import type { Cell } from './cell'
import { checkElement, type Element } from './element'

type CellClass = abstract new (...args: any[]) => Cell

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

function integers(Base: CellClass) {
  abstract class IntegerCell extends Base {
    declare view: Int32Array
    get value(): number {
      return Atomics.load(this.view, this.index)
    }
    set value(value: number) {
      this.#check('value', value)
      Atomics.store(this.view, this.index, value)
    }
    load(): number {
      return Atomics.load(this.view, this.index)
    }
    store(value: number): number {
      this.#check('value', value)
      return Atomics.store(this.view, this.index, value)
    }
    exchange(value: number): number {
      this.#check('value', value)
      return Atomics.exchange(this.view, this.index, value)
    }
    compareExchange(expected: number, next: number): number {
      this.#check('expected', expected)
      this.#check('next', next)
      return Atomics.compareExchange(this.view, this.index, expected, next)
    }
    add(n: number): number {
      if ((n | 0) !== n) checkOperand(n)
      return Atomics.add(this.view, this.index, n)
    }
    sub(n: number): number {
      if ((n | 0) !== n) checkOperand(n)
      return Atomics.sub(this.view, this.index, n)
    }
    and(n: number): number {
      if ((n | 0) !== n) checkOperand(n)
      return Atomics.and(this.view, this.index, n)
    }
    or(n: number): number {
      if ((n | 0) !== n) checkOperand(n)
      return Atomics.or(this.view, this.index, n)
    }
    xor(n: number): number {
      if ((n | 0) !== n) checkOperand(n)
      return Atomics.xor(this.view, this.index, n)
    }
    #check(argument: string, value: number): void {
      const { min, max } = this.type as Element
      if (!(Number.isInteger(value) && value >= min && value <= max))
        checkElement(argument, this.type as Element, value)
    }
  }
  return IntegerCell
}

function bigints(Base: CellClass) {
  abstract class BigIntCell extends Base {
    declare view: BigInt64Array
    get value(): bigint {
      return Atomics.load(this.view, this.index)
    }
    set value(value: bigint) {
      this.store(value)
    }
    load(): bigint {
      return Atomics.load(this.view, this.index)
    }
    store(value: bigint): bigint {
      checkElement('value', this.type as Element, value)
      return Atomics.store(this.view, this.index, value)
    }
    exchange(value: bigint): bigint {
      checkElement('value', this.type as Element, value)
      return Atomics.exchange(this.view, this.index, value)
    }
    compareExchange(expected: bigint, next: bigint): bigint {
      checkElement('expected', this.type as Element, expected)
      checkElement('next', this.type as Element, next)
      return Atomics.compareExchange(this.view, this.index, expected, next)
    }
    add(n: bigint): bigint {
      checkBigOperand(n)
      return Atomics.add(this.view, this.index, n)
    }
    sub(n: bigint): bigint {
      checkBigOperand(n)
      return Atomics.sub(this.view, this.index, n)
    }
    and(n: bigint): bigint {
      checkBigOperand(n)
      return Atomics.and(this.view, this.index, n)
    }
    or(n: bigint): bigint {
      checkBigOperand(n)
      return Atomics.or(this.view, this.index, n)
    }
    xor(n: bigint): bigint {
      checkBigOperand(n)
      return Atomics.xor(this.view, this.index, n)
    }
  }
  return BigIntCell
}

function booleans(Base: CellClass) {
  abstract class BooleanCell extends Base {
    declare view: Uint8Array
    get value(): boolean {
      return Atomics.load(this.view, this.index) !== 0
    }
    set value(value: boolean) {
      this.store(value)
    }
    load(): boolean {
      return Atomics.load(this.view, this.index) !== 0
    }
    store(value: boolean): boolean {
      checkElement('value', this.type as Element, value)
      Atomics.store(this.view, this.index, Number(value))
      return value
    }
    exchange(value: boolean): boolean {
      checkElement('value', this.type as Element, value)
      return Atomics.exchange(this.view, this.index, Number(value)) !== 0
    }
    compareExchange(expected: boolean, next: boolean): boolean {
      checkElement('expected', this.type as Element, expected)
      checkElement('next', this.type as Element, next)
      return Atomics.compareExchange(this.view, this.index, Number(expected), Number(next)) !== 0
    }
  }
  return BooleanCell
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

function floats64(Base: CellClass) {
  abstract class Float64Cell extends Base {
    declare view: Float64Array
    readonly #bits = viewsAt(this.block.scalarOffset).i64

    // Aligned 8 bytes: x86-64 and arm64 load and store them with one instruction, which cannot be seen half done.
    get value(): number {
      return this.view[this.index]!
    }
    set value(value: number) {
      checkElement('value', this.type as Element, value)
      this.view[this.index] = value
    }
    load(): number {
      return this.view[this.index]!
    }
    store(value: number): number {
      checkElement('value', this.type as Element, value)
      this.view[this.index] = value
      return value
    }
    exchange(value: number): number {
      checkElement('value', this.type as Element, value)
      this.assertOpen()
      return float64(Atomics.exchange(this.#bits, this.index, bits64(value)))
    }
    compareExchange(expected: number, next: number): number {
      checkElement('expected', this.type as Element, expected)
      checkElement('next', this.type as Element, next)
      this.assertOpen()
      for (;;) {
        const old = Atomics.load(this.#bits, this.index)
        const found = float64(old)
        if (!same(found, expected) || Atomics.compareExchange(this.#bits, this.index, old, bits64(next)) === old)
          return found
      }
    }
    add(n: number): number {
      checkNumberOperand(n)
      this.assertOpen()
      let old = Atomics.load(this.#bits, this.index)
      for (;;) {
        const before = float64(old)
        const found = Atomics.compareExchange(this.#bits, this.index, old, bits64(before + n))
        if (found === old) return before
        old = found
      }
    }
    sub(n: number): number {
      checkNumberOperand(n)
      return this.add(-n)
    }
  }
  return Float64Cell
}

function floats32(Base: CellClass) {
  abstract class Float32Cell extends Base {
    declare view: Float32Array
    readonly #bits = viewsAt(this.block.scalarOffset).i32

    get value(): number {
      return this.view[this.index]!
    }
    set value(value: number) {
      checkElement('value', this.type as Element, value)
      this.view[this.index] = value
    }
    load(): number {
      return this.view[this.index]!
    }
    store(value: number): number {
      checkElement('value', this.type as Element, value)
      this.view[this.index] = value
      return value
    }
    exchange(value: number): number {
      checkElement('value', this.type as Element, value)
      this.assertOpen()
      return float32(Atomics.exchange(this.#bits, this.index, bits32(value)))
    }
    compareExchange(expected: number, next: number): number {
      checkElement('expected', this.type as Element, expected)
      checkElement('next', this.type as Element, next)
      this.assertOpen()
      // What no float32 is cannot be found: 0.1 means the float32 nearest to it, as a store of 0.1 does.
      const wanted = Math.fround(expected)
      for (;;) {
        const old = Atomics.load(this.#bits, this.index)
        const found = float32(old)
        if (!same(found, wanted) || Atomics.compareExchange(this.#bits, this.index, old, bits32(next)) === old)
          return found
      }
    }
    add(n: number): number {
      checkNumberOperand(n)
      this.assertOpen()
      let old = Atomics.load(this.#bits, this.index)
      for (;;) {
        const before = float32(old)
        const found = Atomics.compareExchange(this.#bits, this.index, old, bits32(before + n))
        if (found === old) return before
        old = found
      }
    }
    sub(n: number): number {
      checkNumberOperand(n)
      return this.add(-n)
    }
  }
  return Float32Cell
}

export interface ScalarClasses {
  classOf(element: Element): new (...args: any[]) => Cell
}

/** The classes of all scalars over one base. */
export function scalarsOver(Base: CellClass): ScalarClasses {
  const integer = integers(Base)
  const bigint = bigints(Base)
  const boolean = booleans(Base)
  const float64 = floats64(Base)
  const float32 = floats32(Base)
  const byFamily = { integer, bigint, boolean }
  return {
    classOf: (element) =>
      (element.family === 'float' ? (element.size === 8 ? float64 : float32) : byFamily[element.family]) as never,
  }
}
