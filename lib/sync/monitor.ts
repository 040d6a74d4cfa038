// What Semaphore, Condition, Event, Barrier and RWLock stand on: a state in shared memory that changes under a robust lock
// of its own (held for a microsecond, never while user code runs), and a cell for each owner that holds or waits.
//
//   object   lock (8 words) · redo record (16) · state (8) · cells (8 words each) · name (8)
//   cell     state · want · granted · held · owner · ticket · tag · result
//
//   waiter    want + 1, WAITING ──▶ sleeps on the cell's state word (Sync), or is rung (async)
//   granter   granted + n, want − n, NOTIFIED ──▶ wakes or rings
//   reaper    (native, when an owner died) WAITING → LOOK, wakes and rings: somebody of the living puts in order
//             what the dead had (recover), and grants again
//
// A change of the state and of one cell is one step: it is first written to the redo record, and whoever takes the lock
// from a dead owner finishes it. So the state is always that before or after a step, wherever a process is killed.
import { binding } from '../binding'
import { checkOptions, checkString } from '../check'
import { ClosedError, StateError } from '../errors'
import { adopt, allocate, attach, type BlockHandle, here, inWindow, Kind, viewsAt } from '../memory'
import { serve } from './cell-queues'
import { writeLabel } from './label'
import type { Named } from './robust-lock'

const BYTES = 8192
const NAME_BYTES = 32
const CELLS = (BYTES - 128 - NAME_BYTES) / 32

// Words of the object.
/** Which class it is: for whoever looks at it from outside (lib/cli). */
const TYPE = 6
const REDO = 8
/** The state that steps change: what it means is each class's own. */
export const VALUE = 24
/** How many are waiting, in all cells. */
const WAITING_COUNT = 25
export const X = 26
export const Y = 27
const TICKET = 28
const HIGH = 29
export const LIMIT = 30
export const EXTRA = 31
const FIRST_CELL = 32

// Words of a cell; the first four belong to steps.
export const STATE = 0
const WANT = 1
const GRANTED = 2
const HELD = 3
const OWNER = 4
const ORDER = 5
const TAG = 6
const RESULT = 7

const IDLE = 0
export const WAITING = 1
const NOTIFIED = 2
const LOOK = 3
/** In a redo record only: a step that leaves the state alone must not undo a LOOK that comes meanwhile. */
const AS_IT_IS = -1

/** In a tag: this cell's waiters are promises. The other bits are each class's own. */
export const ASYNC = 1

/** What a closed object looks at: a lock that no fast path can take. */
export const CLOSED_WORDS = new Int32Array(FIRST_CELL)
CLOSED_WORDS[0] = -1

/** The shared state, its steps, its cells. How threads wait for what is granted in a cell: SyncObject. */
export abstract class Monitor {
  /** @internal */ readonly offset: number
  /** @internal */ words: Int32Array
  /** @internal Index of the object's first word. */
  base: number
  readonly #name: string | undefined
  #wake: { cell: number; owner: number; async: boolean }[] = []

  /** @internal `handle`: of an object that came from elsewhere. */
  protected constructor(options: Named | undefined, handle?: BlockHandle) {
    checkOptions('options', options)
    if (options?.name !== undefined) checkString('options.name', options.name)
    this.#name = options?.name
    attach()
    if (handle === undefined) {
      this.offset = allocate(this, BYTES, Kind.sync)
      writeLabel(this.offset + BYTES - NAME_BYTES, this.#name, new.target)
      viewsAt(this.offset).i32[inWindow(this.offset) / 4 + TYPE] = this.type
    } else {
      adopt(this, handle, Kind.sync)
      this.offset = handle.offset
    }
    this.words = viewsAt(this.offset).i32
    this.base = inWindow(this.offset) / 4
  }

  /** @internal 1 Semaphore, 2 BoundedSemaphore, 3 Condition, 4 Event, 5 Barrier, 6 RWLock. */
  protected get type(): number {
    return 0
  }

  /** @internal This thread's owner id. */
  get me(): number {
    return here.me
  }

  // ---- the monitor -------------------------------------------------------------------------------------------------

  /** @internal */
  protected enter(): void {
    if (Atomics.compareExchange(this.words, this.base, 0, this.me) === 0) return
    if (this.words === CLOSED_WORDS) throw new ClosedError(`${this.label()} is closed`)
    if (binding().lockAcquire(this.offset, Number.POSITIVE_INFINITY, 0) !== 1) return
    // Its owner was killed in here: its last step is finished, then what the step was part of.
    this.#redo()
    this.recover()
    this.mend()
  }

  /** @internal Wakes whom the steps have granted something, after the lock is free. */
  protected exit(): void {
    if (Atomics.compareExchange(this.words, this.base, this.me, 0) !== this.me)
      binding().lockRelease(this.offset, this.me)
    if (this.#wake.length > 0) {
      const wake = this.#wake
      this.#wake = []
      for (const { cell, owner, async } of wake) {
        if (async && owner === this.me) setImmediate(serve)
        else binding().cellWake(this.offsetOf(cell), async ? owner : 0)
      }
    }
  }

  #redo(): void {
    const { words, base } = this
    const at = words[base + REDO]!
    if (at !== 0) this.#apply(at)
  }

  /** @internal Completes what a killed owner of the monitor had begun by a step, and not finished. */
  protected mend(): void {}

  /** @internal A word of the state. */
  protected get(word: number): number {
    return this.words[this.base + word]!
  }
  /** @internal Sets a word that no step changes. */
  protected put(word: number, value: number): void {
    this.words[this.base + word] = value
  }
  /** @internal */
  protected get waitingCount(): number {
    return this.words[this.base + WAITING_COUNT]!
  }

  /** @internal One step: new state, and new contents of one cell (−1: none). */
  protected step(
    state: { value?: number; x?: number; y?: number },
    cell = -1,
    change: { want?: number; granted?: number; held?: number; state?: number } = {},
  ): void {
    const { words, base } = this
    const redo = base + REDO
    let waiting = words[base + WAITING_COUNT]!
    if (cell >= 0) {
      const at = this.at(cell)
      const want = change.want ?? words[at + WANT]!
      waiting += want - words[at + WANT]!
      words[redo + 5] = change.state ?? AS_IT_IS
      words[redo + 6] = want
      words[redo + 7] = change.granted ?? words[at + GRANTED]!
      words[redo + 8] = change.held ?? words[at + HELD]!
    }
    words[redo + 1] = state.value ?? words[base + VALUE]!
    words[redo + 2] = waiting
    words[redo + 3] = state.x ?? words[base + X]!
    words[redo + 4] = state.y ?? words[base + Y]!
    const at = cell + 2 // never 0
    Atomics.store(words, redo, at)
    this.#apply(at)
  }

  /**
   * @internal The whole of a semaphore's acquire (−1) or release (+1) where nobody waits: enter, one step of VALUE and of
   * what the cell holds, exit. The cell was this owner's (it stays so while the owner lives; a forked child is another one),
   * for blocking calls. False: it is not so simple, and nothing was done. The stores of the step are plain: they are made in this order, and whoever reads
   * the record does so after our death.
   */
  protected quickStep(cell: number, change: 1 | -1, most: number): boolean {
    const { words, base, me } = this
    if (Atomics.compareExchange(words, base, 0, me) !== 0) return false
    const redo = base + REDO
    const at = base + FIRST_CELL + cell * 8
    const value = words[base + VALUE]! + change
    const held = words[at + HELD]! - change
    const simple =
      value >= 0 && value <= most && held >= 0 && words[base + WAITING_COUNT] === 0 && words[at + OWNER] === me
    if (simple) {
      words[redo + 1] = value
      words[redo + 8] = held
      words[redo] = -cell - 2
      words[base + VALUE] = value
      words[at + HELD] = held
      words[redo] = 0
    }
    if (Atomics.compareExchange(words, base, me, 0) !== me) binding().lockRelease(this.offset, me)
    return simple
  }

  #apply(at: number): void {
    const { words, base } = this
    const redo = base + REDO
    if (at < 0) {
      words[base + VALUE] = words[redo + 1]!
      if (-at - 2 < CELLS) words[this.at(-at - 2) + HELD] = words[redo + 8]!
      words[redo] = 0
      return
    }
    if (at >= 2 && at < CELLS + 2) {
      const cell = this.at(at - 2)
      words[cell + WANT] = words[redo + 6]!
      words[cell + GRANTED] = words[redo + 7]!
      words[cell + HELD] = words[redo + 8]!
      const state = words[redo + 5]!
      if (state !== AS_IT_IS) Atomics.store(words, cell + STATE, state)
    }
    for (let i = 0; i < 4; i++) words[base + VALUE + i] = words[redo + 1 + i]!
    Atomics.store(words, redo, 0)
  }

  // ---- cells ---------------------------------------------------------------------------------------------------------

  /** @internal */
  protected at(cell: number): number {
    return this.base + FIRST_CELL + cell * 8
  }
  /** @internal */
  protected offsetOf(cell: number): number {
    return this.offset + (FIRST_CELL + cell * 8) * 4
  }
  /** @internal */
  protected held(cell: number): number {
    return this.words[this.at(cell) + HELD]!
  }
  /** @internal */
  protected want(cell: number): number {
    return this.words[this.at(cell) + WANT]!
  }
  /** @internal */
  protected tag(cell: number): number {
    return this.words[this.at(cell) + TAG]!
  }

  /** @internal All cells that somebody has. */
  protected *cells(): Iterable<number> {
    const high = Math.min(this.get(HIGH), CELLS)
    for (let cell = 0; cell < high; cell++) if (this.words[this.at(cell) + OWNER] !== 0) yield cell
  }

  /** @internal The cells of this owner. */
  protected *mine(): Iterable<number> {
    for (const cell of this.cells()) if (this.words[this.at(cell) + OWNER] === this.me) yield cell
  }

  /** @internal This owner's cell with this tag, taken if there is none yet. Within the monitor. */
  protected myCell(tag: number): number {
    const { words } = this
    const high = Math.min(this.get(HIGH), CELLS)
    let free = -1
    for (let cell = 0; cell < high; cell++) {
      const at = this.at(cell)
      if (words[at + OWNER] === this.me && words[at + TAG] === tag) return cell
      if (free < 0 && words[at + OWNER] === 0) free = cell
    }
    if (free < 0) {
      if (high === CELLS) {
        this.exit()
        throw new StateError(`${this.label()} is used by too many threads at once: ${CELLS}`, 'ERR_MP_TOO_MANY_OWNERS')
      }
      free = high
    }
    const at = this.at(free)
    words.fill(0, at, at + 8)
    words[at + TAG] = tag
    words[at + OWNER] = this.me
    if (free === high) this.put(HIGH, high + 1)
    return free
  }

  /** @internal Grants `n` of what the cell wants; its owner is woken at exit(). */
  protected grant(
    cell: number,
    n: number,
    state: { value?: number; x?: number; y?: number } = {},
    held = this.held(cell),
    result = 0,
  ): void {
    const at = this.at(cell)
    this.words[at + RESULT] = result
    this.words[at + ORDER] = this.#nextTicket() // what it wants beyond has its turn after the others
    this.step(state, cell, {
      want: this.words[at + WANT]! - n,
      granted: this.words[at + GRANTED]! + n,
      held,
      state: NOTIFIED,
    })
    this.#wake.push({ cell, owner: this.words[at + OWNER]!, async: (this.words[at + TAG]! & ASYNC) !== 0 })
  }

  /** @internal The cell that has waited longest, of those that `fits`; −1: none. */
  protected firstWaiting(fits: (cell: number) => boolean = () => true): number {
    let first = -1
    let order = 0
    for (const cell of this.cells()) {
      const at = this.at(cell)
      if (this.words[at + WANT] === 0 || !fits(cell)) continue
      const mine = this.words[at + ORDER]!
      if (first < 0 || ((mine - order) | 0) < 0) {
        first = cell
        order = mine
      }
    }
    return first
  }

  #nextTicket(): number {
    const ticket = (this.get(TICKET) + 1) | 0
    this.put(TICKET, ticket)
    return ticket
  }

  // ---- the dead ------------------------------------------------------------------------------------------------------

  /**
   * @internal Settles the cells of owners that have died. Within the monitor, before anything is judged by what others
   * hold or wait for. An owner that dies later is noticed by the reaper.
   */
  protected recover(): void {
    for (const cell of this.cells()) {
      const at = this.at(cell)
      const owner = this.words[at + OWNER]!
      if (owner === this.me || !binding().isReaped(owner)) continue
      const unused = this.words[at + GRANTED]! + (this.confirms ? this.words[at + HELD]! : 0)
      this.ownerDied(cell, unused)
      this.step({}, cell, { want: 0, granted: 0, held: 0, state: IDLE })
      this.words[at + OWNER] = 0
      this.afterDeath()
    }
  }
  /** @internal What the state loses or gets back with the owner of this cell. The cell is cleared afterwards. */
  protected abstract ownerDied(cell: number, unused: number): void
  /** @internal Grants what has become free by a death. */
  protected abstract afterDeath(): void

  // ---- waiting -------------------------------------------------------------------------------------------------------

  /** @internal One more waiter in this owner's cell. Within the monitor. */
  protected beginWait(cell: number): void {
    const at = this.at(cell)
    if (this.words[at + WANT] === 0) this.words[at + ORDER] = this.#nextTicket()
    const granted = this.words[at + GRANTED]!
    this.step({}, cell, { want: this.words[at + WANT]! + 1, state: granted > 0 ? NOTIFIED : WAITING })
    this.recover()
  }

  /**
   * @internal If the reaper says so, somebody has died. As always, first the cell is WAITING, then the dead are looked for:
   * the reaper tells those that wait, and who died before that is seen by looking.
   */
  protected look(cell: number): void {
    const at = this.at(cell)
    if (Atomics.load(this.words, at + STATE) !== LOOK) return
    Atomics.store(this.words, at + STATE, WAITING)
    this.recover()
  }

  /** @internal Does a grant that was taken count as held until confirm()? */
  protected get confirms(): boolean {
    return false
  }
  /** @internal What the grant was for is done. */
  protected confirm(cell: number): void {
    this.enter()
    this.step({}, cell, { held: this.held(cell) - 1 })
    this.exit()
  }

  /** @internal Takes one grant of this owner's cell; null: there is none. */
  protected take(cell: number): number | null {
    const at = this.at(cell)
    const granted = this.words[at + GRANTED]!
    const want = this.words[at + WANT]!
    if (granted === 0) return null
    const state = granted > 1 ? NOTIFIED : want > 0 ? WAITING : IDLE
    this.step({}, cell, { granted: granted - 1, held: this.held(cell) + (this.confirms ? 1 : 0), state })
    const result = this.words[at + RESULT]!
    if (state === WAITING) this.recover()
    return result
  }

  /** @internal One waiter of the cell gives up. Within the monitor, after its grants were taken. */
  protected endWait(cell: number): void {
    const want = this.want(cell) - 1
    this.step({}, cell, { want, state: want > 0 ? WAITING : IDLE })
    if (want > 0) this.recover()
    this.afterLeave()
  }
  /** @internal Grants what somebody who has given up kept others from. */
  protected afterLeave(): void {}

  // ---- names ---------------------------------------------------------------------------------------------------------

  /** The label given as `{ name }`. */
  get name(): string | undefined {
    return this.#name
  }
  /** @internal `Event 'go'`. */
  label(): string {
    return this.#name === undefined ? `this ${this.constructor.name}` : `${this.constructor.name} '${this.#name}'`
  }
}
