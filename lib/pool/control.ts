// The few words that the pool and one worker share, beside the lanes: who owns which task, and how far a chunk has come.
//
//   claim    the last seq that somebody has taken. A worker starts task s by changing s - 1 into s; the pool takes back all that
//            was not started by changing s into the last one that it has sent. Whoever changes it has them.
//   item     the item of the chunk that runs
//   owner    the worker as an owner of shared memory, from before anything of the user's runs in it
//   journal  results of the running chunk that are not sent yet: what a killed worker had finished is not lost
//   abort    seq, item (-1: all of them) and reason of what is to be aborted, seen by a synchronous loop, too
//
// The pool reads what a worker wrote as bytes that may be anything: counts and lengths are checked.
import { adopt, allocate, type BlockHandle, drop, handleOf, inWindow, Kind, viewsAt } from '../memory'
import { type Area, area } from '../serialize'
import { registerShared, SHARED } from '../serialize/shared'

const CLAIM = 0
const ABORT = 1
const ABORT_ITEM = 2
const ABORT_WHY = 3
const ITEM = 4
const JOURNAL_SEQ = 5
const JOURNAL_FROM = 6
const JOURNAL_COUNT = 7
const JOURNAL_END = 8
/** As f64. */
const STARTED = 5
const OWNER = 6
const HEAD_BYTES = 64
/** So that it fits into one record, and the block into the small ones. */
export const JOURNAL_BYTES = 12 << 10

export class Control {
  readonly #offset: number
  readonly #i32: Int32Array
  readonly #f64: Float64Array
  readonly #word: number
  readonly #double: number
  readonly #window: ArrayBuffer
  readonly #journalAt: number
  #journal: Area | undefined

  constructor(ticket?: BlockHandle) {
    if (ticket === undefined) this.#offset = allocate(this, HEAD_BYTES + JOURNAL_BYTES, Kind.data)
    else {
      adopt(this, ticket, Kind.data)
      this.#offset = ticket.offset
    }
    const views = viewsAt(this.#offset)
    const at = inWindow(this.#offset)
    this.#i32 = views.i32
    this.#f64 = views.f64
    this.#word = at / 4
    this.#double = at / 8
    this.#window = views.u8.buffer as ArrayBuffer
    this.#journalAt = at + HEAD_BYTES
  }
  close(): void {
    drop(this, this.#offset)
  }
  handle(hold: (offset: number) => void): BlockHandle {
    hold(this.#offset)
    return handleOf(this.#offset)
  }
  /** The journal's bytes. */
  get journal(): Area {
    this.#journal ??= area(this.#window, this.#journalAt, JOURNAL_BYTES)
    return this.#journal
  }

  get claimed(): number {
    return Atomics.load(this.#i32, this.#word + CLAIM)
  }
  /** The worker: may I start this task? */
  claim(seq: number): boolean {
    return Atomics.compareExchange(this.#i32, this.#word + CLAIM, (seq - 1) | 0, seq) === ((seq - 1) | 0)
  }
  /** The pool: takes back what was not started, up to `last`. Gives the seq that was started last. */
  takeBack(last: number): number {
    for (;;) {
      const claimed = this.claimed
      if (((last - claimed) | 0) <= 0) return claimed
      if (Atomics.compareExchange(this.#i32, this.#word + CLAIM, claimed, last) === claimed) return claimed
    }
  }

  abort(seq: number, item: number, why: number): void {
    Atomics.store(this.#i32, this.#word + ABORT_ITEM, item)
    Atomics.store(this.#i32, this.#word + ABORT_WHY, why)
    Atomics.store(this.#i32, this.#word + ABORT, seq)
  }
  /** 0, or why this item is to be aborted. */
  aborted(seq: number, item: number): number {
    if (Atomics.load(this.#i32, this.#word + ABORT) !== seq) return 0
    const which = Atomics.load(this.#i32, this.#word + ABORT_ITEM)
    return which === item || which === -1 ? Atomics.load(this.#i32, this.#word + ABORT_WHY) : 0
  }
  abortedWhole(seq: number): boolean {
    return (
      Atomics.load(this.#i32, this.#word + ABORT) === seq && Atomics.load(this.#i32, this.#word + ABORT_ITEM) === -1
    )
  }

  get item(): number {
    return Atomics.load(this.#i32, this.#word + ITEM)
  }
  set item(item: number) {
    Atomics.store(this.#i32, this.#word + ITEM, item)
  }
  /** When the running call was started, by now(). */
  get started(): number {
    return this.#f64[this.#double + STARTED]!
  }
  set started(ms: number) {
    this.#f64[this.#double + STARTED] = ms
  }

  /** 0: not known yet. */
  get owner(): number {
    return this.#f64[this.#double + OWNER]!
  }
  set owner(me: number) {
    this.#f64[this.#double + OWNER] = me
  }

  /** The worker: an empty journal for results of this task from `item` on. */
  openJournal(seq: number, item: number): void {
    Atomics.store(this.#i32, this.#word + JOURNAL_COUNT, 0)
    Atomics.store(this.#i32, this.#word + JOURNAL_END, 0)
    Atomics.store(this.#i32, this.#word + JOURNAL_FROM, item)
    Atomics.store(this.#i32, this.#word + JOURNAL_SEQ, seq)
  }
  /** The worker: so many results end there now. */
  advanceJournal(count: number, end: number): void {
    Atomics.store(this.#i32, this.#word + JOURNAL_END, end)
    Atomics.store(this.#i32, this.#word + JOURNAL_COUNT, count)
  }
  /** The pool, of a dead worker: what it had finished of this task. */
  readJournal(seq: number): { from: number; count: number; end: number } | undefined {
    if (Atomics.load(this.#i32, this.#word + JOURNAL_SEQ) !== seq) return undefined
    const count = Atomics.load(this.#i32, this.#word + JOURNAL_COUNT)
    const end = Atomics.load(this.#i32, this.#word + JOURNAL_END)
    const from = Atomics.load(this.#i32, this.#word + JOURNAL_FROM)
    return count > 0 && end > 0 && end <= JOURNAL_BYTES ? { from, count, end } : undefined
  }
}

const ORIGIN = process.hrtime()[0] * 1e3 + process.hrtime()[1] / 1e6 - performance.now()

/** Milliseconds by a clock that all processes of the machine share. */
export function now(): number {
  return ORIGIN + performance.now()
}

Object.defineProperty(Control.prototype, SHARED, { value: 'PoolControl' })
registerShared('PoolControl', {
  write: (control: Control, hold) => control.handle(hold),
  read: (ticket: BlockHandle) => new Control(ticket),
})
