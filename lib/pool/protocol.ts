// What the pool and its workers say to each other. Each record has seven words, and one to spare, before its body.
//
//   pool → worker, by the worker's own lane      [op | flags, seq, function, attempt, first item, skip, items] body
//   worker → pool, by one lane for all of them   [op | flags, worker, seq, item, µs, more] body
//
// A chunk that is sent again in part has the same body: `skip` of its items are passed over.
//
// A task is the worker's when the worker has claimed its seq (control.ts), not when it was sent.

/** Bytes of the words. */
export const HEADER = 32

// To a worker.
/** body: the function. */
export const FUNCTION = 1
/** No task will name this function any more. */
export const FORGET = 2
/** body: the arguments, or the items of a chunk. */
export const TASK = 3
/** seq: the running task's signal is to abort; why is in the control block. Wakes a worker that awaits. */
export const ABORT = 4
/** End after what was sent before. */
export const EXIT = 5

// From a worker.
/** The initializer has run. */
export const READY = 16
/** body: what the initializer threw. */
export const NOT_READY = 17
/** body: the result of an apply. */
export const RESULT = 18
/** body: what it threw. */
export const FAILURE = 19
/** body: results of a chunk from `item` on, `more` of them. */
export const ITEMS = 20
/** body: one result of a chunk that is too big for the others' way. */
export const ITEM = 21
/** body: what one item threw; the chunk goes on. */
export const ITEM_FAILURE = 22
/** The chunk has ended. body as ITEMS. */
export const CHUNK = 23
/** body: [done, total] */
export const PROGRESS = 24

export const OP = 0xff
/** The body is a chunk: its items are given to the function one by one. */
export const CHUNKED = 0x100
/** Each item is a list of arguments. */
export const SPREAD = 0x200
/** The pool looks at when it was started. */
export const TIMED = 0x400
/** A throwing item does not end its chunk. */
export const SETTLE = 0x800
/** Somebody listens for progress. */
export const PROGRESSING = 0x1000
/** From a worker: it has grown beyond maxMemoryPerChild, and wants to be replaced. */
export const TOO_BIG = 0x2000

/** Why a task is aborted. */
export const TIMED_OUT = 1
export const CANCELLED = 2
