// What the workers say, record by record, and what becomes of it: results and errors for jobs, news of workers for the engine.
//
// Items of a unit are settled in their order, each once: what comes twice (in a record and, after a kill, in the journal) is met
// by unit.next.

import { readFlat } from '../serialize'
import { decodeFailure } from './failure'
import type { Job } from './job'
import { endMessage, type Inbox, readBody, readBodySync } from './lane'
import type { Member } from './member'
import { CHUNK, CHUNKED, FAILURE, ITEM, ITEM_FAILURE, ITEMS, NOT_READY, OP, PROGRESS, READY, RESULT } from './protocol'
import type { Unit } from './unit'

/** Who is told. */
export interface Audience {
  member(id: number): Member | undefined
  ready(member: Member): void
  /** Its initializer has thrown. */
  notReady(member: Member, error: unknown): void
  /** The first of its line has ended, after so many µs. */
  through(member: Member, unit: Unit, flags: number, took: number): void
  requeue(units: readonly Unit[]): void
  readonly counts: { completed: number; failed: number }
}

export class Answers {
  readonly #audience: Audience

  constructor(audience: Audience) {
    this.#audience = audience
  }

  /** One record. */
  read(inbox: Inbox): void {
    const op = inbox.word(0)
    const member = this.#audience.member(inbox.word(1))
    if (member === undefined) {
      endMessage(inbox.message)
      return
    }
    switch (op & OP) {
      case READY:
        this.#audience.ready(member)
        return
      case NOT_READY:
        this.#notReady(member, inbox)
        return
    }
    const unit = member.line.first
    if (unit === undefined || unit.seq !== (inbox.word(2) | 0)) {
      endMessage(inbox.message)
      return
    }
    unit.job.trace?.ranIn(member.host.pid, member.id)
    const item = inbox.word(3)
    switch (op & OP) {
      case PROGRESS:
        if (!unit.job.over && unit.job.onProgress) {
          unit.job.reported = true
          const said = readBodySync(inbox.area, inbox.start, inbox.end, inbox.message !== 0) as [number, number]
          process.nextTick(unit.job.onProgress, said[0], said[1])
        }
        endMessage(inbox.message)
        return
      case ITEMS:
      case CHUNK:
        this.readItems(unit, item, inbox.word(5), inbox)
        if ((op & OP) === ITEMS) return
        this.#audience.counts.completed++
        this.#audience.through(member, unit, op, inbox.word(4))
        return
      case ITEM:
        if (item < unit.next) {
          endMessage(inbox.message)
          return
        }
        unit.next = item + 1
        unit.passLate()
        this.#deliver(unit.job, item, inbox)
        return
      case ITEM_FAILURE:
        if (item < unit.next) {
          endMessage(inbox.message)
          return
        }
        unit.next = item + 1
        unit.passLate()
        this.#deliverFailure(unit.job, item, member, inbox)
        return
      case RESULT:
        if (unit.next === unit.first) {
          unit.next = unit.end
          this.#deliver(unit.job, unit.first, inbox)
        } else endMessage(inbox.message)
        this.#audience.counts.completed++
        this.#audience.through(member, unit, op, inbox.word(4))
        return
      case FAILURE: {
        const at = unit.flags & CHUNKED ? item : unit.first
        if (at >= unit.next) {
          unit.next = unit.end
          this.#deliverFailure(unit.job, at, member, inbox)
          if (at + 1 < unit.end && !unit.job.over) unit.job.skipped(at + 1, unit.end)
        } else {
          // It was out of time already: those behind it still want to run.
          endMessage(inbox.message)
          if (unit.next < unit.end && !unit.job.over) this.#audience.requeue([unit.part(unit.next, unit.end)])
        }
        this.#audience.counts.failed++
        this.#audience.through(member, unit, op, inbox.word(4))
        return
      }
    }
  }

  #deliver(job: Job, item: number, inbox: Inbox): void {
    const { message } = inbox
    if (job.over) {
      endMessage(message)
      return
    }
    let value: unknown
    try {
      if (job.sync) value = readBodySync(inbox.area, inbox.start, inbox.end, message !== 0)
      else {
        const read = readBody(inbox.area, inbox.start, inbox.end, message !== 0)
        if (read instanceof Promise) {
          void read
            .then(
              (result) => job.itemDone(item, result),
              (error) => job.itemFailed(item, error),
            )
            .finally(() => endMessage(message))
          return
        }
        value = read.value
      }
    } catch (error) {
      endMessage(message)
      job.itemFailed(item, error)
      return
    }
    endMessage(message)
    job.itemDone(item, value)
  }

  #deliverFailure(job: Job, item: number, member: Member, inbox: Inbox): void {
    const { message } = inbox
    if (job.over) {
      endMessage(message)
      return
    }
    let error: unknown
    try {
      error = decodeFailure(readBodySync(inbox.area, inbox.start, inbox.end, message !== 0), where(member))
    } catch (malformed) {
      error = malformed
    }
    if (error instanceof Promise)
      void error.then((decoded) => job.itemFailed(item, decoded)).finally(() => endMessage(message))
    else {
      endMessage(message)
      job.itemFailed(item, error)
    }
  }

  /** Results from `from` on, each behind its length. */
  readItems(
    unit: Unit,
    from: number,
    count: number,
    source: Inbox | { area: Inbox['area']; start: number; end: number },
  ): void {
    const { area, end } = source
    let at = source.start
    for (let item = from; item < from + count && item < unit.end; item++) {
      if (at + 4 > end) break
      const next = at + 4 + area.view.getUint32(at, true)
      if (next > end) break
      if (item >= unit.next) {
        unit.next = item + 1
        unit.passLate()
        if (!unit.job.over) unit.job.itemDone(item, readFlat(area, at + 4, next))
      }
      at = next
    }
  }

  #notReady(member: Member, inbox: Inbox): void {
    let error: unknown
    try {
      error = decodeFailure(readBodySync(inbox.area, inbox.start, inbox.end, inbox.message !== 0), where(member))
    } catch (malformed) {
      error = malformed
    }
    endMessage(inbox.message)
    if (error instanceof Promise) void error.then((decoded) => this.#audience.notReady(member, decoded))
    else this.#audience.notReady(member, error)
  }

  /** Of a dead worker: what it had finished of this chunk and not sent. */
  readJournal(member: Member, unit: Unit): void {
    const journal = member.control.readJournal(unit.seq)
    if (journal === undefined) return
    const { from, count, end } = journal
    try {
      this.readItems(unit, from, count, { area: member.control.journal, start: 0, end })
    } catch {
      // torn: what cannot be read was not finished
    }
  }
}

/** How errors call a worker. */
export function where(member: Member): string {
  return `worker ${member.id} (pid ${member.host.pid})`
}
