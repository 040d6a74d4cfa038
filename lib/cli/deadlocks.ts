// Threads that wait for each other, as seen from outside. The program itself throws DeadlockError where it is certain; here
// circles are shown, too, that only a third process, a time-out or a promise could still break.
import type { SeenSlot } from '../../binding'
import { Blocked, Kind, type Reading } from './tree'

export interface Circle {
  /** Nothing that this program can do ends it: all are blocked, and nobody else may release what they wait for. */
  certain: boolean
  members: { pid: number; threadId: number; name: string; waitsFor: string; blocking: boolean; held: string }[]
}

/** Among those who could end a wait: its time limit. */
const NOBODY = -1

interface Edge {
  from: SeenSlot
  to: SeenSlot
  what: string
  blocking: boolean
  number: number
  /** Slots that could end the wait as well. */
  others: number[]
}

/** The circles in one look. What is true is the same in a later one: see sameCircles(). */
export function circles(reading: Reading): Circle[] {
  const edges = new Map<number, Edge[]>()
  for (const slot of reading.threads) edges.set(slot.index, edgesOf(reading, slot))
  const found = new Map<string, Edge[]>()
  for (const start of edges.keys()) {
    const way: Edge[] = []
    const visit = (at: number): void => {
      for (const edge of edges.get(at) ?? []) {
        if (way.length > 100 || found.size > 100) return
        if (edge.to.index === start) {
          const circle = [...way, edge]
          const key = circle
            .map((e) => `${e.from.owner}/${e.number}/${e.what}`)
            .sort()
            .join()
          if (!found.has(key)) found.set(key, circle)
        } else if (edge.to.index > start && !way.some((e) => e.from.index === edge.to.index)) {
          way.push(edge)
          visit(edge.to.index)
          way.pop()
        }
      }
    }
    visit(start)
  }
  return [...found.values()].map((circle) => {
    const members = new Set(circle.map((edge) => edge.from.index))
    return {
      certain: circle.every((edge) => edge.blocking && edge.others.every((slot) => members.has(slot))),
      members: circle.map(({ from, to, what, blocking }) => ({
        pid: from.pid,
        threadId: from.threadId,
        name: reading.nameOf(from),
        waitsFor: what,
        blocking,
        held: `${reading.nameOf(to)} (${to.pid})`,
      })),
    }
  })
}

/** Those of `now` that were there `before`, wait for wait. */
export function sameCircles(before: readonly Circle[], now: readonly Circle[]): Circle[] {
  const known = new Set(before.map((circle) => JSON.stringify(circle.members)))
  return now.filter((circle) => known.has(JSON.stringify(circle.members)))
}

function edgesOf(reading: Reading, slot: SeenSlot): Edge[] {
  const edges: Edge[] = []
  const add = (owner: number, what: string, blocking: boolean, others: number[]): void => {
    const to = reading.slotOf(owner)
    if (to !== undefined && !to.dead)
      edges.push({ from: slot, to, what, blocking, number: blocking ? slot.blockedNumber : 0, others })
  }
  const forBlock = (offset: number, blocking: boolean, limited = false): void => {
    const block = reading.at(offset)
    if (block === undefined) return
    const what = reading.describe(block)
    if (block.sync === undefined) {
      if (block.lock === undefined || block.lock.owner === 0) return
      const anybody = block.kind !== Kind.rlock
      const others = anybody ? block.holders.filter((index) => isThread(reading, index)) : []
      add(block.lock.owner, what, blocking, limited ? [NOBODY] : others)
    } else if (block.sync.type === 6) {
      for (const cell of block.sync.cells)
        if (cell.held > 0 && cell.owner !== slot.owner) add(cell.owner, what, blocking, [])
    }
  }
  if (slot.blocked === Blocked.lock || slot.blocked === Blocked.owned || slot.blocked === Blocked.cells)
    forBlock(slot.blockedIn, true)
  if (slot.blocked === Blocked.told) forBlock(slot.blockedIn, true, true)
  if (slot.blocked === Blocked.process) add(slot.blockedIn, 'its end', true, [])
  for (const offset of slot.awaits) forBlock(offset, false)
  return edges
}

function isThread(reading: Reading, index: number): boolean {
  const slot = reading.bySlot.get(index)
  return slot !== undefined && slot.process !== slot.owner
}
