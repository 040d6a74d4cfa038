// The promises of this thread that wait in cells: a queue for each cell, and one doorbell for all of them.
//
//   waitAsync() ─▶ queue of the cell          the cell's `want` counts what waits in it
//   granter     ─▶ grants in the cell, rings this thread
//   serve()     ─▶ each queue's object hands the cell's grants to the queue's first waiters
//
// The native helper thread looks every 100 ms for grants whose granter was killed before it could ring.
import { binding } from '../binding'
import { countPending, onFork, onRing } from '../memory'

/** A promise that waits in a cell. */
export interface Waiter {
  /** The object was closed here. */
  closed(): void
  /** This is a forked child: it was the parent that waited. */
  forked(): void
  /** Called outside of the monitor. */
  granted(result: number): void
}

/** Whose cells promises wait in. */
export interface CellOwner {
  readonly offset: number
  /** Gives the cell's grants to the promises that wait in it. */
  serveCell(queue: CellQueue): void
}

/** The promises of this thread that wait in one cell, in order. */
export interface CellQueue {
  readonly object: CellOwner
  readonly cell: number
  /** Offset of the cell. */
  readonly at: number
  readonly waiters: Waiter[]
}

const queues = new Map<number, CellQueue>()
let listening = false

onFork(() => {
  const inherited = [...queues.values()].flatMap((queue) => queue.waiters.splice(0))
  queues.clear()
  for (const waiter of inherited) waiter.forked()
})

/** The queue of the cell at `at`; a new one keeps the event loop alive until forgetIfEmpty(). */
export function queueOf(object: CellOwner, cell: number, at: number): CellQueue {
  let queue = queues.get(at)
  if (queue === undefined) {
    queue = { object, cell, at, waiters: [] }
    if (!listening) onRing(serve)
    listening = true
    queues.set(at, queue)
    binding().awaitCell(at)
    countPending(1)
  }
  return queue
}

export function forgetIfEmpty(queue: CellQueue): void {
  if (queue.waiters.length > 0 || queues.get(queue.at) !== queue) return
  queues.delete(queue.at)
  binding().unawaitCell(queue.at)
  countPending(-1)
}

/** The queues of all cells of the object at `offset`. */
export function queuesOf(offset: number): CellQueue[] {
  return [...queues.values()].filter((queue) => queue.object.offset === offset)
}

/** This thread was rung, or has granted something to itself. */
export function serve(): void {
  for (const queue of [...queues.values()]) queue.object.serveCell(queue)
}
