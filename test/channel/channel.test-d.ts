// What the types of queues and connections infer: checked by tsc, never run.
import * as mp from 'multiproc'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function expectType<Expected>() {
  return <Actual>(_actual: Actual, _equal: Equal<Expected, Actual>): void => {}
}

const queue = new mp.Queue<{ id: number }>({ maxSize: 5, capacity: 1000, name: 'jobs' })
expectType<Promise<{ id: number }>>()(queue.get(), true)
expectType<{ id: number }>()(queue.getSync({ timeout: 5 }), true)
expectType<{ id: number } | undefined>()(queue.tryGet(), true)
expectType<boolean>()(queue.tryPut({ id: 1 }), true)
expectType<Promise<void>>()(queue.put({ id: 1 }, { timeout: 5, signal: AbortSignal.timeout(1) }), true)
expectType<Promise<{ id: number }[]>>()(queue.getMany(5), true)
expectType<{ id: number }[]>()(queue.getManySync(), true)
queue.putManySync(new Set([{ id: 1 }]))
// @ts-expect-error not a message of this queue
queue.putSync('text')
// @ts-expect-error no signal in a Sync form
queue.getSync({ signal: AbortSignal.timeout(1) })
// @ts-expect-error no such option
new mp.Queue({ maxsize: 5 })
// @ts-expect-error a Queue has no join
queue.join()
for await (const message of queue) expectType<{ id: number }>()(message, true)
expectType<Promise<any>>()(new mp.Queue().get(), true)

const jobs = new mp.JoinableQueue<string>()
expectType<Promise<boolean>>()(jobs.join({ timeout: 5 }), true)
expectType<boolean>()(jobs.joinSync(), true)
expectType<void>()(jobs.taskDone(), true)
const asQueue: mp.Queue<string> = jobs
asQueue.shutdown({ immediate: true })

const simple = new mp.SimpleQueue<number>()
expectType<number>()(simple.getSync(), true)
// @ts-expect-error a SimpleQueue has no qsize
simple.qsize()

const [first, second] = mp.Pipe<'ping', 'pong'>({ duplex: true, capacity: 100 })
expectType<mp.Connection<'ping', 'pong'>>()(first, true)
expectType<mp.Connection<'pong', 'ping'>>()(second, true)
expectType<Promise<'pong'>>()(first.recv(), true)
expectType<'ping'>()(second.recvSync(), true)
expectType<Uint8Array>()(first.recvBytesSync({ maxLength: 5 }), true)
expectType<Promise<number>>()(first.recvBytesInto(new Float64Array(4), { offset: 8 }), true)
// @ts-expect-error the first end sends pings
first.sendSync('pong')
// @ts-expect-error bytes only
first.sendBytesSync('ping')
for await (const message of first) expectType<'pong'>()(message, true)
{
  using held = new mp.Queue<number>()
  held.putSync(1)
}
