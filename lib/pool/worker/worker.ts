// The worker's side of a pool: takes tasks from its lane, one at a time, and answers on the lane that all workers share.
//
//   lane ─▶ inbox ─▶ claim ─▶ function and arguments ─▶ call ─▶ result ─▶ lane
//
// Between tasks it blocks in the kernel if its event loop has nothing else to do; timers, sockets and whatever else the user's
// code has left there keep it on the event loop. From the claim on, whatever ends this process fails that task and no other.

import { attach } from '../../memory'
import { doneLoading, whileLoading } from '../../process/guard'
import { registry } from '../../process/registry'
import type { Area } from '../../serialize'
import type { Control } from '../control'
import { now } from '../control'
import { setPoolDepth } from '../depth'
import { encodeFailure } from '../failure'
import { endMessage, Inbox, type Lane, readBody } from '../lane'
import {
  CHUNKED,
  EXIT,
  FAILURE,
  FORGET,
  FUNCTION,
  NOT_READY,
  OP,
  PROGRESS,
  PROGRESSING,
  READY,
  RESULT,
  TASK,
  TIMED,
  TOO_BIG,
} from '../protocol'
import { isThenable, since } from './calls'
import { Chunk } from './chunk'
import { endInOrder, hasNothingToDo } from './idle'
import { beginTask, endTask, lookForAbort, type Running } from './task-context'

export interface WorkerConfig {
  id: number
  /** Bytes of memory after which the worker asks to be replaced; 0: never. */
  maxMemory: number
  /** How many workers this one's pool has. */
  siblings: number
  initializer: boolean
  /** How many pools it works for, one inside the other. */
  depth: number
}

type Fn = (...args: any[]) => unknown

/** Which of the items of its body a chunk is to run, and the index of the first one in its job. */
interface Part {
  first: number
  skip: number
  count: number
}

const AT_ONCE = 64
/** After so long without a turn of the event loop it gets one, ms. */
const TURN_MS = 5
const MEMORY_LOOK_MS = 5

let siblings = 0
/** How many workers the pool has that this process works for; 0: it is no worker. */
export function poolSiblings(): number {
  return siblings
}

/** What the processes of a pool run. */
export function poolWorker(tasks: Lane, results: Lane, control: Control, config: WorkerConfig): void {
  process.on('SIGINT', () => {}) // Ctrl-C reaches the whole terminal; the pool decides what becomes of its workers
  registry.mayHaveChildren = true
  new PoolWorker(tasks, results, control, config).start()
}

export class PoolWorker implements Running {
  readonly workerId: number
  attempt = 0
  readonly results: Lane
  readonly control: Control
  /** The task that runs. */
  seq = 0
  readonly #tasks: Lane
  readonly #config: WorkerConfig
  readonly #functions = new Map<number, Fn | Area>()
  /** Records that came while a task was awaited. */
  readonly #backlog: Inbox[] = []
  #inbox = new Inbox()
  #stop: (() => void) | undefined
  #progressing = false
  #lastLook = 0
  #op = 0

  constructor(tasks: Lane, results: Lane, control: Control, config: WorkerConfig) {
    this.#tasks = tasks
    this.results = results
    this.control = control
    this.#config = config
    this.workerId = config.id
    siblings = config.siblings
    setPoolDepth(config.depth)
  }

  start(): void {
    this.control.owner = attach().me
    if (this.#config.initializer) setImmediate(() => void this.#initialize())
    else {
      this.#ready()
      setImmediate(this.#turn)
    }
  }

  // The first record is the initializer and its arguments.
  async #initialize(): Promise<void> {
    const stay = setInterval(() => {}, 2 ** 30)
    try {
      while (!this.#tasks.take(this.#inbox, 1, Number.POSITIVE_INFINITY));
      this.#inbox.next()
      const [initializer, ...args] = (await whileLoading(async () => await valueOf(this.#read()))) as [Fn, ...unknown[]]
      doneLoading()
      endMessage(this.#inbox.message)
      await initializer(...args)
      this.#ready()
    } catch (error) {
      doneLoading()
      this.results.append(NOT_READY, this.workerId, 0, 0, 0, 0, encodeFailure(error))
      this.results.flush()
      process.exit(1)
    } finally {
      clearInterval(stay)
    }
    setImmediate(this.#turn)
  }

  #ready(): void {
    this.results.append(READY, this.workerId, 0, 0, 0, 0)
    this.results.flush()
  }

  /** Runs what there is, then waits. Called by the event loop only, so that what earlier tasks left has been done. */
  readonly #turn = (): void => {
    this.#stop = undefined
    let waited = false
    const begun = performance.now()
    for (let first = true; ; first = false) {
      while (this.#inbox.next()) {
        if (!this.#record()) return
        waited = true
      }
      const next = this.#backlog.shift()
      if (next !== undefined) {
        this.#inbox = next
        continue
      }
      // The first time the event loop has turned just now; later its turn comes before this thread blocks.
      if (!first && performance.now() - begun > TURN_MS) return void setImmediate(this.#turn)
      if (this.#tasks.take(this.#inbox, AT_ONCE, 0)) continue
      if (waited || !first) return void setImmediate(this.#turn)
      if (!hasNothingToDo()) {
        this.#stop = this.#tasks.whenReady(true, this.#turn)
        return
      }
      this.#tasks.take(this.#inbox, AT_ONCE, Number.POSITIVE_INFINITY)
    }
  }

  /** While a task is awaited: an abort must be seen. */
  readonly #look = (): void => {
    lookForAbort()
    const inbox = new Inbox()
    if (this.#tasks.take(inbox, AT_ONCE, 0)) this.#backlog.push(inbox)
    this.#stop = this.#tasks.whenReady(true, this.#look)
  }

  /** One record. False: a task is awaited, and goes on with the next record when it has ended. */
  #record(): boolean {
    const inbox = this.#inbox
    const op = inbox.word(0)
    switch (op & OP) {
      case TASK:
        return this.#task(op)
      case FUNCTION: {
        this.#functions.set(inbox.word(2), inbox.body())
        this.#keep(inbox.word(2), inbox.message)
        return true
      }
      case FORGET:
        this.#functions.delete(inbox.word(2))
        return true
      case EXIT:
        endInOrder()
        return false
    }
    endMessage(inbox.message)
    return true
  }
  // What a function refers to is held by its message, until it was decoded.
  readonly #kept = new Map<number, number>()
  #keep(id: number, message: number): void {
    if (message !== 0) this.#kept.set(id, message)
  }

  #task(op: number): boolean {
    const inbox = this.#inbox
    const { message } = inbox
    const seq = inbox.word(1) | 0
    if (!this.control.claim(seq)) {
      endMessage(message)
      return true
    }
    this.seq = seq
    this.#op = op
    this.attempt = inbox.word(3)
    this.#progressing = (op & PROGRESSING) !== 0
    const part: Part = { first: inbox.word(4), skip: inbox.word(5), count: inbox.word(6) }
    const begun = performance.now()
    beginTask(this)
    let running: unknown
    try {
      const fn = this.#function(inbox.word(2))
      const args = this.#read()
      if (typeof fn === 'function' && !(args instanceof Promise)) {
        endMessage(message)
        running = this.#run(op, fn, args.value as unknown[], part, begun)
      } else running = this.#runLater(op, fn, args, message, part, begun)
    } catch (error) {
      endMessage(message)
      this.#failed(error, begun)
    }
    if (running === undefined) return true
    this.#stop = this.#tasks.whenReady(true, this.#look)
    void (running as Promise<void>).then(() => {
      this.#stop?.()
      this.#stop = undefined
      setImmediate(this.#turn)
    })
    return false
  }
  #read(): { value: unknown } | Promise<unknown> {
    const inbox = this.#inbox
    return readBody(inbox.area, inbox.start, inbox.end, inbox.message !== 0)
  }

  /** A function that was sent before: decoded when it is first called, as a part of that task. */
  #function(id: number): Fn | Promise<Fn> {
    const known = this.#functions.get(id)
    if (typeof known === 'function') return known
    if (known === undefined) throw new Error('the pool has not sent this function')
    const use = (fn: unknown): Fn => {
      this.#functions.set(id, fn as Fn)
      endMessage(this.#kept.get(id) ?? 0)
      this.#kept.delete(id)
      return fn as Fn
    }
    const decoded = readBody(known, 0, known.size, true)
    if (!(decoded instanceof Promise)) return use(decoded.value)
    // It imports modules: they may not start processes of their own while they are loaded.
    return whileLoading(() => decoded)
      .then(use)
      .finally(doneLoading)
  }

  async #runLater(
    op: number,
    fn: Fn | Promise<Fn>,
    args: { value: unknown } | Promise<unknown>,
    message: number,
    part: Part,
    begun: number,
  ): Promise<void> {
    try {
      // Both are awaited together: neither may fail unseen.
      const [f, a] = await Promise.all([fn, valueOf(args)])
      endMessage(message)
      message = 0
      await this.#run(op, f, a as unknown[], part, begun)
    } catch (error) {
      endMessage(message)
      this.#failed(error, begun)
    }
  }

  /** Calls, and answers. A promise if there is something to await. */
  #run(op: number, fn: Fn, args: unknown[], part: Part, begun: number): Promise<void> | undefined {
    if (op & CHUNKED)
      return new Chunk(this, op, fn, args.slice(part.skip, part.skip + part.count), part.first, begun).run()
    if (op & TIMED) this.control.started = now()
    let result: unknown
    try {
      result = fn(...args)
      if (isThenable(result))
        return Promise.resolve(result).then(
          (value) => this.#succeeded(value, begun),
          (error) => this.#failed(error, begun),
        )
    } catch (error) {
      this.#failed(error, begun)
      return undefined
    }
    this.#succeeded(result, begun)
    return undefined
  }

  #succeeded(value: unknown, begun: number): void {
    endTask()
    const took = since(begun)
    const { results } = this
    try {
      results.appendValue(RESULT | this.tooBig(), this.workerId, this.seq, 0, took, 0, value, 'result')
    } catch (error) {
      this.#failed(error, begun)
      return
    }
    results.flush()
  }
  #failed(error: unknown, begun: number): void {
    endTask()
    this.results.append(FAILURE | this.tooBig(), this.workerId, this.seq, 0, since(begun), 0, encodeFailure(error))
    this.results.flush()
  }

  // ---- as the task sees it -------------------------------------------------------------------------------------------

  aborted(): number {
    return this.control.aborted(this.seq, this.#op & CHUNKED ? this.control.item : 0)
  }
  progress(done: number, total: number): void {
    if (!this.#progressing) return
    const item = this.#op & CHUNKED ? this.control.item : 0
    this.results.appendValue(PROGRESS, this.workerId, this.seq, item, 0, 0, [done, total], 'progress')
    this.results.flush()
  }

  /** The flag that asks for a replacement, if this process has grown too big. */
  tooBig(): number {
    const { maxMemory } = this.#config
    if (maxMemory === 0) return 0
    const time = performance.now()
    if (time - this.#lastLook < MEMORY_LOOK_MS) return 0
    this.#lastLook = time
    return process.memoryUsage.rss() > maxMemory ? TOO_BIG : 0
  }
}

function valueOf(read: { value: unknown } | Promise<unknown>): unknown {
  return read instanceof Promise ? read : read.value
}
