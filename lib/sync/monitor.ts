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
import { type InspectOptions, inspect } from 'node:util'
import { binding } from '../binding'
import { checkOptions, checkString } from '../check'
import { ClosedError, SerializationError, StateError } from '../errors'
import {
  adopt,
  allocate,
  attach,
  type BlockHandle,
  countPending,
  drop,
  handleOf,
  Kind,
  me,
  onFork,
  onRing,
  viewsAt,
  WINDOW_BYTES,
} from '../memory'
import { registerShared, SHARED } from '../serialize/shared'
import { inheritedWait } from './inherited'
import { writeLabel } from './label'
import type { Named } from './robust-lock'

const BYTES = 8192
const NAME_BYTES = 32
const CELLS = (BYTES - 128 - NAME_BYTES) / 32

// Words of the object.
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
const STATE = 0
const WANT = 1
const GRANTED = 2
const HELD = 3
const OWNER = 4
const ORDER = 5
const TAG = 6
const RESULT = 7

const IDLE = 0
const WAITING = 1
const NOTIFIED = 2
const LOOK = 3

/** In a tag: this cell's waiters are promises. The other bits are each class's own. */
export const ASYNC = 1

const CLOSED_WORDS = new Int32Array(FIRST_CELL)
CLOSED_WORDS[0] = -1

/** A promise that waits in a cell. */
interface Waiter {
  /** The object was closed here. */
  closed(): void
  /** This is a forked child: it was the parent that waited. */
  forked(): void
  /** Called outside of the monitor. */
  granted(result: number): void
}
/** The promises of this thread that wait in one cell, in order. */
interface CellQueue {
  object: SyncObject
  cell: number
  waiters: Waiter[]
}
const queues = new Map<number, CellQueue>()

onFork(() => {
  const inherited = [...queues.values()].flatMap((queue) => queue.waiters.splice(0))
  queues.clear()
  for (const waiter of inherited) waiter.forked()
})

function serve(): void {
  for (const [at, queue] of [...queues]) queue.object.serveCell(at, queue)
}

export abstract class SyncObject {
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
    } else {
      adopt(this, handle, Kind.sync)
      this.offset = handle.offset
    }
    this.words = viewsAt(this.offset).i32
    this.base = (this.offset % WINDOW_BYTES) / 4
  }

  /** @internal */
  get me(): number {
    return me
  }

  /** The label given as `{ name }`. */
  get name(): string | undefined {
    return this.#name
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
        else binding().cellWake(this.#offsetOf(cell), async ? owner : 0)
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
      const at = this.#at(cell)
      const want = change.want ?? words[at + WANT]!
      waiting += want - words[at + WANT]!
      words[redo + 5] = change.state ?? words[at + STATE]!
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
   * what the caller's cell holds, exit. False: it is not so simple, and nothing was done. The stores of the step are plain:
   * they are made in this order, and whoever reads the record does so after our death.
   */
  protected quickStep(cell: number, change: 1 | -1, least: number, most: number): boolean {
    const { words, base, me } = this
    if (Atomics.compareExchange(words, base, 0, me) !== 0) return false
    const redo = base + REDO
    const at = base + FIRST_CELL + cell * 8
    const value = words[base + VALUE]! + change
    const held = words[at + HELD]! - change
    const simple =
      value >= least &&
      value <= most &&
      held >= 0 &&
      words[base + WAITING_COUNT] === 0 &&
      words[at + OWNER] === me &&
      words[at + TAG] === 0
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
      if (-at - 2 < CELLS) words[this.#at(-at - 2) + HELD] = words[redo + 8]!
      words[redo] = 0
      return
    }
    if (at >= 2 && at < CELLS + 2) {
      const cell = this.#at(at - 2)
      words[cell + WANT] = words[redo + 6]!
      words[cell + GRANTED] = words[redo + 7]!
      words[cell + HELD] = words[redo + 8]!
      Atomics.store(words, cell + STATE, words[redo + 5]!)
    }
    for (let i = 0; i < 4; i++) words[base + VALUE + i] = words[redo + 1 + i]!
    Atomics.store(words, redo, 0)
  }

  // ---- cells ---------------------------------------------------------------------------------------------------------

  #at(cell: number): number {
    return this.base + FIRST_CELL + cell * 8
  }
  #offsetOf(cell: number): number {
    return this.offset + (FIRST_CELL + cell * 8) * 4
  }
  /** @internal */
  protected held(cell: number): number {
    return this.words[this.#at(cell) + HELD]!
  }
  /** @internal */
  protected want(cell: number): number {
    return this.words[this.#at(cell) + WANT]!
  }
  /** @internal */
  protected tag(cell: number): number {
    return this.words[this.#at(cell) + TAG]!
  }

  /** @internal All cells that somebody has. */
  protected *cells(): Iterable<number> {
    const high = Math.min(this.get(HIGH), CELLS)
    for (let cell = 0; cell < high; cell++) if (this.words[this.#at(cell) + OWNER] !== 0) yield cell
  }

  /** @internal The cells of this owner. */
  protected *mine(): Iterable<number> {
    for (const cell of this.cells()) if (this.words[this.#at(cell) + OWNER] === this.me) yield cell
  }

  /** @internal This owner's cell with this tag, taken if there is none yet. Within the monitor. */
  protected myCell(tag: number): number {
    const { words } = this
    const high = Math.min(this.get(HIGH), CELLS)
    let free = -1
    for (let cell = 0; cell < high; cell++) {
      const at = this.#at(cell)
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
    const at = this.#at(free)
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
    const at = this.#at(cell)
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
      const at = this.#at(cell)
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
      const at = this.#at(cell)
      const owner = this.words[at + OWNER]!
      if (owner === this.me || !binding().isReaped(owner)) continue
      const unused = this.words[at + GRANTED]! + (this.confirms ? this.words[at + HELD]! : 0)
      this.ownerDied(cell, unused)
      this.step({}, cell, { want: 0, granted: 0, held: 0, state: IDLE })
      this.words[at + OWNER] = 0
      this.afterDeath(unused)
    }
  }
  /** @internal What the state loses or gets back with the owner of this cell. The cell is cleared afterwards. */
  protected abstract ownerDied(cell: number, unused: number): void
  /** @internal Grants what has become free by a death. */
  protected abstract afterDeath(unused: number): void

  // ---- waiting -------------------------------------------------------------------------------------------------------

  /** @internal One more waiter in this owner's cell. Within the monitor. */
  protected beginWait(cell: number): void {
    const at = this.#at(cell)
    if (this.words[at + WANT] === 0) this.words[at + ORDER] = this.#nextTicket()
    const granted = this.words[at + GRANTED]!
    this.step({}, cell, { want: this.words[at + WANT]! + 1, state: granted > 0 ? NOTIFIED : WAITING })
    // The reaper tells those who wait. Who died before this one did is seen only now.
    this.recover()
  }

  /**
   * @internal Blocks until the cell has a grant, and takes it: its result; null after a time-out, when nothing was taken.
   * Outside of the monitor.
   */
  protected block(cell: number, timeout: number, watched = false): number | null {
    const deadline = performance.now() + timeout
    for (;;) {
      let woken: number
      try {
        const left = Math.max(0, deadline - performance.now())
        woken = binding().cellWait(this.#offsetOf(cell), left, watched ? this.offset : 0)
      } catch (deadlock) {
        this.enter()
        const granted = this.#take(cell)
        if (granted === null) this.#endWait(cell)
        this.exit()
        if (granted !== null) return granted
        throw deadlock
      }
      this.enter()
      this.#look(cell)
      const result = this.#take(cell)
      if (result === null && woken >= 2) this.#endWait(cell)
      this.exit()
      if (result !== null || woken === 2) return result
      if (woken === 3) throw new StateError('the thread is being terminated', 'ERR_MP_TERMINATED')
    }
  }

  /** Somebody may have died. First the cell waits again, then the dead are looked for: who dies later tells it anew. */
  #look(cell: number): void {
    const at = this.#at(cell)
    if (Atomics.load(this.words, at + STATE) === LOOK) Atomics.store(this.words, at + STATE, WAITING)
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

  /** Takes one grant of this owner's cell; null: there is none. */
  #take(cell: number): number | null {
    const at = this.#at(cell)
    const granted = this.words[at + GRANTED]!
    const want = this.words[at + WANT]!
    if (granted === 0) return null
    const state = granted > 1 ? NOTIFIED : want > 0 ? WAITING : IDLE
    this.step({}, cell, { granted: granted - 1, held: this.held(cell) + (this.confirms ? 1 : 0), state })
    return this.words[at + RESULT]!
  }

  /**
   * @internal Waits as a promise in this owner's asynchronous cell, after beginWait() and outside of the monitor. `given`
   * gets the result, or null after a time-out; an abort rejects. Neither has taken anything.
   */
  protected waitAsync<R>(
    cell: number,
    timeout: number,
    signal: AbortSignal | undefined,
    given: (result: number | null) => R,
  ): Promise<R> {
    const at = this.#offsetOf(cell)
    let queue = queues.get(at)
    if (queue === undefined) {
      queue = { object: this, cell, waiters: [] }
      startListening()
      queues.set(at, queue)
      binding().awaitCell(at)
      countPending(1)
    }
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const settle = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      const waiter: Waiter = {
        granted(result) {
          settle()
          resolve(given(result))
        },
        closed: () => {
          settle()
          reject(new ClosedError(`${this.label()} was closed`))
        },
        forked: () => {
          settle()
          reject(inheritedWait(this.label()))
        },
      }
      // One entry into the monitor: a grant either comes before, and is used, or finds this waiter gone.
      const leave = (): boolean => {
        this.enter()
        this.#look(cell)
        const served = this.#collect(queue)
        const index = queue.waiters.indexOf(waiter)
        if (index >= 0) {
          queue.waiters.splice(index, 1)
          this.#endWait(cell)
        }
        this.exit()
        if (queue.waiters.length === 0) forget(at)
        for (const [other, result] of served) other.granted(result)
        if (index >= 0) settle()
        return index >= 0
      }
      const onAbort = (): void => {
        if (leave()) reject(signal!.reason)
      }
      queue.waiters.push(waiter)
      signal?.addEventListener('abort', onAbort, { once: true })
      if (timeout < 2 ** 31)
        timer = setTimeout(() => {
          if (leave()) resolve(given(null))
        }, timeout)
      if (Atomics.load(this.words, this.#at(cell) + STATE) !== WAITING) setImmediate(serve)
    })
  }

  /** @internal Gives the cell's grants to the promises that wait in it. */
  serveCell(at: number, queue: CellQueue): void {
    if (queue.waiters.length === 0 || Atomics.load(this.words, this.#at(queue.cell) + STATE) === WAITING) return
    this.enter()
    this.#look(queue.cell)
    const served = this.#collect(queue)
    this.exit()
    if (queue.waiters.length === 0) forget(at)
    for (const [waiter, result] of served) waiter.granted(result)
  }

  #collect(queue: CellQueue): [Waiter, number][] {
    const served: [Waiter, number][] = []
    while (queue.waiters.length > 0) {
      const result = this.#take(queue.cell)
      if (result === null) break
      served.push([queue.waiters.shift()!, result])
    }
    return served
  }

  /** One waiter of the cell gives up. Within the monitor, after its grants were taken. */
  #endWait(cell: number): void {
    const want = this.want(cell) - 1
    this.step({}, cell, { want, state: want > 0 ? WAITING : IDLE })
    this.afterLeave()
  }
  /** @internal Grants what somebody who has given up kept others from. */
  protected afterLeave(): void {}

  // ---- the rest ------------------------------------------------------------------------------------------------------

  /** Lets go of the shared memory now rather than at the next garbage collection. Releases nothing. */
  close(): void {
    if (this.words === CLOSED_WORDS) return
    for (const [at, queue] of [...queues]) {
      if (queue.object.offset !== this.offset) continue
      const waiters = queue.waiters.splice(0)
      this.enter()
      this.step({}, queue.cell, { want: 0 })
      this.exit()
      forget(at)
      for (const waiter of waiters) waiter.closed()
    }
    this.words = CLOSED_WORDS
    this.base = 0
    drop(this, this.offset)
  }
  [Symbol.dispose](): void {
    this.close()
  }
  /** What it is called; the memory behind it is nobody's business. */
  toJSON(): object {
    return { type: this.constructor.name, ...(this.#name !== undefined && { name: this.#name }) }
  }
  [inspect.custom](_depth: number, options: InspectOptions): string {
    const name = this.#name === undefined ? {} : { name: this.#name }
    const state = this.words === CLOSED_WORDS ? { closed: true } : { ...name, ...this.shown() }
    return `${this.constructor.name} ${inspect(state, options)}`
  }
  /** @internal */
  protected abstract shown(): object
  /** @internal `Event 'go'`. */
  label(): string {
    return this.#name === undefined ? `this ${this.constructor.name}` : `${this.constructor.name} '${this.#name}'`
  }
  /** @internal */
  get closed(): boolean {
    return this.words === CLOSED_WORDS
  }
  /** @internal */
  protected checkOpen(): void {
    if (this.words === CLOSED_WORDS) throw new ClosedError(`${this.label()} is closed`)
  }
  /** @internal What a message carries. */
  travel(hold: (offset: number) => void): SyncTicket {
    this.checkOpen()
    hold(this.offset)
    return { ...handleOf(this.offset), ...(this.#name !== undefined && { name: this.#name }) }
  }
}

export interface SyncTicket extends BlockHandle {
  name?: string
}

let listening = false
function startListening(): void {
  if (!listening) onRing(serve)
  listening = true
}
function forget(at: number): void {
  if (!queues.delete(at)) return
  binding().unawaitCell(at)
  countPending(-1)
}

/** Registers how a class of these objects travels. `write` adds to what a message carries, `read` builds from it. */
export function registerSync<T extends SyncObject>(
  tag: string,
  C: { prototype: T },
  write: (object: T, ticket: SyncTicket) => object,
  read: (data: any) => T,
): void {
  Object.defineProperty(C.prototype, SHARED, { value: tag })
  registerShared(tag, {
    write: (object: T, hold) => write(object, object.travel(hold)),
    read(data) {
      if (!Number.isSafeInteger(data?.offset) || !Number.isSafeInteger(data.generation))
        throw new SerializationError(`a received ${tag} is malformed`)
      return read(data)
    },
  })
}
