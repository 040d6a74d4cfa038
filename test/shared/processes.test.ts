// Shared values across processes: CPython's _TestValue, _TestArray and _TestSharedCTypes, and what only we promise.
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'

const started: mp.Process<any>[] = []
async function run<T extends (...args: any[]) => unknown>(target: T, ...args: Parameters<T>): Promise<void> {
  const process = new mp.Process({ target, args, daemon: true } as never)
  started.push(process)
  process.start()
  expect(await process.join({ timeout: 30_000 })).toBe(true)
  expect(process.exitCode).toBe(0)
}
async function runMany<T extends (...args: any[]) => unknown>(
  n: number,
  target: T,
  ...args: Parameters<T>
): Promise<void> {
  await Promise.all(Array.from({ length: n }, () => run(target, ...args)))
}
afterEach(() => {
  expect(mp.activeChildren()).toEqual([])
  for (const process of started.splice(0)) process.close()
})

const raws = [
  ['with locks', mp.Value as any, mp.SharedArray as any],
  ['raw', mp.RawValue as any, mp.RawArray as any],
] as const

describe.each(raws)('%s', (_, Value, SharedArray) => {
  it('values of every type are set by a child', async () => {
    const cases: [string, unknown, unknown][] = [
      ['i', 4343, 24234],
      ['d', 3.625, -4.25],
      ['f', 0.5, -0.25],
      ['h', -232, 234],
      ['b', -1, -128],
      ['B', 1, 255],
      ['H', 1, 65535],
      ['I', 1, 2 ** 32 - 1],
      ['q', 2n ** 33n, 2n ** 34n],
      ['l', -1n, -(2n ** 63n)],
      ['L', 1n, 2n ** 64n - 1n],
      ['Q', 1n, 2n ** 63n],
      ['c', 120, 121],
      ['u', 0x78, 0x1f600],
      ['bool', false, true],
    ]
    const values = cases.map(([type, initial]) => new Value(type, initial))
    expect(values.map((v) => v.value)).toEqual(cases.map((c) => c[1]))
    await run(
      (targets: any[], next: unknown[]) => {
        for (const [i, target] of targets.entries()) target.value = next[i]
      },
      values,
      cases.map((c) => c[2]),
    )
    expect(values.map((v) => v.value)).toEqual(cases.map((c) => c[2]))
    for (const v of values) v.close()
  })

  it('an array is summed up by a child', async () => {
    const seq = [680, 626, 934, 821, 150, 233, 548, 982, 714, 831]
    const f = (a: { length: number; [i: number]: number }) => {
      for (let i = 1; i < a.length; i++) a[i]! += a[i - 1]!
    }
    const arr = new SharedArray('i', seq)
    expect(arr.length).toBe(seq.length)
    expect([...arr.subarray(2, 7)]).toEqual(seq.slice(2, 7))
    seq.splice(4, 4, 1, 2, 3, 4)
    arr.set([1, 2, 3, 4], 4)
    expect([...arr]).toEqual(seq)
    f(seq)
    await run(f, arr)
    expect([...arr]).toEqual(seq)
    arr.close()
  })

  it('memory that was used before is zeroed', () => {
    for (let i = 0; i < 3; i++) {
      const arr = new SharedArray('i', 10)
      expect([...arr]).toEqual(Array(10).fill(0))
      arr.set([...Array(10).keys()])
      expect([...arr]).toEqual([...Array(10).keys()])
      arr.close()
      const value = new Value('i')
      expect(value.value).toBe(0)
      value.value = -1
      value.close()
    }
  })

  it('scalars, structs, arrays and bytes are doubled by a child', async () => {
    const Foo = mp.struct({ x: 'i', y: 'd', z: 'q' })
    const x = new Value('i', 7)
    const y = new Value('d', 1 / 3)
    const z = new Value('q', 2n ** 33n)
    const foo = new Value(Foo, { x: 3, y: 2 })
    const arr = new SharedArray('d', Array(10).keys())
    const string = new SharedArray('c', 20)
    string.set(Buffer.from('hello'))
    await run(
      (x: any, y: any, z: any, foo: any, arr: any, string: any) => {
        x.value *= 2
        y.value *= 2
        z.value *= 2n
        foo.value.x *= 2
        foo.value.y *= 2
        string.copyWithin(5, 0, 5)
        for (let i = 0; i < arr.length; i++) arr[i] *= 2
      },
      x,
      y,
      z,
      foo,
      arr,
      string,
    )
    expect([x.value, y.value, z.value]).toEqual([14, 2 / 3, 2n ** 34n])
    expect({ ...foo.value }).toEqual({ x: 6, y: 4, z: 0n })
    expect([...arr]).toEqual(Array.from({ length: 10 }, (_, i) => 2 * i))
    expect(Buffer.from(string).toString()).toBe(`hellohello${'\0'.repeat(10)}`)
    for (const shared of [x, y, z, foo, arr, string]) shared.close()
  })
})

it('a huge array is zeroed and shared', async () => {
  const arr = new mp.RawArray('d', 2 ** 21)
  expect(arr.every((x) => x === 0)).toBe(true)
  await run((a) => void a.fill(1), arr)
  expect(arr.reduce((a, b) => a + b)).toBe(2 ** 21)
  arr.close()
})

it('a copy of a struct is not shared', () => {
  const foo = new mp.Value(mp.struct({ x: 'i', y: 'd', z: 'q' }), { x: 2, y: 5, z: 2n ** 33n })
  const bar = { ...foo.value }
  foo.value = { x: 0, y: 0, z: 0n }
  expect(bar).toEqual({ x: 2, y: 5, z: 2n ** 33n })
})

it.each(['i', 'I', 'b', 'B', 'h', 'H', 'd', 'f'] as const)(
  'add on %s loses nothing between processes',
  async (type) => {
    const value = new mp.Value(type, 0)
    await runMany(
      3,
      (v, n) => {
        for (let i = 0; i < n; i++) v.add(1)
      },
      value,
      20_000,
    )
    const total = 60_000
    const wrapped =
      { B: total % 256, H: total, h: (total << 16) >> 16, b: (total << 24) >> 24 }[type as string] ?? total
    expect(value.value).toBe(wrapped)
  },
)

it('add on 64-bit integers loses nothing between processes', async () => {
  const value = new mp.Value('q', 2n ** 40n)
  await runMany(
    3,
    (v) => {
      for (let i = 0; i < 20_000; i++) v.sub(1n)
    },
    value,
  )
  expect(value.value).toBe(2n ** 40n - 60_000n)
})

it('compareExchange of floats loses nothing between processes', async () => {
  const value = new mp.Value('d', 0)
  await runMany(
    3,
    (v) => {
      for (let i = 0; i < 10_000; i++) {
        let old = v.load()
        for (;;) {
          const seen = v.compareExchange(old, old + 0.5)
          if (seen === old) break
          old = seen
        }
      }
    },
    value,
  )
  expect(value.value).toBe(15_000)
})

it('update, sync and async, excludes other processes', async () => {
  const Pair = mp.struct({ a: 'i', b: 'i' })
  const value = new mp.Value('i', 0)
  const pair = new mp.Value(Pair)
  await runMany(
    3,
    async (v: mp.Value<number>, p: typeof pair) => {
      for (let i = 0; i < 500; i++) {
        v.updateSync((n) => n + 1)
        await v.update((n) => n + 1)
        p.updateSync((s) => {
          s.a += 1
          s.b -= 1
          return s
        })
      }
    },
    value,
    pair,
  )
  expect(value.value).toBe(3000)
  expect({ ...pair.value }).toEqual({ a: 1500, b: -1500 })
})

it('a float64 is never seen half stored', async () => {
  // Two doubles whose halves all differ: a mix of them is neither.
  const one = 1.2345678901234e-300
  const other = -9.876543210987e300
  const value = new mp.RawValue('d', one)
  const done = new mp.RawValue('bool')
  const torn = new mp.RawValue('i')
  const reader = run(
    (v, d, t, a, b) => {
      while (!d.value) if (![a, b].includes(v.value)) t.add(1)
    },
    value,
    done,
    torn,
    one,
    other,
  )
  await run(
    (v, a, b) => {
      for (let i = 0; i < 2_000_000; i++) v.value = i & 1 ? a : b
    },
    value,
    one,
    other,
  )
  done.value = true
  await reader
  expect(torn.value).toBe(0)
})

it('a lock that was given travels with its value', async () => {
  const lock = new mp.Lock()
  const a = new mp.Value('i', 0, { lock })
  const b = new mp.SharedArray('i', 1, { lock })
  await runMany(
    3,
    (x, y) => {
      for (let i = 0; i < 1000; i++)
        x.getLock().withSync(() => {
          x.value += 1
          y[0]! += 1
        })
    },
    a,
    b,
  )
  expect([a.value, b[0]]).toEqual([3000, 3000])
})

it('lock: false, names and types arrive', async () => {
  const said = new mp.SharedArray('c', 200)
  await run(
    (v, p, a, out) => {
      let code = ''
      try {
        v.getLock()
      } catch (error) {
        code = (error as { code: string }).code
      }
      const text = `${(v as any)[Symbol.for('nodejs.util.inspect.custom')](2, {})} ${code} ${p.value.tag.length} ${a.at(-1)!.id}`
      out.set(Buffer.from(text))
    },
    new mp.Value('i', 7, { lock: false, name: 'hits' }),
    new mp.Value(mp.struct({ tag: mp.bytes(16) })),
    new mp.SharedArray(mp.struct({ id: 'H' }), [{ id: 1 }, { id: 65535 }]),
    said,
  )
  expect(Buffer.from(said).toString().replace(/\0+$/, '')).toBe(
    'Value<int32> "hits" { value: 7 } ERR_MP_STATE 16 65535',
  )
})

it('views stay shared: subarray, DataView, fields of a struct, one element of a StructArray', async () => {
  const arr = new mp.SharedArray('d', 10)
  const value = new mp.Value(mp.struct({ grid: mp.array('i', 4), inner: mp.struct({ z: 'i' }) }))
  const points = new mp.SharedArray(mp.struct({ x: 'i' }), 3)
  await run(
    (part, view, grid, inner, point) => {
      part.fill(1)
      view.setFloat64(0, 5, true)
      grid[3] = 6
      inner.z = 7
      point.x = 8
    },
    arr.subarray(5) as Float64Array,
    new DataView(arr.buffer, 8, 8),
    value.value.grid,
    value.value.inner,
    points.at(1)!,
  )
  expect([...arr]).toEqual([0, 5, 0, 0, 0, 1, 1, 1, 1, 1])
  expect(value.value.grid[3]).toBe(6)
  expect(value.value.inner.z).toBe(7)
  expect(points.at(1)!.x).toBe(8)
})

it('a struct type that a function captures arrives as a type', async () => {
  const Point = mp.struct({ x: 'd', g: mp.array('h', 3) })
  const out = new mp.RawValue('i')
  await run((o) => {
    o.value = new mp.Value(Point, { x: 1 }).value.g.length + Point.size
  }, out)
  expect(out.value).toBe(3 + 16)
})
