// The state machine of a pool, in the process that made it. It is driven by the event loop, or by a Sync call that blocks.
//
//   submit ─▶ queue ─▶ dispatch ─▶ lanes of the workers
//                 ▲                                │ answers
//                 └── taken back, lost ◀── pump ◀──┘ ─▶ jobs
//
// Each unit has one owner at any time: the queue, or the line of one worker (member.ts). No code of the user runs in here: jobs
// settle promises, and put callbacks off.
import { StateError, type WorkerLostError } from '../errors'
import { log } from '../log/log'
import { countPending, here } from '../memory'
import type { ExitStatus } from '../process/start/method'
import { Answers, type Audience } from './answers'
import { now } from './control'
import { Crew, type CrewOptions, type Employer } from './crew'
import { type Clock, Deadlines } from './deadlines'
import { Dispatcher, type Office } from './dispatcher'
import { type Driven, Driver } from './drive'
import { Histogram } from './histogram'
import { type Job, Jobs } from './job'
import { type Body, Inbox, Lane, release } from './lane'
import { lostError, salvage } from './loss'
import type { Host, Member } from './member'
import { CANCELLED, CHUNKED, SETTLE, TOO_BIG } from './protocol'
import { PoolFunctions, type Unit } from './unit'

export interface EngineOptions extends CrewOptions {
  /** How many losses in a row break the pool. */
  crashBudget: number
  main: 'import' | undefined
  /** [initializer, ...its arguments] */
  initializer: Body | undefined
  start(engine: Engine, member: Member, ended: () => void): Host
}

/** What the pool tells its user. */
export interface Listener {
  started(member: Member): void
  ended(member: Member, status: ExitStatus | null): void
  failed(error: unknown): void
  /** The queue is empty. */
  drained(): void
  /** The crash budget is spent, or the initializer has failed. */
  broken(message: string, cause: unknown): void
  /** The last worker has ended. */
  gone(): void
}

const AT_ONCE = 1024
const LONGEST_TIMER = 2 ** 31 - 1

export class Engine implements Employer, Audience, Clock, Office, Driven {
  readonly crew: Crew
  readonly results = new Lane()
  readonly functions: PoolFunctions
  readonly jobs = new Jobs()
  readonly counts = { completed: 0, failed: 0, lost: 0, retried: 0, timedOut: 0, cancelled: 0 }
  readonly waitTimes = new Histogram()
  readonly runTimes = new Histogram()
  closing = false
  over = false
  /** When tick() is due. */
  timerAt = Number.POSITIVE_INFINITY
  /** The last worker is gone. */
  hasEnded = false
  readonly #answers = new Answers(this)
  readonly #deadlines = new Deadlines(this)
  readonly #options: EngineOptions
  readonly #listener: Listener
  readonly #dispatcher = new Dispatcher(this)
  readonly #driver = new Driver(this)
  readonly #inboxes: Inbox[] = []
  readonly #waiters = new Set<() => void>()
  #forgotten: number[] = []
  #losses = 0
  #stop: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #wanted = true
  #keeping = false
  #joining = 0
  /** A forked child has a copy of the engine, and must leave the workers alone. */
  readonly #fork = here.forks

  constructor(options: EngineOptions, listener: Listener) {
    this.#options = options
    this.#listener = listener
    this.functions = new PoolFunctions(options.main, (id) => {
      if (this.ours) this.#forgotten.push(id)
    })
    this.crew = new Crew(options, this)
    try {
      this.crew.open()
    } catch (error) {
      this.hasEnded = true
      this.results.close()
      throw error
    }
    this.#listen()
  }

  /** Was it made in this process, not in one that has been forked into it? */
  get ours(): boolean {
    return this.#fork === here.forks
  }
  /** Throws ERR_MP_STATE in a forked child. */
  checkOurs(): void {
    if (!this.ours) throw new StateError("the pool is the parent process's, not this forked child's: make one here")
  }

  // ---- submitting ----------------------------------------------------------------------------------------------------

  /** How many units wait for a worker. */
  get queued(): number {
    return this.#dispatcher.queued
  }
  get running(): number {
    let running = 0
    for (const member of this.crew.all) if (member.line.length > 0) running++
    return running
  }
  /** Those of jobs that were cancelled do not count. */
  weedQueue(): void {
    this.#dispatcher.weed()
  }

  begin(job: Job): void {
    this.checkOurs()
    this.jobs.add(job)
    if (!this.#keeping) this.#keep()
  }
  /** The job is settled. */
  finish(job: Job): void {
    job.over = true
    if (!this.jobs.delete(job)) return
    if (!this.jobs.active) this.#keep()
    if (this.closing && this.jobs.size === 0) this.#closeIfDone()
  }
  rested(job: Job): void {
    this.jobs.rested(job)
    this.#keep()
  }

  submit(unit: Unit): void {
    this.#dispatcher.submit(unit)
  }
  /** For one worker only. */
  submitTo(member: Member, unit: Unit): void {
    this.#dispatcher.submitTo(member, unit)
  }
  requeue(units: readonly Unit[]): void {
    this.#dispatcher.requeue(units)
  }
  dispatch(): void {
    this.#dispatcher.dispatch()
  }
  drained(): void {
    this.#listener.drained()
  }
  watchTime(member: Member): void {
    this.#deadlines.watch(member)
  }

  // ---- answers -------------------------------------------------------------------------------------------------------

  #listen(): void {
    this.#stop = this.results.whenReady(false, this.#onReady)
  }
  readonly #onReady = (): void => {
    if (this.hasEnded) return
    const more = this.pump()
    if (this.hasEnded) return
    this.dispatch()
    this.#forget()
    if (more) setImmediate(this.#onReady)
    else if (!this.hasEnded) this.#listen()
  }

  /** Reads what the workers have said. Does not block. True: there may be more. */
  pump(timeout = 0): boolean {
    const inbox = this.#inboxes.pop() ?? new Inbox()
    try {
      for (let k = 0; k < 16; k++) {
        // What was read may have ended the pool: a failed initializer, when no worker is left.
        if (this.hasEnded) return false
        if (!this.results.take(inbox, AT_ONCE, k === 0 ? timeout : 0)) return false
        while (inbox.next()) this.#answers.read(inbox)
        // What was read may have ended the pool: the initializer has failed in its last worker.
        if (this.hasEnded) return false
      }
      return true
    } finally {
      this.#inboxes.push(inbox)
    }
  }

  // ---- what is told --------------------------------------------------------------------------------------------------

  member(id: number): Member | undefined {
    return this.crew.get(id)
  }
  ready(member: Member): void {
    member.ready = true
    member.headSince = now()
    this.#deadlines.watch(member)
    this.#listener.started(member)
    this.#watchIdle(member)
  }
  notReady(member: Member, error: unknown): void {
    member.doomed ??= 'terminate'
    this.#listener.broken('the initializer of the pool has failed', error)
  }

  /** The first of its line has ended. */
  through(member: Member, unit: Unit, op: number, took: number): void {
    member.shift()
    if (!unit.parted && unit.base === unit.first) release(unit.body)
    const ms = took / 1000
    this.#dispatcher.took(ms)
    this.runTimes.record(ms)
    this.waitTimes.record(Math.max(0, performance.now() - unit.queuedAt - ms))
    member.headSince = now()
    member.checkAt = Number.POSITIVE_INFINITY
    if (member.doomed === undefined) member.killAt = member.line.first?.killAt ?? Number.POSITIVE_INFINITY
    this.#losses = 0
    if (op & TOO_BIG && member.takesTasks) {
      this.requeue(member.takeBack())
      this.crew.retire(member)
    }
    if (member.retiring && member.line.length === 0) {
      this.crew.limitRetirement(member)
      this.crew.fit()
    } else if (member.line.length > 0) this.#deadlines.watch(member)
    else this.#watchIdle(member)
  }

  // ---- time ----------------------------------------------------------------------------------------------------------

  #watchIdle(member: Member): void {
    const { idleTimeout } = this.crew.options
    if (idleTimeout !== Number.POSITIVE_INFINITY) this.wakeAt(member.headSince + idleTimeout)
  }
  stuck(member: Member): void {
    member.doomed = 'timeout'
    this.crew.kill(member)
    this.crew.fit()
    this.dispatch()
  }
  mayKill(member: Member): boolean {
    return this.#deadlines.mayKill(member)
  }
  wakeAt(time: number): void {
    if (!(time < this.timerAt)) return
    this.timerAt = time
    clearTimeout(this.#timer)
    const ms = Math.min(Math.max(0, time - now()), LONGEST_TIMER)
    this.#timer = setTimeout(this.#onTimer, Math.ceil(ms))
    if (!this.#keeping && this.#joining === 0) this.#timer.unref()
  }
  readonly #onTimer = (): void => {
    this.timerAt = Number.POSITIVE_INFINITY
    this.tick()
  }
  tick(): void {
    if (this.hasEnded) return
    const time = now()
    this.pump()
    for (const member of this.crew.all) {
      if (time >= member.checkAt) this.#deadlines.check(member, time)
      else if (member.checkAt !== Number.POSITIVE_INFINITY) this.wakeAt(member.checkAt)
    }
    this.crew.tick(time)
    this.dispatch()
  }

  // ---- cancelling ----------------------------------------------------------------------------------------------------

  /** What of a job is queued never runs; what runs is aborted, and killed after its grace. */
  drop(job: Job): void {
    if (!this.ours) return
    this.counts.cancelled++
    for (const member of this.crew.all) {
      let its = false
      for (const unit of member.line) its ||= unit.job === job
      if (!its) continue
      this.requeue(member.takeBack())
      // What is left was started. The last one runs, or has just ended; the answers of those before it may not have been read yet.
      const { last } = member.line
      if (last?.job !== job) continue
      member.abort(last, last.flags & CHUNKED ? -1 : 0, CANCELLED)
      this.#deadlines.doom(member, last, job.settings.grace)
    }
    this.dispatch()
  }

  /** Gives a job up that has not been started. False: it has, or is settled. */
  cancelQueued(job: Job, error: unknown): boolean {
    if (job.over || !this.ours) return false
    let back: Unit[] = []
    for (const member of this.crew.all) {
      let its = false
      for (const unit of member.line) its ||= unit.job === job
      if (!its) continue
      back = member.takeBack()
      if (!back.some((unit) => unit.job === job)) {
        this.requeue(back)
        this.dispatch()
        return false
      }
    }
    job.giveUp(error, true)
    this.counts.cancelled++
    this.requeue(back)
    this.dispatch()
    return true
  }
  isRunning(job: Job): boolean {
    for (const member of this.crew.all) {
      for (const unit of member.line) if (unit.job === job && !job.over && member.started(unit)) return true
    }
    return false
  }

  // ---- losses --------------------------------------------------------------------------------------------------------

  start(member: Member, ended: () => void): Host {
    const host = this.#options.start(this, member, ended)
    if (this.#options.initializer !== undefined) {
      member.tasks.append(0, 0, 0, 0, 0, 0, this.#options.initializer)
      member.tasks.flush()
    }
    return host
  }
  hired(): void {
    if (!this.over) this.#dispatcher.dispatchSoon()
  }
  failedToStart(error: unknown): void {
    this.#listener.failed(error)
    this.#loss(`a worker cannot be started: ${(error as Error)?.message ?? error}`, error)
  }
  get demand(): number {
    let demand = this.queued
    for (const member of this.crew.members) demand += member.line.length + Math.min(1, member.own.length)
    return demand
  }

  ended(member: Member, status: ExitStatus | null): void {
    if (this.hasEnded) return
    member.host.drain()
    while (this.pump());
    const wasRunning = member.line.length > 0
    const expected = member.doomed !== undefined || (member.retiring && !wasRunning)
    let error: WorkerLostError | undefined
    const lost = (): WorkerLostError => (error ??= lostError(member, status))
    this.requeue(salvage(member, this.#answers, this.counts, lost))
    this.#listener.ended(member, status)
    const { startError } = member.host
    if (!expected && startError !== undefined) this.failedToStart(startError)
    else if (!expected) {
      this.counts.lost++
      log('warn', () => lost().message)
      this.#loss(lost().message, lost())
    }
    process.nextTick(this.afterEnds)
  }
  readonly afterEnds = (): void => {
    this.dispatch()
    this.#closeIfDone()
    this.#endIfDone()
  }
  #loss(message: string, cause: unknown): void {
    this.#losses++
    if (this.over || this.#losses < this.#options.crashBudget) return
    const times = this.#losses === 1 ? 'a worker' : `${this.#losses} workers in a row`
    this.#listener.broken(`the pool has lost ${times} without a finished task; the last one: ${message}`, cause)
  }
  refused(unit: Unit, error: unknown): void {
    const to = unit.end
    for (let item = unit.next; item < to && !unit.job.over; item++) {
      if (item > unit.next && (unit.flags & SETTLE) === 0) {
        unit.job.skipped(item, to)
        return
      }
      unit.job.itemFailed(item, error)
    }
  }

  // ---- the end -------------------------------------------------------------------------------------------------------

  close(): void {
    if (this.closing || !this.ours) return
    this.closing = true
    this.#closeIfDone()
  }
  #closeIfDone(): void {
    if (!this.closing || this.over || this.jobs.size > 0) return
    this.crew.retireAll()
    this.over = true
    this.#endIfDone()
  }
  /** Gives up all jobs, and ends all workers. */
  terminate(error: unknown, handled: boolean, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): void {
    if (!this.ours) return
    this.closing = true
    this.over = true
    for (const job of [...this.jobs]) {
      job.giveUp(error, handled)
      this.finish(job)
    }
    this.crew.dismissAll(signal)
    this.#endIfDone()
  }
  #endIfDone(): void {
    if (this.hasEnded || !this.over || !this.crew.empty) return
    this.hasEnded = true
    this.#stop?.()
    clearTimeout(this.#timer)
    this.results.close()
    this.#listener.gone()
    for (const waiter of [...this.#waiters]) waiter()
    this.#waiters.clear()
  }
  /** Calls back when the last worker has ended; keeps the event loop alive until then. Gives how to stop that. */
  whenEnded(callback: () => void): () => void {
    if (this.hasEnded) {
      callback()
      return () => {}
    }
    this.jobs.join()
    const stay = setInterval(() => {}, 2 ** 30)
    this.#joining++
    this.#timer?.ref()
    const done = (): void => {
      clearInterval(stay)
      if (this.#waiters.delete(done)) this.#joining--
      callback()
    }
    this.#waiters.add(done)
    return () => {
      clearInterval(stay)
      if (this.#waiters.delete(done)) this.#joining--
    }
  }

  /** Do pending tasks keep the event loop alive? */
  setRef(yes: boolean): void {
    this.#wanted = yes
    this.#keep()
  }
  #keep(): void {
    const keep = this.#wanted && this.jobs.active
    if (keep === this.#keeping) return
    this.#keeping = keep
    countPending(keep ? 1 : -1)
    if (keep) this.#timer?.ref()
    else if (this.#joining === 0) this.#timer?.unref()
  }
  #forget(): void {
    if (this.#forgotten.length === 0) return
    const ids = this.#forgotten
    this.#forgotten = []
    for (const member of this.crew.members) for (const id of ids) member.forget(id)
  }

  // ---- Sync ----------------------------------------------------------------------------------------------------------

  /** Blocks this thread until `done`, or `timeout` ms are over (false); the pool works on meanwhile. */
  drive(done: () => boolean, timeout: number): boolean {
    return this.#driver.drive(done, timeout)
  }
}
