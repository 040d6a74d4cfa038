// What is lost with a worker, and what is not: of its line only the item that ran. What had ended is in the journal, or was said;
// what had not been started is queued again.
import { WorkerLostError } from '../errors'
import type { ExitStatus } from '../process/start/method'
import { type Answers, where } from './answers'
import type { Member } from './member'
import { CHUNKED } from './protocol'
import type { Unit } from './unit'

/** Settles what a dead worker ran, and gives what is to be run by others, in its order. All that it has said was read before. */
export function salvage(
  member: Member,
  answers: Answers,
  counts: { failed: number; retried: number },
  lost: () => WorkerLostError,
): Unit[] {
  const unstarted = member.takeBack()
  const back: Unit[] = []
  for (const unit of member.line) {
    if (unit.job.over) continue
    unit.job.trace?.ranIn(member.host.pid, member.id)
    if (unit.flags & CHUNKED) answers.readJournal(member, unit)
    // It runs the first item that is not settled, unless that is behind one which was out of time.
    let item = unit.next
    if (item === unit.late + 1 && unit.late >= 0 && member.control.item <= unit.late) {
      if (item < unit.end) back.push(unit.part(item, unit.end))
      continue
    }
    if (item >= unit.end) continue
    if (unit.attempt <= unit.job.settings.retries) {
      counts.retried++
      const again = unit.part(item, item + 1)
      again.attempt = unit.attempt + 1
      back.push(again)
    } else {
      unit.job.itemFailed(item, lost())
      counts.failed++
    }
    item++
    if (item < unit.end && !unit.job.over) back.push(unit.part(item, unit.end))
  }
  while (member.line.shift() !== undefined);
  for (const unit of member.own) if (!unit.job.over) unit.job.itemFailed(unit.first, lost())
  return [...back, ...unstarted]
}

export function lostError(member: Member, status: ExitStatus | null): WorkerLostError {
  const { host } = member
  const exitCode = status?.exitCode ?? null
  const signal = status?.signal ?? null
  const outOfMemory = host.outOfMemory(status)
  const how =
    signal !== null
      ? `was ended by ${signal}`
      : exitCode === null
        ? 'has ended'
        : `has ended with exit code ${exitCode}`
  const said = host.stderr.trim()
  return new WorkerLostError(
    `${where(member)} ${how} while it ran the task${outOfMemory ? '; it was probably out of memory' : ''}${
      said === '' ? '' : `. The last that it wrote to stderr:\n${said}`
    }`,
    { pid: host.pid, exitCode, signal, stderr: host.stderr, likelyOutOfMemory: outOfMemory },
  )
}
