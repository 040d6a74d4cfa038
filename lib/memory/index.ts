// Blocks of shared memory as the rest of the library sees them, and this thread's place among their owners.
//
// Small blocks are seen through typed arrays over a whole window of the root, made once and kept private: a user's array
// always has an ArrayBuffer of its own. A block lives as long as the object given as its owner, in any process.
import type { BlockHandle } from '../../binding'
import { binding } from '../binding'

export type { BlockHandle }

/** What a block is for; the same numbers in native/core/layout.h. Those with a lock have it in their first 32 bytes. */
export const Kind = {
  data: 0,
  lock: 1,
  rlock: 2,
  value: 3,
  lockedValue: 4,
  array: 5,
  lockedArray: 6,
  parcel: 7,
  sync: 8,
  channel: 9,
  message: 11,
  end: 12,
  collection: 13,
} as const

/** Typed arrays over one window. An element's index is inWindow(offset) / its size. */
export interface Views {
  readonly i8: Int8Array
  readonly u8: Uint8Array
  readonly i16: Int16Array
  readonly u16: Uint16Array
  readonly i32: Int32Array
  readonly u32: Uint32Array
  readonly f32: Float32Array
  readonly f64: Float64Array
  readonly i64: BigInt64Array
  readonly u64: BigUint64Array
}

let windowBytes = 0
const windows = new Map<number, Views>()
let place: { me: number; slot: number; rootId: string } | undefined
/** This thread among the owners. A forked child is another owner than its parent was: nobody keeps a copy. */
export const here = {
  /** Its owner id. */
  me: 0,
  /** How many forks lie between the first process and this one: what remembers another number was its parent's. */
  forks: 0,
}
let sentinels: FinalizationRegistry<undefined> | undefined

/** Joins the shared memory of this process's family, making it if there is none. `thread`: of a caller who knows it. */
export function attach(thread?: number): { me: number; slot: number; rootId: string } {
  if (place === undefined) {
    windowBytes = binding().windowBytes
    place = binding().attach(thread ?? process.getBuiltinModule('node:worker_threads').threadId)
    here.me = place.me
    watchCollections()
  }
  return place
}

/** After each full garbage collection: one object is watched, not each block, and its end means that there was one. */
function watchCollections(): void {
  sentinels = new FinalizationRegistry(() => {
    binding().sweep()
    sentinels?.register({}, undefined)
  })
  sentinels.register({}, undefined)
}

const listeners: (() => void)[] = []

/** Calls back on the event loop whenever this thread is rung: something it waits for may be had, or its parent has ended. */
export function onRing(listener: () => void): void {
  attach()
  listeners.push(listener)
  if (listeners.length === 1) listen()
}

function listen(): void {
  binding().onRing(() => {
    for (const l of listeners) l()
  })
}

const forkListeners: (() => void)[] = []

/** Calls back in a forked child, before any code of its own runs: what was the parent's must be given up. */
export function onFork(listener: () => void): void {
  forkListeners.push(listener)
}

/** In a forked child: this thread becomes the owner behind the slot that was reserved for it. Throws if that is gone. */
export function rejoin(slot: number, generation: number, daemon: boolean, grace: number): void {
  binding().rejoin(slot, generation, daemon, grace)
  place = binding().attach(0)
  here.me = place.me
  here.forks++
  pending = 0
  if (listeners.length > 0) listen()
  for (const listener of forkListeners) listener()
}

/** A ring was answered by a blocking wait: who waits on the event loop looks, too. */
export function ringAgain(): void {
  setImmediate(() => {
    for (const l of listeners) l()
  })
}

let pending = 0

/** So many more (or fewer) waits of this thread have promises that keep the event loop alive. */
export function countPending(change: 1 | -1): void {
  pending += change
  if (pending === (change === 1 ? 1 : 0)) binding().refDoorbell(change === 1)
}

/** Where a small block lies within its window, in bytes. */
export function inWindow(offset: number): number {
  return offset % windowBytes
}

/** The views over the window that holds a small block. */
export function viewsAt(offset: number): Views {
  const index = Math.floor(offset / windowBytes)
  let views = windows.get(index)
  if (views === undefined) {
    const buffer = binding().window(index)
    views = {
      i8: new Int8Array(buffer),
      u8: new Uint8Array(buffer),
      i16: new Int16Array(buffer),
      u16: new Uint16Array(buffer),
      i32: new Int32Array(buffer),
      u32: new Uint32Array(buffer),
      f32: new Float32Array(buffer),
      f64: new Float64Array(buffer),
      i64: new BigInt64Array(buffer),
      u64: new BigUint64Array(buffer),
    }
    windows.set(index, views)
  }
  return views
}

/** A new zeroed block of at most 32 KiB: its offset. It lives as long as `owner`, or until drop(). Throws ENOSPC. */
export function allocate(owner: object, bytes: number, kind: number): number {
  attach()
  return binding().allocate(owner, bytes, kind)
}

/** A new zeroed block of any size with an ArrayBuffer over exactly `bytes` of it, which is its owner. Throws ENOSPC. */
export function allocateBuffer(bytes: number, kind: number): { buffer: ArrayBuffer; offset: number } {
  attach()
  return binding().allocateBuffer(bytes, kind)
}

/** Keeps a block that came from elsewhere for as long as `owner` lives. Throws ERR_MP_GONE, ERR_MP_CORRUPT. */
export function adopt(owner: object, handle: BlockHandle, kind: number): void {
  attach()
  binding().adopt(owner, handle.offset, handle.generation, kind)
}

/** The ArrayBuffer over a block that came from elsewhere, the same one while it lives. Throws as adopt. */
export function adoptBuffer(handle: BlockHandle, kind: number): ArrayBuffer {
  attach()
  return binding().adoptBuffer(handle.offset, handle.generation, kind)
}

/** How a block that this thread holds is named elsewhere. */
export function handleOf(offset: number): BlockHandle {
  return binding().handle(offset)
}

/** Ends an owner's hold now. An ArrayBuffer is detached: a later access sees length 0. */
export function drop(owner: object, offset: number): void {
  binding().drop(owner, offset)
}

/** Shared memory in use by the whole family, after a look at what is garbage here; for tests and diagnosis. */
export function memoryStats(): { blocks: number; bytes: number; holds: number; slots: number } {
  attach()
  binding().sweep()
  return binding().memoryStats()
}
