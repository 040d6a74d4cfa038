// Promises that wait for channels: one registration for each channel and reason, however many wait behind it.
//
//   watch() → channelAwait → the other side's next commit rings this thread's bell → onRing → the callbacks try again
//
// The helper thread looks every 100 ms for what a killed process did not ring for. Two objects of this thread on one channel
// (a queue, and the same queue from a message) share the registration: the addon knows the side, not the object.
import { binding } from '../binding'
import { countPending, inWindow, onFork, onRing, viewsAt } from '../memory'

/** What is waited for; the numbers are the addon's. */
export const MESSAGE = 0
export const ROOM = 1
export const DONE = 2
export type Which = typeof MESSAGE | typeof ROOM | typeof DONE

interface Watch {
  readonly channel: number
  readonly which: Which
  readonly side: number
  readonly words: Uint32Array
  readonly index: number
  seen: number
  readonly callbacks: Set<() => void>
  /** Those of them that keep the event loop alive. */
  refs: number
}

const watches = new Map<number, Watch>()
/** How many of them there are for a side of a channel, by its place in memory. */
const sides = new Map<number, number>()
let listening = false

// In a forked child: it is the parent that waits.
onFork(() => {
  for (const watch of watches.values()) {
    watch.callbacks.clear()
    watch.refs = 0
  }
  watches.clear()
  sides.clear()
})

function serve(): void {
  for (const watch of [...watches.values()])
    if (Atomics.load(watch.words, watch.index) !== watch.seen || watch.callbacks.size === 0) fire(watch)
}

/** Each callback tries, and watches again if it was in vain. */
function fire(watch: Watch): void {
  const callbacks = [...watch.callbacks]
  watch.callbacks.clear()
  setRefs(watch, 0)
  for (const callback of callbacks) callback()
  if (watch.callbacks.size === 0) end(watch)
}

function end(watch: Watch): void {
  const key = watch.channel * 4 + watch.which
  if (watches.get(key) !== watch) return
  watches.delete(key)
  const others = sides.get(watch.side)! - 1
  if (others > 0) {
    sides.set(watch.side, others)
    setImmediate(serve) // the others look: what rang for us may be for them
    return
  }
  sides.delete(watch.side)
  binding().channelUnawait(watch.channel, watch.which)
}

function setRefs(watch: Watch, refs: number): void {
  if (watch.refs > 0 !== refs > 0) countPending(refs > 0 ? 1 : -1)
  watch.refs = refs
}

/**
 * Calls back once, on the event loop, when the other side of the channel has moved on from where the last look or try found it.
 * `ref`: it keeps the event loop alive until then. Gives how to stop that.
 */
export function watch(channel: number, offset: number, which: Which, ref: boolean, callback: () => void): () => void {
  if (!listening) {
    listening = true
    onRing(serve)
  }
  const key = channel * 4 + which
  let w = watches.get(key)
  if (w === undefined) {
    const at = offset + binding().channelSignals[which]!
    sides.set(at, (sides.get(at) ?? 0) + 1)
    w = {
      channel,
      which,
      side: at,
      words: viewsAt(at).u32,
      index: inWindow(at) / 4,
      seen: 0,
      callbacks: new Set(),
      refs: 0,
    }
    watches.set(key, w)
  }
  const mine = w
  mine.callbacks.add(callback)
  if (ref) setRefs(mine, mine.refs + 1)
  const seen = binding().channelAwait(channel, which)
  if (seen < 0) {
    mine.seen = -1
    setImmediate(serve)
  } else mine.seen = seen
  // The helper thread knows the last look only: what another object has not seen yet it looks for itself.
  if (sides.get(mine.side)! > 1) setImmediate(serve)
  return () => {
    if (!mine.callbacks.delete(callback)) return
    if (ref) setRefs(mine, mine.refs - 1)
    if (mine.callbacks.size === 0) end(mine)
  }
}

/** The channel is closed in this thread: nobody may touch it any more. */
export function endWatches(channel: number): void {
  for (const which of [MESSAGE, ROOM, DONE] as const) {
    const w = watches.get(channel * 4 + which)
    if (w === undefined) continue
    w.callbacks.clear()
    setRefs(w, 0)
    end(w)
  }
}
