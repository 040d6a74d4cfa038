// What Queue and Connection stand on: somewhere to put messages and somewhere to take them from, a ring in shared memory
// (ring.ts) or a socket (link-ends.ts). Who waits, in which order and for how long is decided above (outgoing.ts, incoming.ts).

/** A message that is ready to be put, and can wait for room. */
export type Packed = object

export interface Outlet {
  /** Puts a message if there is room now: true; else gives it packed. `raw`: the content is bytes, as they are. Never blocks. */
  put(content: unknown, raw: boolean): true | Packed
  /** Blocks until there is room, or `timeout` ms are over (false). */
  putSync(content: unknown, raw: boolean, timeout: number): boolean
  /** Prepares a message whose turn has not come. */
  pack(content: unknown, raw: boolean): Packed
  /** Puts it if there is room now. */
  retry(packed: Packed): boolean
  /** A packed message that is not put after all. */
  discard(packed: Packed): void
  /** Calls back once, on the event loop, when there may be room. Gives how to stop that. */
  whenRoom(callback: () => void): () => void
}

/** There is no message. */
export const NOTHING: unique symbol = Symbol('nothing')

export interface Inlet {
  /** A message if there is one, else NOTHING: its value, or its bytes if `raw`. A promise where modules must be loaded first. */
  take(raw: boolean, maxLength?: number): unknown
  /** Blocks until there is one, or `timeout` ms are over (NOTHING). Never gives a promise. */
  takeSync(raw: boolean, timeout: number, maxLength?: number): unknown
  /** Is there something to take: a message, or the news of the end? Takes nothing. */
  ready(): boolean
  readySync(timeout: number): boolean
  whenReady(callback: () => void): () => void
  /** What poll() can look at instead; −1: this thread's bell rings. */
  readonly descriptor: number
}
