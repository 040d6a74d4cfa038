// Time-outs of running tasks, and the grace of those that are to stop.
//
//   checkAt ─▶ is the first of the line out of time? ─▶ its signal aborts, its job is told ─▶ killAt ─▶ the worker is killed
//
// A task's time counts from its start, which the worker notes in the control block.
import { TimeoutError } from '../errors'
import { now } from './control'
import type { Member } from './member'
import { CHUNKED, TIMED, TIMED_OUT } from './protocol'
import type { Unit } from './unit'

export interface Clock {
  wakeAt(time: number): void
  requeue(units: readonly Unit[]): void
  dispatch(): void
  /** It does not even start what it has. */
  stuck(member: Member): void
  readonly counts: { timedOut: number }
}

/** A worker that has nothing else to do starts a task within this time, or is stuck, ms. */
const STUCK_MS = 1000

export class Deadlines {
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The first of its line may have a time limit. */
  watch(member: Member): void {
    if (member.timed === 0) return
    for (const unit of member.line)
      if (unit.flags & TIMED) {
        member.checkAt = Math.min(member.checkAt, now() + Math.min(unit.job.settings.timeout, STUCK_MS))
        this.#clock.wakeAt(member.checkAt)
        return
      }
  }

  check(member: Member, time: number): void {
    member.checkAt = Number.POSITIVE_INFINITY
    const unit = member.line.first
    if (unit === undefined) return
    if (!member.started(unit)) {
      // Not started: not its time. But a worker that has had nothing else to do for so long is stuck, or stopped.
      const stuckAt = member.headSince + Math.max(unit.job.settings.timeout, STUCK_MS)
      if (member.ready && time >= stuckAt) {
        const units = member.takeBack()
        if (member.line.length === 0) {
          this.#clock.requeue(units)
          this.#clock.stuck(member)
          return
        }
        this.#clock.requeue(units)
        this.#clock.dispatch()
      }
      this.#checkAgain(member, time + Math.min(unit.job.settings.timeout, STUCK_MS))
      return
    }
    if (!(unit.flags & TIMED) || unit.job.over) {
      this.watch(member)
      return
    }
    const { timeout, grace } = unit.job.settings
    // The item that runs; the results of those before it may not have come yet.
    const { item: said } = member.control
    const chunked = (unit.flags & CHUNKED) !== 0
    if (chunked && said < unit.next && unit.next > unit.first) {
      // It is between two items.
      this.#checkAgain(member, time + timeout)
      return
    }
    const item = chunked && said >= unit.next && said < unit.end ? said : unit.next
    const late = unit.late === item || item >= unit.end
    const over = late ? time + timeout : Math.max(member.control.started, member.headSince) + timeout
    if (time >= over) {
      unit.late = item
      unit.passLate()
      this.#clock.counts.timedOut++
      member.abort(unit, chunked ? item : 0, TIMED_OUT)
      this.doom(member, unit, grace)
      unit.job.itemFailed(item, new TimeoutError(`the task has not ended within ${timeout} ms`))
    }
    this.#checkAgain(member, Math.max(over, time + 1))
  }
  #checkAgain(member: Member, time: number): void {
    member.checkAt = time
    this.#clock.wakeAt(time)
  }
  /** Unless this task, which it runs, ends within `grace` ms it is killed. */
  doom(member: Member, unit: Unit, grace: number): void {
    unit.killAt = now() + grace
    member.killAt = Math.min(member.killAt, unit.killAt)
    this.#clock.wakeAt(member.killAt)
    // Nobody else should have to wait behind it.
    const units = member.takeBack()
    this.#clock.requeue(units)
    if (units.length > 0) this.#clock.dispatch()
  }

  /** Its grace is over. False: the chunk has gone on behind the item that was out of time. */
  mayKill(member: Member): boolean {
    const unit = member.line.first
    return unit === undefined || unit.job.over || unit.late < 0 || member.control.item <= unit.late
  }
}
