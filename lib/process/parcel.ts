// How what a child is to run gets to it: one block of shared memory, delivered to the slot that the parent reserved.
//
//   parent: reserve() → spawn, with the root's descriptor and ticketOf(seat) → send(seat, bytes)      → giveBack(seat)
//   child:               receive(ticket): adopts root and slot, blocks ─────────┘ copies the bytes       at its end
//
// What the bytes refer to (locks, arrays …) is held by the child's slot from encode() on: it cannot vanish in between.
import { binding } from '../binding'
import { attach } from '../memory'

/** The slot of a child that is about to start. */
export interface Seat {
  slot: number
  generation: number
  rootId: string
}

/** What the child needs to know to find its parcel, and whose child it is. */
export interface Ticket extends Seat {
  parentPid: number
  /** The descriptor whose end of file means that the parent is gone. */
  watchFd: number
  /** The kernel may end this child with the thread that started it. */
  bound: boolean
}

/** Where the child finds the root's descriptor. */
export const ROOT_FD = 3

export function reserve(): Seat {
  const { rootId } = attach()
  return { ...binding().reserveSlot(), rootId }
}

export function rootFd(): number {
  return binding().rootFd()
}

/** Makes the child hold a block that its parcel refers to: the `hold` of encode(). */
export function holdFor(seat: Seat, offset: number): void {
  binding().holdFor(seat.slot, seat.generation, offset)
}

export function send(seat: Seat, parts: readonly Uint8Array[]): void {
  binding().deliver(seat.slot, seat.generation, Buffer.concat(parts))
}

/** Frees the slot, unless its child has adopted it (then its death frees it). */
export function giveBack(seat: Seat): void {
  binding().releaseSlot(seat.slot, seat.generation)
}

export function writeTicket(ticket: Ticket): string {
  const { rootId, slot, generation, parentPid, watchFd, bound } = ticket
  return JSON.stringify([rootId, slot, generation, parentPid, watchFd, bound ? 1 : 0])
}

export function readTicket(text: string): Ticket {
  const [rootId, slot, generation, parentPid, watchFd, bound] = JSON.parse(text)
  return { rootId, slot, generation, parentPid, watchFd, bound: bound === 1 }
}

/** In the child: blocks until the parcel is there, and gives a private copy of it. null: the parent is gone. */
export function receive(ticket: Ticket): Uint8Array | null {
  binding().inherit(ROOT_FD, ticket.rootId, ticket.slot, ticket.generation)
  return binding().takeDelivery()
}
