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
import { Microtasks, promiseClass } from './promise'

const OWNERS = 4096
const WAITERS = 1 << 31
const ASYNC_WAITERS = 1 << 30
const HOLDER = 0x3fffffff
const ABANDONED = 1
const WAITING = 1
const LOOK = 3

const REDO = 8
const HEAD = 32
const CELLS = 6
/** Words of an object: a SyncObject with a few cells. A lock takes as much. */
const OBJECT_WORDS = HEAD + CELLS * 8
const OBJECT_BYTES = OBJECT_WORDS * 4

type Sync = ReturnType<Instantiate>
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
interface Pending {
  what: string
  /** Of lockAcquire, cellWait: a word. */
  word?: number
  timed?: boolean
  timers?: number
  immediate?: boolean
}

interface OwnerState {
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

interface State {
  memory: Int32Array
  owners: OwnerState[]
  /** What the reaper does next for each owner: 0: nothing yet (or nobody died); −1: done. */
  reaping: number[]
  kills: number
  from: { state: State | null; what: string }
}

class Suspended extends Error {}
const suspended = new Suspended()

function mix(hash: number, value: number): number {
  let h = Math.imul(hash ^ value, 0x9e3779b1)
  h ^= h >>> 15
  return Math.imul(h, 0x85ebca77) ^ (h >>> 13)
}
function hashText(hash: number, text: string): number {
  for (let i = 0; i < text.length; i++) hash = mix(hash, text.charCodeAt(i))
  return mix(hash, -7)
}

const wordAt = (offset: number): number => offset / 4
const ownerId = (index: number): number => OWNERS + index
const BYSTANDER = 4000

export class World {
  readonly #instantiate: Instantiate
  readonly #setting: Setting
  #offsets: { kind: 'lock' | 'sync'; offset: number }[] = []
  #plans: [string, (sync: Sync) => any][] = []
  #initial: Int32Array

  // Of the execution under way:
  #memory = new Int32Array(0)
  #me = 0
  #cursor = 0
  #log: number[] = []
  #budget = 0
  #stopped = false
  #pending: Pending | null = null
  #choice: number | undefined
  #writes: [number, number][] = []
  #said: string[] = []
  #state: State | undefined
  #awaited: number[] = []
  #ringListeners: (() => void)[] = []
  #immediates: (() => void)[] = []
  #timers: ((() => void) | undefined)[] = []
  #failure: unknown
  readonly #words: Int32Array

  constructor(instantiate: Instantiate, setting: Setting) {
    this.#instantiate = instantiate
    this.#setting = setting
    this.#words = this.#proxy()
    this.#memory = new Int32Array(64 * OBJECT_WORDS)
    this.#me = ownerId(BYSTANDER)
    this.#budget = Number.POSITIVE_INFINITY
    const sync = this.#surround()
    for (const [name, object] of Object.entries(setting.make(sync))) this.#plans.push([name, this.#planOf(object)])
    this.#initial = this.#memory.slice(0, (this.#offsets.length + 1) * OBJECT_WORDS)
  }

  /** How another owner comes to the same object. */
  #planOf(object: any): (sync: Sync) => any {
    const name = object.constructor.name as keyof Sync
    const { offset } = object
    const ticket = { offset, generation: 1 }
    if (name === 'Lock' || name === 'RLock')
      return (sync) => (sync[name] as any).from({ offset, kind: name === 'Lock' ? 1 : 2, owner: {} }, {})
    if (name === 'Condition') {
      const lock = this.#planOf(object.lock)
      return (sync) => new (sync.Condition as any)(lock(sync), {}, ticket)
    }
    if (name === 'Barrier') {
      const parties = object.parties
      return (sync) => new (sync.Barrier as any)(parties, {}, ticket)
    }
    if (name === 'Semaphore' || name === 'BoundedSemaphore')
      return (sync) => new (sync[name] as any)(undefined, {}, ticket)
    return (sync) => new (sync[name] as any)({}, ticket)
  }

  // ---- what the code sees --------------------------------------------------------------------------------------------

  #proxy(): Int32Array {
    const fill = (value: number, start: number, end: number): void => {
      for (let i = start; i < end; i++) this.#plainWrite(i, value)
    }
    return new Proxy({} as Int32Array, {
      get: (_, key) => (key === 'fill' ? fill : this.#plainRead(Number(key))),
      set: (_, key, value) => {
        this.#plainWrite(Number(key), value)
        return true
      },
    })
  }

  /** A lock word; or a cell's state, unless its monitor is ours and no reaper is about: then nobody else touches it. */
  #isShared(word: number): boolean {
    const within = word % OBJECT_WORDS
    if (within === 0) return true
    if (within < HEAD || (within - HEAD) % 8 !== 0) return false
    return (this.#memory[word - within]! & HOLDER) !== this.#me || this.#reaperIsAbout()
  }
  /** Somebody is dead, and not put in order yet. */
  #reaperIsAbout(): boolean {
    return this.#state?.owners.some((owner, i) => owner.dead && this.#state!.reaping[i]! >= 0) ?? false
  }
  #plainRead(word: number): number {
    return this.#isShared(word) ? this.#step('load', () => this.#memory[word]!) : this.#free(() => this.#memory[word]!)
  }
  #plainWrite(word: number, value: number): void {
    if (this.#isShared(word) && this.#memory[word] !== value) this.#step('store', () => this.#store(word, value))
    else this.#free(() => this.#store(word, value))
  }
  #store(word: number, value: number): number {
    if (word < OBJECT_WORDS) throw new Error('a store outside of all objects')
    this.#writes.push([word, value])
    this.#memory[word] = value
    return 0
  }

  /** Something that nobody else can notice at that moment. */
  #free(act: () => number): number {
    if (this.#stopped) throw suspended
    if (this.#cursor < this.#log.length) return this.#log[this.#cursor++]!
    return this.#note(act())
  }
  #note(result: number): number {
    this.#log.push(result)
    this.#cursor++
    return result
  }
  /** Something that others could notice, or that could notice others. */
  #step(what: string, act: () => number, pending: Partial<Pending> = {}): number {
    if (this.#stopped) throw suspended
    if (this.#cursor < this.#log.length) return this.#log[this.#cursor++]!
    if (this.#budget === 0) {
      this.#stopped = true
      this.#pending = { what, ...pending }
      throw suspended
    }
    this.#budget--
    return this.#note(act())
  }

  #surround(): Sync {
    this.#immediates = []
    this.#timers = []
    this.#ringListeners = []
    if (this.#setting.promises) return this.#makeSync()
    this.#sync ??= this.#makeSync()
    return this.#sync
  }
  #makeSync(): Sync {
    const shared = this.#words
    const real = Atomics
    const microtasks = new Microtasks()
    const access = (word: number, what: string, act: () => number): number =>
      this.#isShared(word) ? this.#step(what, act) : this.#free(act)
    const atomics = {
      load: (words: Int32Array, word: number) =>
        words === shared ? access(word, 'load', () => this.#memory[word]!) : real.load(words, word),
      store: (words: Int32Array, word: number, value: number) =>
        words === shared ? access(word, 'store', () => this.#store(word, value)) : real.store(words, word, value),
      compareExchange: (words: Int32Array, word: number, expected: number, value: number) =>
        words === shared
          ? access(word, 'compareExchange', () => {
              const before = this.#memory[word]!
              if (before === expected) this.#store(word, value)
              return before
            })
          : real.compareExchange(words, word, expected, value),
    }
    this.#microtasks = microtasks
    return this.#instantiate({
      Atomics: atomics,
      Promise: promiseClass(microtasks),
      setImmediate: (callback) => this.#immediates.push(callback),
      setTimeout: (callback) => this.#timers.push(callback) - 1,
      clearTimeout: (timer) => {
        if (typeof timer === 'number') this.#timers[timer] = undefined
      },
      binding: this.#binding(),
      memory: {
        Kind: { lock: 1, rlock: 2, sync: 8 },
        attach: () => ({ me: this.#me }),
        allocate: (_: object, bytes: number) => {
          const offset = (this.#offsets.length + 1) * OBJECT_BYTES
          this.#offsets.push({ kind: bytes > 64 ? 'sync' : 'lock', offset })
          return offset
        },
        adopt() {},
        drop() {},
        handleOf: (offset: number) => ({ offset, generation: 1 }),
        countPending() {},
        onRing: (listener: () => void) => {
          this.#ringListeners.push(listener)
        },
        viewsAt: () => ({ i32: shared }),
        inWindow: (offset: number) => offset,
      },
    })
  }
  #microtasks = new Microtasks()
  #sync: Sync | undefined

  #binding(): object {
    const memory = (): Int32Array => this.#memory
    return {
      lockAcquire: (offset: number, timeout: number) => {
        const word = wordAt(offset)
        const take = (): number => {
          if (this.#choice === 2) return 2
          const before = memory()[word]!
          const holder = before & HOLDER
          this.#store(word, this.#me | (before & ~HOLDER) | (this.#choice === 1 ? WAITERS : 0))
          return holder === 0 ? 0 : 1
        }
        return this.#step('lockAcquire', take, { word, timed: timeout !== Number.POSITIVE_INFINITY })
      },
      lockTry: (offset: number) =>
        this.#step('lockTry', () => {
          const before = memory()[wordAt(offset)]!
          if (!this.#takeable(this.#state, before)) return 2
          this.#store(wordAt(offset), this.#me | (before & ~HOLDER))
          return (before & HOLDER) === 0 ? 0 : 1
        }),
      lockTryOrRegister: (offset: number) => {
        const word = wordAt(offset)
        const result = this.#step('lockTryOrRegister', () => {
          const before = memory()[word]!
          const had = this.#takeable(this.#state, before)
          this.#store(word, had ? this.#me | (before & ~HOLDER) | ASYNC_WAITERS : before | ASYNC_WAITERS)
          return had ? Number((before & HOLDER) !== 0) : 2
        })
        this.#awaited = this.#awaited.filter((w) => w !== word)
        if (result === 2) this.#awaited.push(word)
        return result
      },
      lockUnregister: (offset: number) => {
        this.#awaited = this.#awaited.filter((w) => w !== wordAt(offset))
      },
      lockMarkStarving() {},
      lockRelease: (offset: number, owner: number) =>
        this.#step('lockRelease', () => {
          const holder = memory()[wordAt(offset)]! & HOLDER
          if (holder < OWNERS || (owner !== 0 && holder !== owner)) return 0
          this.#store(wordAt(offset), 0)
          if (this.#state !== undefined) ringRegistered(this.#state, wordAt(offset))
          return 1
        }) === 1,
      cellWait: (offset: number, timeout: number) =>
        this.#step('cellWait', () => this.#choice ?? 0, {
          word: wordAt(offset),
          timed: timeout !== Number.POSITIVE_INFINITY,
        }),
      cellWake: (offset: number, owner: number) => {
        this.#step(owner === 0 ? 'cellWake' : 'ring', () => {
          if (this.#state !== undefined) wake(this.#state, wordAt(offset), owner)
          return 0
        })
      },
      awaitCell: (offset: number) => this.#awaited.push(wordAt(offset)),
      unawaitCell: (offset: number) => {
        this.#awaited = this.#awaited.filter((word) => word !== wordAt(offset))
      },
      isReaped: (owner: number) => {
        const act = (): number => (this.#state !== undefined && this.#state.reaping[owner - OWNERS] !== 0 ? 1 : 0)
        const index = owner - OWNERS
        // Nobody's answer changes as long as nobody is dead and not yet reaped.
        const changing = this.#state?.owners[index]?.dead === true && this.#state.reaping[index] === 0
        return (changing ? this.#step('isReaped', act) : this.#free(act)) === 1
      },
    }
  }

  #takeable(state: State | undefined, word: number): boolean {
    const holder = word & HOLDER
    return holder < OWNERS || state?.owners[holder - OWNERS]?.dead === true
  }

  // ---- running an owner ----------------------------------------------------------------------------------------------

  /** Runs the owner's program to where it was and `steps` further. Changes `state`, which is a copy. */
  #run(state: State, index: number, steps: number, choice: number | undefined): [number, number][] {
    const owner = state.owners[index]!
    this.#state = state
    this.#memory = state.memory
    this.#me = ownerId(index)
    this.#cursor = 0
    this.#log = [...owner.log]
    this.#budget = steps
    this.#stopped = false
    this.#pending = null
    this.#choice = choice
    this.#writes = []
    this.#said = []
    this.#awaited = []
    this.#failure = undefined
    const before = owner.log.length
    const program = this.#setting.programs[index]!
    let { call } = owner
    let finished = this.#perform(program[call]!)
    let hash = owner.hash
    for (let i = before; i < this.#log.length; i++) hash = mix(hash, this.#log[i]!)
    let said = [...owner.said.slice(0, owner.saidBefore), ...this.#said]
    let saidBefore = owner.saidBefore
    while (finished && this.#failure === undefined && call + 1 < program.length) {
      call++
      saidBefore = said.length
      hash = said.reduce(hashText, mix(index, call))
      this.#log = []
      this.#cursor = 0
      this.#budget = 0
      this.#said = []
      finished = this.#perform(program[call]!)
      said = [...said, ...this.#said]
    }
    const pending = finished ? null : this.#pending
    const changes = { call, log: this.#log, hash, pending, said, saidBefore, awaited: this.#awaited }
    state.owners[index] = { ...state.owners[index]!, asleep: false, ...changes }
    return this.#writes
  }

  #perform(call: Call): boolean {
    try {
      const sync = this.#surround()
      const objects = this.#objects(sync)
      const say = (what: string): void => {
        if (!this.#stopped) this.#said.push(what)
      }
      const promise: any = call(objects, say)
      if (typeof promise?.then === 'function') {
        this.#microtasks.drain()
        while (promise.state === 'pending' && !this.#stopped) {
          this.#turn()
          this.#microtasks.drain()
        }
        if (promise.state === 'rejected') throw promise.value
      }
    } catch (error) {
      if (!this.#stopped) this.#failure = error
    }
    return !this.#stopped
  }

  /** One turn of the event loop: an immediate, a ring, or a timer. */
  #turn(): void {
    const timers = this.#timers.map((timer, i) => (timer === undefined ? -1 : i)).filter((i) => i >= 0)
    const what = this.#step('idle', () => this.#choice!, {
      immediate: this.#immediates.length > 0,
      timers: timers.length,
    })
    if (what === 0) this.#immediates.shift()!()
    else if (what === 1) for (const listener of this.#ringListeners) listener()
    else {
      const timer = timers[what - 2]!
      const callback = this.#timers[timer]!
      this.#timers[timer] = undefined
      callback()
    }
  }

  #objects(sync: Sync): Objects {
    return Object.fromEntries(this.#plans.map(([name, plan]) => [name, plan(sync)]))
  }

  // ---- the search ----------------------------------------------------------------------------------------------------

  search(): Result {
    const { programs, kills = 0, maxStates = 2_000_000 } = this.#setting
    const first: State = {
      memory: this.#initial.slice(),
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
    for (let i = 0; i < programs.length; i++) this.#run(first, i, 0, undefined)
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
      if (this.#takeable(state, word)) go(state.owners[i]!.asleep ? 1 : 0)
      else if (!(word & WAITERS) || !state.owners[i]!.asleep) {
        const after = copy(state, `${i}: waits for a lock`)
        after.memory[pending.word!] = word | WAITERS
        after.owners[i] = { ...after.owners[i]!, asleep: true }
        next.push(after)
      }
      if (pending.timed && !this.#takeable(state, word)) go(2)
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
    const writes = this.#run(after, i, 1, choice)
    if (this.#failure !== undefined) throw this.#failure
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
    const { offset, kind } = this.#offsets[Math.floor((at - 1) / perObject)]!
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
      const object = this.#offsets[Math.floor((n - 1) / perObject)]
      if (object === undefined) return true
      const p = (n - 1) % perObject
      if (p === 0) return true
      return object.kind === 'sync' && p - 1 < after.memory[wordAt(object.offset) + 29]!
    }
    while (!used(after.reaping[dead]!)) after.reaping[dead]!++
    if (after.reaping[dead]! > perObject * this.#offsets.length) after.reaping[dead] = -1
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
    return word % OBJECT_WORDS === 0 ? this.#takeable(state, value) : value !== WAITING
  }

  #atEnd(state: State): string | undefined {
    const seen = state.owners
    const hung = seen.findIndex((owner) => !owner.dead && owner.pending !== null)
    if (hung >= 0 && !this.#setting.mayHang?.(seen, this.#bystander(state)))
      return `${hung} waits for ever in ${seen[hung]!.pending!.what}`
    return this.#setting.atEnd?.(seen, this.#bystander(state))
  }
  /** The objects as somebody has them who has no part in it, and looks once all is over. */
  #bystander(state: State): Objects {
    const after = copy(state, 'end')
    this.#state = after
    this.#memory = after.memory
    this.#me = ownerId(BYSTANDER)
    this.#log = []
    this.#cursor = 0
    this.#budget = Number.POSITIVE_INFINITY
    this.#stopped = false
    this.#choice = 0
    return this.#objects(this.#surround())
  }
}

function copy(state: State, what: string): State {
  return {
    memory: state.memory.slice(),
    owners: [...state.owners],
    reaping: [...state.reaping],
    kills: state.kills,
    from: { state, what },
  }
}
function kill(state: State, index: number): void {
  state.kills--
  state.owners[index] = { ...state.owners[index]!, dead: true, asleep: false, rung: false, awaited: [] }
}
/** FUTEX_WAKE of a cell's state word, or a ring. */
function wake(state: State, cell: number, owner: number): void {
  state.owners.forEach((other, i) => {
    const sleeps = owner === 0 && other.pending?.what === 'cellWait' && other.pending.word === cell
    if (sleeps) state.owners[i] = { ...other, asleep: false }
    if (owner === ownerId(i) && !other.dead) state.owners[i] = { ...other, rung: true }
  })
}
/** Who has registered for a lock as a promise. */
function ringRegistered(state: State, word: number): void {
  state.owners.forEach((other, i) => {
    if (!other.dead && other.awaited.includes(word)) state.owners[i] = { ...other, rung: true }
  })
}
function trace(state: State): string[] {
  const lines: string[] = []
  for (let s: State | null = state; s !== null; s = s.from.state) lines.unshift(s.from.what)
  return lines
}
