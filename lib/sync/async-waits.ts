// Waiting for locks without blocking: promises of this thread, in order, behind one doorbell.
//
//   acquire() ─ taken ─▶ queue of its lock ─▶ native: this environment is registered in its slot
//   release elsewhere ─▶ rings this environment ─▶ onRing(): each queue tries; its first waiter gets the lock
//
// The native helper thread looks again every 100 ms for what a killed process did not ring for.
import { binding } from '../binding'
import { countPending, onFork, onRing } from '../memory'

export interface Waiter {
  /** The lock was closed here. */
  closed(): void
  /** This is a forked child: it was the parent that waited. */
  forked(): void
  /** The lock is ours: `abandoned` says that its owner died. */
  acquired(abandoned: boolean): void
}

class WaitQueue {
  readonly waiters: Waiter[] = []
  overtaken = 0
  constructor(readonly offset: number) {}
}

/** So often may others be faster before the next release has to hand the lock over. */
const MAX_OVERTAKES = 4

const queues = new Map<number, WaitQueue>()
let listening = false

function listen(): void {
  if (!listening) {
    listening = true
    onRing(() => {
      for (const queue of [...queues.values()]) pump(queue)
    })
  }
  countPending(1)
}

/** Gives the lock to the first waiter if it can be had. */
function pump(queue: WaitQueue): void {
  if (queue.waiters.length === 0) return
  const result = binding().lockTryOrRegister(queue.offset)
  if (result === 2) {
    if (++queue.overtaken > MAX_OVERTAKES) binding().lockMarkStarving(queue.offset)
    return
  }
  queue.overtaken = 0
  const waiter = queue.waiters.shift()!
  if (queue.waiters.length === 0) forget(queue)
  // The lock is this thread's now, so the next waiter has to be registered anew.
  else if (binding().lockTryOrRegister(queue.offset) !== 2) binding().lockRelease(queue.offset, 0)
  waiter.acquired(result === 1)
}

/** The lock is closed in this thread: nobody may touch its memory any more. */
export function abandonWaits(offset: number): void {
  const queue = queues.get(offset)
  if (queue === undefined) return
  const waiters = queue.waiters.splice(0)
  forget(queue)
  binding().lockUnregister(offset)
  for (const waiter of waiters) waiter.closed()
}

onFork(() => {
  const inherited = [...queues.values()].flatMap((queue) => queue.waiters.splice(0))
  queues.clear()
  for (const waiter of inherited) waiter.forked()
})

function forget(queue: WaitQueue): void {
  queues.delete(queue.offset)
  countPending(-1)
}

/** This thread released the lock: its own waiters need no ring. One a turn of the loop, so that it stays free. */
export function pumpSoon(offset: number): void {
  setImmediate(() => {
    const queue = queues.get(offset)
    if (queue !== undefined) pump(queue)
  })
}

/** Are promises of this thread waiting for the lock? Who comes now queues behind them. */
export function isAwaited(offset: number): boolean {
  return queues.size !== 0 && queues.has(offset)
}

/** Tries, else waits. true, false: acquired at once, false if it was abandoned; a function: ends the wait. */
export function acquireOrWait(offset: number, waiter: Waiter): 'acquired' | 'abandoned' | (() => void) {
  let queue = queues.get(offset)
  if (queue === undefined) {
    const result = binding().lockTryOrRegister(offset)
    if (result !== 2) return result === 1 ? 'abandoned' : 'acquired'
    queue = new WaitQueue(offset)
    queues.set(offset, queue)
    listen()
  }
  queue.waiters.push(waiter)
  return () => {
    const index = queue.waiters.indexOf(waiter)
    if (index < 0) return
    queue.waiters.splice(index, 1)
    if (queue.waiters.length > 0) return
    forget(queue)
    binding().lockUnregister(offset)
  }
}
