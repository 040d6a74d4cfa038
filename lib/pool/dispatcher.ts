// Who gets which task: the queue of the pool, and how many tasks each worker is given ahead of need.
//
//   submit ─▶ queue ─▶ dispatch ─▶ lines of the workers          taken back ─▶ requeue ─▶ the head of the queue
//
// Short tasks are given in advance, so that no worker waits for the pool; long ones one at a time, so that nothing waits behind
// them. When the queue is empty, who is idle gets what others have not started.
import type { Crew } from './crew'
import { PriorityQueue } from './deque'
import type { Member } from './member'
import { TIMED } from './protocol'
import type { Unit } from './unit'

/** What the dispatcher needs of the pool. */
export interface Office {
  readonly crew: Crew
  /** No task is given any more. */
  readonly over: boolean
  /** Reads what the workers have said. */
  pump(): boolean
  /** Nothing waits for a worker. */
  drained(): void
  /** It cannot be given to anybody. */
  refused(unit: Unit, error: unknown): void
  /** A task with a time limit was given to this worker. */
  watchTime(member: Member): void
}

const MOST_AHEAD = 256
/** Tasks that take longer are not sent ahead of need, ms. */
const LONG_MS = 5

export class Dispatcher {
  readonly #office: Office
  readonly #queue = new PriorityQueue<Unit>()
  #soon = false
  #submitted = 0
  /** How long tasks take, ms. */
  #mean = Number.NaN

  constructor(office: Office) {
    this.#office = office
  }

  /** How many units wait for a worker. */
  get queued(): number {
    return this.#queue.length
  }
  /** Those of jobs that were cancelled do not count. */
  weed(): void {
    this.#queue.filter((unit) => !unit.job.over)
  }
  /** A task has taken so long, ms. */
  took(ms: number): void {
    this.#mean = Number.isNaN(this.#mean) ? ms : this.#mean * 0.9 + ms * 0.1
  }

  submit(unit: Unit): void {
    unit.queuedAt = performance.now()
    this.#queue.push(unit, unit.job.settings.priority)
    if (this.#hasIdle) this.dispatch()
    else if ((++this.#submitted & 63) === 0) {
      // In a long loop of submissions the event loop does not turn.
      this.#office.pump()
      this.dispatch()
    } else this.dispatchSoon()
  }
  /** For one worker only. */
  submitTo(member: Member, unit: Unit): void {
    unit.queuedAt = performance.now()
    unit.pinned = true
    member.own.push(unit)
    this.dispatch()
  }
  requeue(units: readonly Unit[]): void {
    for (let k = units.length - 1; k >= 0; k--) {
      const unit = units[k]!
      if (!unit.job.over) this.#queue.unshift(unit, unit.job.settings.priority)
    }
  }
  dispatchSoon(): void {
    if (this.#soon) return
    this.#soon = true
    process.nextTick(this.#now)
  }
  readonly #now = (): void => {
    this.#soon = false
    this.dispatch()
  }
  get #hasIdle(): boolean {
    const { crew } = this.#office
    for (const member of crew.members) if (member.line.length === 0) return true
    return crew.size < crew.options.most
  }

  /** How many units a worker may have, so that it is never idle for the pool and nothing waits behind a long task. */
  get #ahead(): number {
    const mean = this.#mean
    if (!(mean < LONG_MS)) return 1
    return Math.min(MOST_AHEAD, 2 + Math.floor(1 / mean))
  }

  dispatch(): void {
    const { crew } = this.#office
    if (this.#office.over) return
    const { members } = crew
    const queue = this.#queue
    for (const member of members)
      if (member.own.length > 0 && member.line.length === 0) this.#give(member, member.own.length, member.own)
    if (queue.length > 0) {
      if (members.length < crew.options.most) crew.fit()
      const ahead = this.#ahead
      const share = Math.max(1, Math.min(ahead, Math.ceil(queue.length / Math.max(1, members.length))))
      for (const ready of [true, false])
        for (const member of [...members])
          if (member.line.length === 0 && member.ready === ready) this.#give(member, share, queue)
      if (ahead > 1)
        for (const member of [...members]) {
          if (queue.length === 0) break
          if (member.line.length < ahead) this.#give(member, ahead - member.line.length, queue)
        }
      if (queue.length === 0) this.#office.drained()
    }
    if (queue.length === 0) this.#share()
  }

  #give(member: Member, most: number, from: { shift(): Unit | undefined }): void {
    const { crew } = this.#office
    const { maxTasks } = crew.options
    if (!member.takesTasks) return
    let timed = false
    let failure: { error: unknown } | undefined
    try {
      for (let k = 0; k < most && member.given < maxTasks; ) {
        const unit = from.shift()
        if (unit === undefined) break
        if (unit.job.over) continue
        k++
        if (unit.flags & TIMED) timed = true
        member.send(unit)
      }
      member.flush()
    } catch (error) {
      failure = { error }
    }
    // Nothing of these has reached the worker: there is no room for them in shared memory.
    if (failure !== undefined) for (const unit of member.unsent()) this.#office.refused(unit, failure.error)
    if (timed) this.#office.watchTime(member)
    if (member.given >= maxTasks) crew.retire(member)
  }

  /** Nothing is queued: who is idle gets what others have not started. */
  #share(): void {
    const { members } = this.#office.crew
    const idle = members.filter((member) => member.line.length === 0 && member.takesTasks)
    if (idle.length === 0) return
    for (const member of [...members]) {
      // What a worker that still boots has is not started either; but another one that boots is no better.
      const idlers = member.ready ? idle : idle.filter(({ ready }) => ready)
      if (member.line.length < (member.ready ? 2 : 1) || idlers.length === 0) continue
      const units = member.takeBack()
      if (units.length === 0) continue
      // The last of them stay with it.
      const part = Math.ceil(units.length / (idlers.length + 1))
      for (const [k, to] of [...idlers, member].entries()) {
        const some = new Units(units.slice(k * part, (k + 1) * part))
        this.#give(to, part, some)
        this.requeue(some.left())
        if (to.line.length > 0 && to !== member) idle.splice(idle.indexOf(to), 1)
      }
      if (idle.length === 0) return
    }
  }
}

/** Some units in a row. */
class Units {
  #next = 0
  constructor(readonly units: Unit[]) {}
  shift(): Unit | undefined {
    return this.units[this.#next++]
  }
  left(): Unit[] {
    return this.units.slice(this.#next)
  }
}
