// Searches every interleaving of a few owners (threads of different processes) that run lib/sync as it is, and every kill.
//
//   owner      runs its program from the start again for each step: what its reads gave is in its log, so it comes to where
//              it was; then it makes one step, and is suspended (an exception) before the next that others could notice
//   a step     an Atomics operation on a lock word or a cell's state, or a call of the addon, and what follows until the next
//   killed     before any step, or after any single store of one
//   reaper     the native part of a death (native/core/host.cc: reap_slot, tell_of_death), in steps of its own
//   kernel     futex sleep and wake (native/binding/lock.cc: cell_wait, cell_wake), rings, timers, the event loop's queue
//
// The lock word itself is simpler than in native/core/lock.cc, which native/model/lock.pml is about: a wait for it ends when
// it can be had. The end of a sleep by its slice of 100 ms comes only when nothing else can move, and only after a kill: in
// life nothing may need it.
import type { Instantiate } from './bundle'
import { Machine } from './machine'
import {
  ABANDONED,
  CELLS,
  copy,
  HEAD,
  HOLDER,
  hashText,
  kill,
  LOOK,
  mix,
  OBJECT_WORDS,
  OWNERS,
  ownerId,
  type Pending,
  REDO,
  type Result,
  ringRegistered,
  type Setting,
  type State,
  trace,
  WAITERS,
  WAITING,
  wake,
  wordAt,
} from './state'

export type { Call, Seen, Setting } from './state'

export class World {
  readonly #machine: Machine
  readonly #setting: Setting

  constructor(instantiate: Instantiate, setting: Setting) {
    this.#machine = new Machine(instantiate, setting)
    this.#setting = setting
  }

  search(): Result {
    const { programs, kills = 0, maxStates = 2_000_000 } = this.#setting
    const first: State = {
      memory: this.#machine.initial.slice(),
      owners: programs.map((_, i) => ({
        call: 0,
        log: [],
        hash: i + 1,
        pending: null,
        said: [],
        saidBefore: 0,
        dead: false,
        asleep: false,
        rung: false,
        awaited: [],
      })),
      reaping: programs.map(() => 0),
      kills,
      from: { state: null, what: 'start' },
    }
    for (let i = 0; i < programs.length; i++) this.#machine.run(first, i, 0, undefined)
    const begun = (this.#setting.first ?? []).reduce((state, i) => this.#alone(state, i), first)
    const seen = new Set<number>([this.#key(begun)])
    const stack = [begun]
    const result: Result = { states: 0, ends: 0 }
    for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
      if (++result.states > maxStates) return { ...result, complaint: `more than ${maxStates} states` }
      let next: State[]
      let complaint: string | undefined
      try {
        next = this.#next(state)
        const moved = next.length
        if (state.kills > 0) this.#kills(state, next)
        if (moved === 0) {
          result.ends++
          complaint = this.#atEnd(state)
        } else complaint = this.#setting.always?.(state.owners)
      } catch (error) {
        next = []
        complaint = String((error as Error).stack)
      }
      if (complaint !== undefined) return { ...result, complaint, trace: trace(state) }
      for (const after of next) {
        const key = this.#key(after)
        if (seen.has(key)) continue
        seen.add(key)
        stack.push(after)
      }
    }
    return result
  }

  #alone(state: State, i: number): State {
    for (let now = state; ; ) {
      const next: State[] = []
      const { pending } = now.owners[i]!
      if (pending !== null) this.#advance({ ...now, kills: 0 }, i, pending, next)
      if (next.length === 0 || now.owners[i]!.asleep) return now
      now = { ...next[0]!, kills: state.kills }
    }
  }

  #key(state: State): number {
    let h = 17
    let k = 91
    const add = (value: number): void => {
      h = mix(h, value)
      k = mix(k + 3, value ^ 0x5bd1e995)
    }
    state.memory.forEach((word, i) => {
      // What an applied redo record says is of no interest to anybody.
      const within = i % OBJECT_WORDS
      if (within <= REDO || within >= REDO + 16 || state.memory[i - within + REDO] !== 0) add(word)
    })
    state.owners.forEach((owner, i) => {
      if (owner.dead) add(-1)
      else if (owner.pending === null) {
        let text = 5
        for (const what of owner.said) text = hashText(text, what)
        add(text)
      } else add(owner.hash)
      add((owner.asleep ? 1 : 0) | (owner.rung ? 2 : 0))
      add(state.reaping[i]!)
    })
    add(state.kills)
    return (h >>> 0) * 2 ** 21 + ((k >>> 0) & 0x1fffff)
  }

  #next(state: State): State[] {
    const next: State[] = []
    state.owners.forEach((owner, i) => {
      if (owner.dead) this.#reap(state, i, next)
      else if (owner.pending !== null) this.#advance(state, i, owner.pending, next)
    })
    const killed = state.kills < (this.#setting.kills ?? 0)
    if (next.length === 0 && killed) this.#slices(state, next)
    return next
  }

  /** Each is killed before its next step. (Within a step: see #go.) */
  #kills(state: State, next: State[]): void {
    const { killedIn } = this.#setting
    state.owners.forEach((owner, i) => {
      const elsewhere = killedIn !== undefined && owner.pending?.what !== killedIn
      if (!owner.dead && this.#mortal(i) && !elsewhere) {
        const after = copy(state, `${i} is killed before ${owner.pending?.what ?? 'it ends'}`)
        kill(after, i)
        next.push(after)
      }
    })
  }

  #mortal(index: number): boolean {
    return this.#setting.mortal?.includes(index) ?? true
  }

  #advance(state: State, i: number, pending: Pending, next: State[]): void {
    const word = pending.word === undefined ? 0 : state.memory[pending.word]!
    const go = (choice?: number): void => this.#go(state, i, choice, next)
    if (pending.what === 'lockAcquire') {
      if (this.#machine.takeable(state, word)) go(state.owners[i]!.asleep ? 1 : 0)
      else if (!(word & WAITERS) || !state.owners[i]!.asleep) {
        const after = copy(state, `${i}: waits for a lock`)
        after.memory[pending.word!] = word | WAITERS
        after.owners[i] = { ...after.owners[i]!, asleep: true }
        next.push(after)
      }
      if (pending.timed && !this.#machine.takeable(state, word)) go(2)
    } else if (pending.what === 'cellWait') {
      if (!state.owners[i]!.asleep) {
        if (word !== WAITING) go(0)
        else {
          const after = copy(state, `${i}: sleeps`)
          after.owners[i] = { ...after.owners[i]!, asleep: true }
          next.push(after)
        }
      }
      if (pending.timed && word === WAITING) go(2)
    } else if (pending.what === 'idle') {
      if (pending.immediate) go(0)
      if (state.owners[i]!.rung) go(1)
      for (let t = 0; t < pending.timers!; t++) go(2 + t)
    } else go()
  }

  #go(state: State, i: number, choice: number | undefined, next: State[]): void {
    const { what } = state.owners[i]!.pending!
    const after = copy(state, `${i}: ${what}${choice === undefined ? '' : ` (${choice})`}`)
    if (what === 'idle' && choice === 1) after.owners[i] = { ...after.owners[i]!, rung: false }
    const writes = this.#machine.run(after, i, 1, choice)
    if (this.#machine.failure !== undefined) throw this.#machine.failure
    next.push(after)
    if (state.kills === 0 || !this.#mortal(i) || this.#setting.killedIn !== undefined) return
    for (let n = 1; n < writes.length; n++) {
      const half = copy(state, `${i} is killed during ${what}, after ${n} of ${writes.length} stores`)
      for (const [word, value] of writes.slice(0, n)) half.memory[word] = value
      kill(half, i)
      next.push(half)
    }
  }

  /** reap_slot(): the owner counts as reaped, then each object it held is looked after. */
  #reap(state: State, dead: number, next: State[]): void {
    const at = state.reaping[dead]!
    if (at < 0) return
    const after = copy(state, `reaper of ${dead}: ${at}`)
    after.reaping[dead] = at + 1
    next.push(after)
    if (at === 0) return
    const perObject = CELLS + 1
    const { offset, kind } = this.#machine.offsets[Math.floor((at - 1) / perObject)]!
    const base = wordAt(offset)
    const part = (at - 1) % perObject
    if (part === 0) {
      const word = after.memory[base]!
      if ((word & HOLDER) === ownerId(dead) && this.#setting.reaperOmits !== 'abandon') {
        after.memory[base] = ABANDONED | (word & ~HOLDER)
        ringRegistered(after, base)
      }
    } else if (kind === 'sync') {
      const cell = base + HEAD + (part - 1) * 8
      const owner = after.memory[cell + 4]!
      if (owner >= OWNERS && after.memory[cell] === WAITING && this.#setting.reaperOmits !== 'look') {
        after.memory[cell] = LOOK
        wake(after, cell, after.memory[cell + 6]! & 1 ? owner : 0)
      }
    }
    // What nothing can be done about is not a step of its own.
    const used = (n: number): boolean => {
      const object = this.#machine.offsets[Math.floor((n - 1) / perObject)]
      if (object === undefined) return true
      const p = (n - 1) % perObject
      if (p === 0) return true
      return object.kind === 'sync' && p - 1 < after.memory[wordAt(object.offset) + 29]!
    }
    while (!used(after.reaping[dead]!)) after.reaping[dead]!++
    if (after.reaping[dead]! > perObject * this.#machine.offsets.length) after.reaping[dead] = -1
  }

  /** The end of sleeps by time, for what somebody who was killed did not wake. */
  #slices(state: State, next: State[]): void {
    state.owners.forEach((owner, i) => {
      if (owner.dead || owner.pending === null) return
      const after = copy(state, `${i}: a slice has passed`)
      if (owner.pending.what === 'cellWait' && state.memory[owner.pending.word!] !== WAITING)
        after.owners[i] = { ...after.owners[i]!, asleep: false }
      else if (owner.pending.what === 'idle' && owner.awaited.some((word) => this.#toBeHad(state, word)))
        after.owners[i] = { ...after.owners[i]!, rung: true }
      else return
      next.push(after)
    })
  }

  /** look_after_awaited() */
  #toBeHad(state: State, word: number): boolean {
    const value = state.memory[word]!
    return word % OBJECT_WORDS === 0 ? this.#machine.takeable(state, value) : value !== WAITING
  }

  #atEnd(state: State): string | undefined {
    const seen = state.owners
    const hung = seen.findIndex((owner) => !owner.dead && owner.pending !== null)
    if (hung >= 0 && !this.#setting.mayHang?.(seen, this.#machine.bystander(state)))
      return `${hung} waits for ever in ${seen[hung]!.pending!.what}`
    return this.#setting.atEnd?.(seen, this.#machine.bystander(state))
  }
}
