// Units: what is given to a worker in one piece, one call or a chunk of items; and the functions that they call.
//
//   queued ──▶ assigned to a worker (its line) ──▶ settled
//     ▲              │ taken back, or the worker was lost before it had started it
//     └──────────────┘
import { checkFunction } from '../check'
import { SerializationError } from '../errors'
import { type Area, area, serializer, writeFlat } from '../serialize'
import type { Job } from './job'
import { areaBody, arraysBody, type Body, customBody, encodeBody } from './lane'

/** A function of the pool: as bytes, read once, at its first submission. */
export interface PoolFunction {
  readonly id: number
  readonly name: string
  readonly body: Body
}

type Fn = (...args: any[]) => unknown

/** The functions that were submitted, and those that nobody can submit again. */
export class PoolFunctions {
  readonly #main: 'import' | undefined
  readonly #known = new WeakMap<object, PoolFunction>()
  readonly #collected: FinalizationRegistry<number>
  #count = 0
  #last: Fn | undefined
  #lastFunction: PoolFunction | undefined

  constructor(main: 'import' | undefined, forgotten: (id: number) => void) {
    this.#main = main
    this.#collected = new FinalizationRegistry(forgotten)
  }
  /** Throws TypeError, SerializationError. */
  of(fn: Fn): PoolFunction {
    if (fn === this.#last) return this.#lastFunction!
    checkFunction('fn', fn)
    let known = this.#known.get(fn)
    if (known === undefined) {
      const name = fn.name || 'fn'
      known = { id: ++this.#count, name, body: encodeBody(fn, name, undefined, this.#main) }
      this.#known.set(fn, known)
      this.#collected.register(fn, known.id)
    }
    this.#last = fn
    this.#lastFunction = known
    return known
  }
}

export class Unit {
  readonly job: Job
  readonly call: PoolFunction
  /** Of the job: the index of the first item, and how many. */
  readonly first: number
  readonly count: number
  readonly flags: number
  readonly body: Body
  /** The index of the body's first item: a unit that is sent again in part has the body of the whole. */
  readonly base: number
  attempt = 1
  /** Where it is in a worker's line. */
  seq = 0
  /** When it was queued, by performance.now(). */
  queuedAt = 0
  /** The number of its record in the worker's lane. */
  record = 0
  /** The first item that is not settled: they are settled in their order. */
  next: number
  /** The item that was aborted for want of time, and was settled by that; -1: none. */
  late = -1
  /** When its worker is to be killed if it still runs it. */
  killAt = Number.POSITIVE_INFINITY
  /** Only the worker that it was sent to may run it. */
  pinned = false
  /** Another unit has its body, too. */
  parted = false

  constructor(job: Job, call: PoolFunction, flags: number, first: number, count: number, body: Body, base = first) {
    this.job = job
    this.call = call
    this.flags = flags
    this.first = this.next = first
    this.count = count
    this.body = body
    this.base = base
  }
  /** The item that was out of time is settled. */
  passLate(): void {
    if (this.next === this.late) this.next++
  }
  /** These of its items, to be run by somebody else. */
  part(from: number, to: number): Unit {
    this.parted = true
    const part = new Unit(this.job, this.call, this.flags, from, to - from, this.body, this.base)
    part.attempt = this.attempt
    part.pinned = this.pinned
    return part
  }
  get end(): number {
    return this.first + this.count
  }
}

const SLAB = 64 << 10
const ROOM = 16 << 10

let slab: Area | undefined
let used = 0

/**
 * The bytes of arguments, or of items of which `first` is the index of the first one, read now. Throws SerializationError, and as the
 * user's serializer.
 */
export function bodyOf(values: readonly unknown[], name: string, main?: 'import', first = 0): Body {
  const custom = serializer()
  if (custom !== null) return customBody(custom, values)
  if (values.length === 0) {
    empty ??= encodeBody([], name)
    return empty
  }
  if (slab === undefined || used > SLAB - ROOM) {
    slab = area(new ArrayBuffer(SLAB))
    used = 0
  }
  const start = used
  const end = writeFlat(values, slab, start, start + ROOM)
  if (end < 0) return arraysBody(values) ?? encodeItems(values, name, main, first)
  used = end
  return areaBody(slab, start, end)
}
let empty: Body | undefined
function encodeItems(values: readonly unknown[], name: string, main: 'import' | undefined, first: number): Body {
  try {
    return encodeBody(values, name, undefined, main)
  } catch (error) {
    if (first === 0 || !(error instanceof SerializationError)) throw error
    // It names the item by its place in this chunk.
    const names = values.map((_, k) => `${name}[${first + k}]`)
    return encodeBody(values, '', names, main)
  }
}
