// How what a child is to run gets to it: one block of shared memory, delivered to the slot that the parent reserved.
//
//   parent: reserve() → spawn, with the root's descriptor and a ticket → send(seat, parts)     → giveBack(seat)
//   child:              child/entry.ts: adopts root and slot, blocks ──────────┘ copies them      at its end
//
// What the bytes refer to (locks, arrays …) is held by the child's slot from encode() on: it cannot vanish in between.
import { addonPath, binding } from '../binding'
import { sweep } from '../log/sweep'
import { attach } from '../memory'
import { joinParts, ROOT_FD, writeTicket } from './ticket'

const WINDOWS = process.platform === 'win32'

/** The slot of a child that is about to start. */
export interface Seat {
  slot: number
  generation: number
  rootId: string
}

export function reserve(): Seat {
  const { rootId } = attach()
  return { ...binding().reserveSlot(), rootId }
}

/** The child as an owner: in lock words, and in what the addon tells of deadlocks. */
export function ownerOf(seat: Seat): number {
  return seat.slot + seat.generation * 4096
}

/** What a child inherits beside its standard streams: the root, where descriptors can be passed on at all. */
export function inherited(): number[] {
  return WINDOWS ? [] : [binding().rootFd()]
}

export function ticketOf(seat: Seat, daemon: boolean): string {
  const root = WINDOWS ? binding().rootFd() : ROOT_FD
  return writeTicket({ ...seat, daemon, parentPid: process.pid, root, addon: addonPath() })
}

/** Makes the child hold a block that its parcel refers to: the `hold` of encode(). */
export function holdFor(seat: Seat, offset: number): void {
  binding().holdFor(seat.slot, seat.generation, offset)
}

export function send(seat: Seat, parts: readonly Uint8Array[]): void {
  binding().deliver(seat.slot, seat.generation, joinParts(parts))
}

/** This process ends in order: the child may go on alone. Blocks up to `timeout` ms until it has its parcel. */
export function letGo(seat: Seat, timeout: number): void {
  binding().letGo(seat.slot, seat.generation, timeout)
}

/** Frees the slot, unless its child has adopted it (then its death frees it). */
export function giveBack(seat: Seat): void {
  binding().releaseSlot(seat.slot, seat.generation)
  sweep() // a killed child cannot remove its shared memory
}
