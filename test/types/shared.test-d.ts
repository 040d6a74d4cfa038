// What the types of shared values infer: checked by tsc, never run.
import * as mp from 'multiproc'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function expectType<Expected>() {
  return <Actual>(_actual: Actual, _equal: Equal<Expected, Actual>): void => {}
}

const int = new mp.Value('i', 0)
expectType<mp.Value<number>>()(int, true)
expectType<number>()(int.value, true)
expectType<number>()(int.add(1), true)
expectType<number>()(int.compareExchange(1, 2), true)
expectType<Promise<number>>()(
  int.update((n) => n + 1),
  true,
)
expectType<mp.Value<number>>()(new mp.Value('float64'), true)

const big = new mp.Value('q', 1n)
expectType<mp.Value<bigint>>()(big, true)
expectType<bigint>()(big.exchange(2n), true)
// @ts-expect-error 64-bit integers are bigint only
new mp.Value('q', 1)
// @ts-expect-error and take no numbers
big.add(1)

const flag = new mp.Value('bool', false)
expectType<mp.Value<boolean>>()(flag, true)
expectType<boolean>()(flag.exchange(true), true)
// @ts-expect-error a boolean cannot be added to
flag.add(true)

const raw = new mp.RawValue('L')
expectType<mp.RawValue<bigint>>()(raw, true)
// @ts-expect-error a raw value has no lock
raw.getLock()

// @ts-expect-error no such type
new mp.Value('int')

const floats = new mp.SharedArray('d', 8)
expectType<mp.SharedArray<Float64Array<ArrayBuffer>>>()(floats, true)
expectType<number | undefined>()(floats.at(0), true)
floats.getLock()
const plain: Float64Array = floats.map((x) => x * 2)
plain.length
expectType<mp.SharedArray<Uint8Array<ArrayBuffer>>>()(new mp.SharedArray('bool', [true]), true)
expectType<mp.RawArray<BigInt64Array<ArrayBuffer>>>()(new mp.RawArray('l', [1n]), true)
const aliased: mp.Array<Int32Array<ArrayBuffer>> = new mp.Array('i', [1, 2, 3])
aliased.length
// @ts-expect-error elements of 'i' are numbers
new mp.Array('i', ['1'])

const Inner = mp.struct({ a: 'int8', on: 'bool' })
const Point = mp.struct({ x: 'float64', id: 'int64', tag: mp.bytes(16), inner: Inner, grid: mp.array('int32', 9) })
const point = new mp.Value(Point, { x: 1, grid: [1, 2, 3], inner: { on: true } })
expectType<number>()(point.value.x, true)
expectType<bigint>()(point.value.id, true)
expectType<Uint8Array>()(point.value.tag, true)
expectType<boolean>()(point.value.inner.on, true)
expectType<Int32Array<ArrayBuffer>>()(point.value.grid, true)
expectType<number>()(Point.offsets.tag, true)
// @ts-expect-error no such field
point.value.z
// @ts-expect-error a struct cannot be added to
point.add
// @ts-expect-error of another type
new mp.Value(Point, { x: '1' })

const points = new mp.SharedArray(Point, 3)
expectType<number | undefined>()(points.at(0)?.x, true)
for (const { inner } of points) expectType<number>()(inner.a, true)
points.set(0, { x: 1, id: 1n, tag: new Uint8Array(16), inner: { a: 1, on: false }, grid: [] })
