// What the types of synchronisation, contexts and the rest infer: checked by tsc, never run.
import * as mp from 'multiproc'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function expectType<Expected>() {
  return <Actual>(_actual: Actual, _equal: Equal<Expected, Actual>): void => {}
}

for (const lock of [new mp.Lock({ name: 'ledger' }), new mp.RLock()]) {
  // null only where there is a time-out.
  expectType<Promise<mp.Held>>()(lock.acquire(), true)
  expectType<Promise<mp.Held>>()(lock.acquire({ signal: AbortSignal.timeout(1) }), true)
  expectType<Promise<mp.Held | null>>()(lock.acquire({ timeout: 5 }), true)
  expectType<mp.Held>()(lock.acquireSync(), true)
  expectType<mp.Held | null>()(lock.acquireSync({ timeout: 5 }), true)
  expectType<mp.Held | null>()(lock.tryAcquire(), true)
  expectType<Promise<number>>()(
    lock.with(async () => 1),
    true,
  )
  expectType<string>()(
    lock.withSync((held) => `${held.abandoned}`),
    true,
  )
  expectType<mp.LockOwner | null>()(lock.owner, true)
  // @ts-expect-error no signal in a Sync form
  lock.acquireSync({ signal: AbortSignal.timeout(1) })
}
expectType<number>()(new mp.Semaphore(3).value, true)
expectType<mp.Held | null>()(new mp.BoundedSemaphore().acquireSync({ timeout: 0 }), true)
expectType<Promise<boolean>>()(
  new mp.Condition(new mp.RLock()).waitFor(() => true, { timeout: 1 }),
  true,
)
expectType<Promise<boolean>>()(new mp.Event().wait(), true)
expectType<number>()(new mp.Barrier(2, { action: () => {}, timeout: 5 }).waitSync(), true)
expectType<Promise<mp.Held>>()(new mp.RWLock().read(), true)
// @ts-expect-error how many is required
new mp.Barrier()

const context = mp.getContext('spawn')
expectType<mp.Value<bigint>>()(new context.Value('q', 1n), true)
expectType<mp.Queue<string>>()(new context.Queue<string>(), true)
new context.Process({ target: (n: number) => n, args: [1] })
// @ts-expect-error of another type
new context.Process({ target: (n: number) => n, args: ['1'] })
// @ts-expect-error no such start method
mp.getContext('thread')
const { available, reason } = mp.startMethodStatus('fork')
expectType<boolean>()(available, true)
expectType<string | undefined>()(reason, true)

const child = new mp.Process()
const queue = new mp.Queue<number>()
const ready = await mp.wait([child.sentinel, queue], { timeout: 1 })
expectType<(mp.Sentinel | mp.Queue<number>)[]>()(ready, true)

const memory = new mp.SharedMemory({ create: true, size: 64 })
expectType<Float64Array<ArrayBuffer>>()(memory.as('d'), true)
const list = new mp.ShareableList([1, 'a', null])
expectType<string | number | null>()(list.get(0), true)
list.set(0, 2)
// @ts-expect-error objects are not shareable in this way
new mp.ShareableList([{}])
const dict = new mp.SharedDict<string, { n: number }>()
expectType<{ n: number } | undefined>()(dict.get('a'), true)
// @ts-expect-error of another type
dict.set('a', 1)
expectType<number>()(new mp.SharedList([1]).push(2), true)

try {
  queue.getSync()
} catch (error) {
  if (error instanceof mp.MultiprocError) expectType<string>()(error.code, true)
  if (error instanceof mp.WorkerLostError) expectType<NodeJS.Signals | null>()(error.signal, true)
}
