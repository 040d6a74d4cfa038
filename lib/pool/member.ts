// A worker as its pool sees it: what it was given and has not answered yet (its line), in the order in which it will.
//
//   line: [the one that runs, or will next] [sent, not started] …     control.claim says which of them the worker has started
import { binding } from '../binding'
import type { ExitStatus } from '../process/start/method'
import { Control, now } from './control'
import { Deque } from './deque'
import { Lane } from './lane'
import { ABORT, EXIT, FORGET, FUNCTION, TASK, TIMED } from './protocol'
import type { Unit } from './unit'

/** The process, or thread, behind a worker. */
export interface Host {
  readonly pid: number
  readonly threadId: number
  /** How it ended; null while it runs. Asks the system. */
  status(): ExitStatus | null
  /** Sends a signal; 'SIGKILL' ends it whatever it does. */
  signal(name: 'SIGTERM' | 'SIGKILL'): void
  /** Moves what it has written into its pipes along, without the event loop. */
  drain(): void
  /** The last lines that it wrote to its standard error. */
  readonly stderr: string
  /** Why it could not be started, as was seen later. */
  readonly startError?: unknown
  /** Did the system kill it for want of memory, as far as can be known? */
  outOfMemory(status: ExitStatus | null): boolean
}

export class Member {
  readonly id: number
  readonly tasks = new Lane()
  readonly control = new Control()
  readonly line = new Deque<Unit>()
  /** Units for this worker only. */
  readonly own = new Deque<Unit>()
  host!: Host
  ready = false
  /** It was told to end when it is through. */
  retiring = false
  /** It was told to end at once: its end is no loss. */
  doomed: 'timeout' | 'cancel' | 'terminate' | undefined
  /** Its line was looked through for the last time. */
  gone = false
  /** How many of its line have a time limit. */
  timed = 0
  /** How many tasks it was given. */
  given = 0
  /** Since when the first of its line is the first, and since when it has had nothing to do; by now(). */
  headSince = 0
  /** When its running task is to be looked at, and when it is to be killed. */
  checkAt = Number.POSITIVE_INFINITY
  killAt = Number.POSITIVE_INFINITY
  #sent = 0
  #known = new Set<number>()

  constructor(id: number) {
    this.id = id
    this.headSince = now()
  }

  get takesTasks(): boolean {
    return !this.retiring && this.doomed === undefined
  }
  /** Of the units in its line: was it started? */
  started(unit: Unit): boolean {
    return ((this.control.claimed - unit.seq) | 0) >= 0
  }

  send(unit: Unit): void {
    const { tasks } = this
    if (!this.#known.has(unit.call.id)) {
      tasks.append(FUNCTION, 0, unit.call.id, 0, 0, 0, unit.call.body)
      this.#known.add(unit.call.id)
    }
    unit.seq = (this.#sent + 1) | 0
    // An unpublished unit must be in line already, to be found there if publishing fails.
    unit.record = tasks.appended + 1
    this.#sent = unit.seq
    this.given++
    if (this.line.length === 0) this.headSince = now()
    this.line.push(unit)
    if (unit.flags & TIMED) this.timed++
    const { seq, call, attempt, first, base, body, count } = unit
    tasks.append(TASK | unit.flags, seq, call.id, attempt, first, first - base, body, count)
  }
  /** Publishes what was sent. */
  flush(): void {
    this.tasks.flush()
  }
  /** After an error of send() or flush(): takes out of the line, and gives, what never reached the worker. */
  unsent(): Unit[] {
    const units: Unit[] = []
    while (this.line.length > 0 && this.line.last!.record > this.tasks.published) units.unshift(this.#unsend())
    this.tasks.appended = this.tasks.published
    this.#known = new Set() // it may have missed one
    return units
  }
  #unsend(): Unit {
    this.#sent = (this.#sent - 1) | 0
    return this.#out(this.line.pop()!)
  }
  #out(unit: Unit): Unit {
    this.given--
    if (unit.flags & TIMED) this.timed--
    return unit
  }
  /** The first of its line has ended. */
  shift(): void {
    const unit = this.line.shift()
    if (unit !== undefined && unit.flags & TIMED) this.timed--
  }

  /** Takes back, out of the line, what the worker has not started. What is for this worker only waits for it again. */
  takeBack(): Unit[] {
    const claimed = this.control.takeBack(this.#sent)
    const units: Unit[] = []
    while (this.line.length > 0 && ((claimed - this.line.last!.seq) | 0) < 0) {
      const unit = this.#out(this.line.pop()!)
      if (unit.pinned) this.own.unshift(unit)
      else units.unshift(unit)
    }
    return units
  }

  abort(unit: Unit, item: number, why: number): void {
    this.control.abort(unit.seq, item, why)
    this.#tell(ABORT, unit.seq, 0)
  }
  forget(id: number): void {
    if (this.#known.delete(id)) this.#tell(FORGET, 0, id)
  }
  retire(): void {
    if (this.retiring) return
    this.retiring = true
    this.#tell(EXIT, 0, 0)
  }
  /** Without memory there is no telling: the worker finds what matters in its control block. */
  #tell(op: number, seq: number, call: number): void {
    try {
      this.tasks.append(op, seq, call, 0, 0, 0)
      this.tasks.flush()
    } catch {
      this.tasks.appended = this.tasks.published
      if (op === EXIT) this.killAt = now()
    }
  }

  close(): void {
    this.tasks.close()
    this.control.close()
    binding().sweep()
  }
}
