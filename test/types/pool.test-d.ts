// What the types of pools, executors and managers infer: checked by tsc, never run.
import * as mp from 'multiproc'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function expectType<Expected>() {
  return <Actual>(_actual: Actual, _equal: Equal<Expected, Actual>): void => {}
}

const pool = new mp.Pool({ processes: 2, initializer: (n: number) => n, initargs: [1], retries: 1 })
const length = (text: string): number => text.length
const later = async (text: string): Promise<{ n: number }> => ({ n: text.length })

expectType<mp.Task<number[]>>()(pool.map(length, ['a']), true)
expectType<number[]>()(await pool.map(length, new Set(['a'])), true)
expectType<mp.Task<{ n: number }[]>>()(pool.map(later, ['a'], { chunkSize: 2, timeout: 5 }), true)
// An inline function is told what the items are.
expectType<string[]>()(await pool.map((x) => x.toFixed(1), [1, 2]), true)
expectType<number[]>()(pool.mapSync(length, ['a']), true)
// @ts-expect-error the items are not what the function takes
pool.map(length, [1])
// @ts-expect-error nothing that can be iterated
pool.map(length, 5)
// @ts-expect-error no such option
pool.map(length, ['a'], { chunksize: 1 })

const add = (a: number, b: string): string => a + b
expectType<mp.Task<string>>()(pool.apply(add, [1, 'x']), true)
expectType<string>()(pool.applySync(add, [1, 'x']), true)
expectType<mp.Task<number>>()(
  pool.apply(() => 1),
  true,
)
expectType<mp.Task<{ n: number }>>()(pool.apply(later, ['x'], { callback: ({ n }) => void n.toFixed() }), true)
expectType<mp.Task<string[]>>()(pool.starmap(add, [[1, 'x']]), true)
// @ts-expect-error an argument is missing
pool.apply(add, [1])
// @ts-expect-error of another type
pool.apply(add, ['x', 1])
// @ts-expect-error arguments are required
pool.apply(add)
// @ts-expect-error of another type
pool.starmap(add, [['x', 1]])

for await (const n of pool.imap(length, ['a'])) expectType<number>()(n, true)
for await (const { n } of pool.imapUnordered(later, new mp.Queue<string>())) expectType<number>()(n, true)
for (const n of pool.imapSync(length, ['a'])) expectType<number>()(n, true)
for await (const settled of pool.imap(length, ['a'], { settle: true }))
  expectType<PromiseSettledResult<number>>()(settled, true)
expectType<mp.Task<string[]>>()(pool.broadcast(add, [1, 'x']), true)
// @ts-expect-error a number of processes or options
new mp.Pool('2')
// @ts-expect-error no such option
new mp.Pool({ workers: 2 })

const executor = new mp.ProcessPoolExecutor(2)
expectType<mp.Future<string>>()(executor.submit(add, 1, 'x'), true)
expectType<mp.Future<{ n: number }>>()(executor.submit(later, 'x'), true)
// @ts-expect-error of another type
executor.submit(add, 'x', 1)
const { done } = await mp.waitFutures([executor.submit(later, 'x')])
expectType<Set<mp.Future<{ n: number }>>>()(done, true)

class Maths {
  total = 0
  add(n: number): number {
    this.total += n
    return this.total
  }
  async slow(): Promise<string> {
    return 'x'
  }
}
const maths = new (mp.BaseManager.with({ Maths }))().Maths()
expectType<Promise<number>>()(maths.add(1), true)
expectType<Promise<string>>()(maths.slow(), true)
expectType<Promise<number>>()(maths.total, true)
// @ts-expect-error no such method
maths.sub(1)

const manager = await mp.Manager()
const dict = manager.dict<string, number>()
expectType<Promise<number | undefined>>()(dict.get('a'), true)
// @ts-expect-error of another type
dict.set('a', 'b')
const space = manager.Namespace({ x: 1, name: 'n' })
expectType<number>()(await space.x, true)
expectType<string>()(space.sync.name, true)
expectType<Promise<number>>()(space.get('x'), true)
