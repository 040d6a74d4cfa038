// What a world is made of: the memory, what each owner is about, and how far the reaper is.
import type { Instantiate } from './bundle'

export const OWNERS = 4096
export const WAITERS = 1 << 31
export const ASYNC_WAITERS = 1 << 30
export const HOLDER = 0x3fffffff
export const ABANDONED = 1
export const WAITING = 1
export const LOOK = 3

export const REDO = 8
export const HEAD = 32
export const CELLS = 6
/** Words of an object: a SyncObject with a few cells. A lock takes as much. */
export const OBJECT_WORDS = HEAD + CELLS * 8
export const OBJECT_BYTES = OBJECT_WORDS * 4

export type Sync = ReturnType<Instantiate>
export type Objects = Record<string, any>
/** A part of what an owner does; `say` notes what it got. */
export type Call = (objects: Objects, say: (what: string) => void) => unknown
/** What an owner does, call by call: each with objects of its own, so that no more than `said` is known of those before. */
export type Program = Call[]

export interface Setting {
  /** Makes the objects, by nobody in particular. */
  make(sync: Sync): Objects
  programs: Program[]
  /** Programs wait as promises, too: then each run has lib/sync anew, with the queues that it keeps. */
  promises?: boolean
  /** Owners that run alone at first, each until it sleeps: what comes before is of no interest. */
  first?: number[]
  /** How many owners may be killed, of all, or of these. */
  kills?: number
  mortal?: number[]
  /** They are killed only before a step of this kind. */
  killedIn?: string
  /** May somebody wait for ever in the end? Otherwise that is a complaint. */
  mayHang?(owners: Seen[], objects: Objects): boolean
  /** Called at each end of a run, with the objects as a bystander has them. A complaint, or nothing. */
  atEnd?(owners: Seen[], objects: Objects): string | undefined
  /** Called after each step. */
  always?(owners: Seen[]): string | undefined
  /** What the reaper leaves out, to see that it is missed. */
  reaperOmits?: 'look' | 'abandon'
  maxStates?: number
}

export interface Result {
  states: number
  ends: number
  complaint?: string
  trace?: string[]
}

/** An owner from outside. */
export interface Seen {
  said: readonly string[]
  dead: boolean
}

/** What an owner is about to do; what it can do depends on the world. */
export interface Pending {
  what: string
  /** Of lockAcquire, cellWait: a word. */
  word?: number
  timed?: boolean
  timers?: number
  immediate?: boolean
}

export interface OwnerState {
  call: number
  /** Of this call: what its reads gave. */
  log: readonly number[]
  hash: number
  pending: Pending | null // null: it has finished
  said: readonly string[]
  /** How much of it is of the calls before this one. */
  saidBefore: number
  dead: boolean
  asleep: boolean
  rung: boolean
  awaited: readonly number[]
}

export interface State {
  memory: Int32Array
  owners: OwnerState[]
  /** What the reaper does next for each owner: 0: nothing yet (or nobody died); −1: done. */
  reaping: number[]
  kills: number
  from: { state: State | null; what: string }
}

export function mix(hash: number, value: number): number {
  let h = Math.imul(hash ^ value, 0x9e3779b1)
  h ^= h >>> 15
  return Math.imul(h, 0x85ebca77) ^ (h >>> 13)
}
export function hashText(hash: number, text: string): number {
  for (let i = 0; i < text.length; i++) hash = mix(hash, text.charCodeAt(i))
  return mix(hash, -7)
}

export const wordAt = (offset: number): number => offset / 4
export const ownerId = (index: number): number => OWNERS + index
export const BYSTANDER = 4000

export function copy(state: State, what: string): State {
  return {
    memory: state.memory.slice(),
    owners: [...state.owners],
    reaping: [...state.reaping],
    kills: state.kills,
    from: { state, what },
  }
}
export function kill(state: State, index: number): void {
  state.kills--
  state.owners[index] = { ...state.owners[index]!, dead: true, asleep: false, rung: false, awaited: [] }
}
/** FUTEX_WAKE of a cell's state word, or a ring. */
export function wake(state: State, cell: number, owner: number): void {
  state.owners.forEach((other, i) => {
    const sleeps = owner === 0 && other.pending?.what === 'cellWait' && other.pending.word === cell
    if (sleeps) state.owners[i] = { ...other, asleep: false }
    if (owner === ownerId(i) && !other.dead) state.owners[i] = { ...other, rung: true }
  })
}
/** Who has registered for a lock as a promise. */
export function ringRegistered(state: State, word: number): void {
  state.owners.forEach((other, i) => {
    if (!other.dead && other.awaited.includes(word)) state.owners[i] = { ...other, rung: true }
  })
}
export function trace(state: State): string[] {
  const lines: string[] = []
  for (let s: State | null = state; s !== null; s = s.from.state) lines.unshift(s.from.what)
  return lines
}
