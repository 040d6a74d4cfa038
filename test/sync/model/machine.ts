// An owner at work: runs its program to where it was (what its reads gave is in its log) and one step further, over the
// memory, the addon and the event loop that it sees here.
import type { Instantiate } from './bundle'
import { Microtasks, promiseClass } from './promise'
import {
  ASYNC_WAITERS,
  BYSTANDER,
  type Call,
  copy,
  HEAD,
  HOLDER,
  hashText,
  mix,
  OBJECT_BYTES,
  OBJECT_WORDS,
  type Objects,
  OWNERS,
  ownerId,
  type Pending,
  ringRegistered,
  type Setting,
  type State,
  type Sync,
  WAITERS,
  wake,
  wordAt,
} from './state'

class Suspended extends Error {}
const suspended = new Suspended()

export class Machine {
  readonly #instantiate: Instantiate
  readonly #setting: Setting
  offsets: { kind: 'lock' | 'sync'; offset: number }[] = []
  #plans: [string, (sync: Sync) => any][] = []
  initial: Int32Array

  // Of the execution under way:
  #memory: Int32Array = new Int32Array(0)
  #me = 0
  /** Tells the classes who they are. */
  #become = (_: number): void => {}
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
  failure: unknown
  readonly #words: Int32Array

  constructor(instantiate: Instantiate, setting: Setting) {
    this.#instantiate = instantiate
    this.#setting = setting
    this.#words = this.#proxy()
    this.#memory = new Int32Array(64 * OBJECT_WORDS)
    this.#be(BYSTANDER)
    this.#budget = Number.POSITIVE_INFINITY
    const sync = this.#surround()
    for (const [name, object] of Object.entries(setting.make(sync))) this.#plans.push([name, this.#planOf(object)])
    this.initial = this.#memory.slice(0, (this.offsets.length + 1) * OBJECT_WORDS)
  }

  #be(index: number): void {
    this.#me = ownerId(index)
    this.#become(this.#me)
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
        become: (become: (owner: number) => void) => {
          this.#become = become
          become(this.#me)
        },
        onFork() {},
        allocate: (_: object, bytes: number) => {
          const offset = (this.offsets.length + 1) * OBJECT_BYTES
          this.offsets.push({ kind: bytes > 64 ? 'sync' : 'lock', offset })
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
          if (!this.takeable(this.#state, before)) return 2
          this.#store(wordAt(offset), this.#me | (before & ~HOLDER))
          return (before & HOLDER) === 0 ? 0 : 1
        }),
      lockTryOrRegister: (offset: number) => {
        const word = wordAt(offset)
        const result = this.#step('lockTryOrRegister', () => {
          const before = memory()[word]!
          const had = this.takeable(this.#state, before)
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

  takeable(state: State | undefined, word: number): boolean {
    const holder = word & HOLDER
    return holder < OWNERS || state?.owners[holder - OWNERS]?.dead === true
  }

  // ---- running an owner ----------------------------------------------------------------------------------------------

  /** Runs the owner's program to where it was and `steps` further. Changes `state`, which is a copy. */
  run(state: State, index: number, steps: number, choice: number | undefined): [number, number][] {
    const owner = state.owners[index]!
    this.#state = state
    this.#memory = state.memory
    this.#be(index)
    this.#cursor = 0
    this.#log = [...owner.log]
    this.#budget = steps
    this.#stopped = false
    this.#pending = null
    this.#choice = choice
    this.#writes = []
    this.#said = []
    this.#awaited = []
    this.failure = undefined
    const before = owner.log.length
    const program = this.#setting.programs[index]!
    let { call } = owner
    let finished = this.#perform(program[call]!)
    let hash = owner.hash
    for (let i = before; i < this.#log.length; i++) hash = mix(hash, this.#log[i]!)
    let said = [...owner.said.slice(0, owner.saidBefore), ...this.#said]
    let saidBefore = owner.saidBefore
    while (finished && this.failure === undefined && call + 1 < program.length) {
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
      if (!this.#stopped) this.failure = error
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

  /** The objects as somebody has them who has no part in it, and looks once all is over. */
  bystander(state: State): Objects {
    const after = copy(state, 'end')
    this.#state = after
    this.#memory = after.memory
    this.#be(BYSTANDER)
    this.#log = []
    this.#cursor = 0
    this.#budget = Number.POSITIVE_INFINITY
    this.#stopped = false
    this.#choice = 0
    return this.#objects(this.#surround())
  }
}
