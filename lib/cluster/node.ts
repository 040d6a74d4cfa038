// A node of a cluster: takes tasks from the server, runs them in a local Pool, and answers.
//
//   server ─ pull ─▶ held (by id) ─▶ local Pool ─▶ answer ─ stored ─▶ acknowledged
//              ▲        │ each third of lostAfter: "in progress"
//              └────────┴─ a task that comes a second time: does another node hold it still?
//
// A task is acknowledged when its answer is stored, not before: whatever ends this node, the server gives the task to another one.
// That one asks the others first, and then looks at the task's `retries`: if they are used up it answers WorkerLostError instead
// of running it.
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { hostname } from 'node:os'
import type { Msg } from '@nats-io/transport-node'
import type { ImapIterator } from '../pool/imap'
import type { PoolOptions } from '../pool/options'
import type { Task } from '../pool/task'
import { Answers } from './answers'
import { encodeFailure, Pool, SerializationError, WorkerLostError } from './core'
import { checkTaskHeader, packFrame, packParts, type TaskHeader, unpackFrames, unpackParts } from './frames'
import { fileOf, moduleName } from './functions'
import { Holders } from './holders'
import type { Names } from './names'
import { getBlob, listen, type Nats, openNats, type ServerOptions, type StreamOptions } from './nats'
import { type Delivery, Pulls } from './pulls'
import type * as Runner from './runner'

// A file of its own: workers load it, and not this one.
const { preload, runItem } = require('./cluster-runner.cjs') as typeof Runner

export interface NodeOptions extends ServerOptions, StreamOptions {
  names: Names
  pool: PoolOptions
  /** Files, or `name=file`, that submitters may name functions of. */
  preload: readonly string[]
  allowFunctions: boolean
}

/** What a node says of itself. */
export interface NodeInfo {
  /** A random id, new at each start. */
  id: string
  /** The name of its machine. */
  host: string
  /** Its process there. */
  pid: number
  /** Its workers. */
  processes: number
  /** Workers that have a task. */
  busy: number
  /** Tasks (calls, or chunks) that it has. */
  held: number
  /** Tasks that ended with a result. */
  completed: number
  /** Tasks that ended with an error. */
  failed: number
  /** Workers that it has lost. */
  lost: number
  /** It takes no more tasks, and leaves when it has answered those that it has. */
  draining: boolean
  /** What the modules are called whose functions it can run without allowFunctions. */
  modules: string[]
  /** Does it run functions that come by value? */
  allowFunctions: boolean
}

interface Held {
  readonly id: string
  msg: Delivery
  readonly header: TaskHeader
  cancel: (() => void) | undefined
  cancelled: boolean
  /** It may be another node's. */
  asking: boolean
}

const BEAT_MS = 1000
/** Work that is taken ahead of need, ms: more than it takes to get new. */
const AHEAD_MS = 10
/** For each worker. */
const MOST_AHEAD = 64
const MEASURE_MS = 20
/** What was measured so long ago counts for little. */
const FORGET_MS = 60
const MOST_QUESTIONS = 1000
const REMEMBERED = 10_000
const FUNCTIONS = 1000
const CRASHES = 100

/** Emits 'log' (a line), 'end' (an error, if it had to). */
export class Node extends EventEmitter {
  readonly id = randomBytes(6).toString('hex')
  readonly #options: NodeOptions
  readonly #names: Names
  readonly #modules: [name: string, file: string][]
  readonly #pool: Pool
  readonly #held = new Map<string, Held>()
  /** Tasks that were answered or cancelled lately. */
  readonly #over = new Recent(REMEMBERED)
  readonly #functions = new Map<string, (item: Uint8Array) => Uint8Array>()
  #nats!: Nats
  #pulls!: Pulls
  #holders!: Holders
  #answers!: Answers
  #timers: NodeJS.Timeout[] = []
  #running = 0
  #asking = 0
  #target: number
  #done = 0
  #doneBefore = 0
  #measuredAt = performance.now()
  /** Tasks that are done, per ms. */
  #rate = 0
  #draining = false
  #counts = { completed: 0, failed: 0 }
  #idle: (() => void) | undefined

  constructor(options: NodeOptions) {
    super()
    this.#options = options
    this.#names = options.names
    this.#modules = options.preload.map((given) => {
      const [, name, file] = /^([^=]+)=(.+)$/.exec(given) ?? []
      return name !== undefined ? [name, fileOf(file!)] : [moduleName(fileOf(given)), fileOf(given)]
    })
    this.#pool = new Pool({ crashBudget: CRASHES, ...options.pool, initializer: preload, initargs: [this.#modules] })
    this.#pool.on('error', (error) => this.emit('end', error))
    this.#target = this.processes
  }
  get processes(): number {
    return Math.max(1, this.#pool.stats().processes)
  }
  get connected(): boolean {
    return this.#nats !== undefined && !this.#nats.nc.isClosed() && this.#up
  }
  #up = true

  /** Resolves when it takes tasks. Rejects if no server can be reached, or the modules cannot be loaded. */
  async start(): Promise<void> {
    await this.#pool.apply(() => undefined)
    const names = this.#names
    const nats = await openNats(names, this.#options, this.#options, `multiproc worker ${names.pool} ${this.id}`)
    this.#nats = nats
    this.#answers = new Answers(nats, this.id, () => this.#pulls.want())
    this.#holders = new Holders(nats, (id) => this.#held.get(id)?.asking === false)
    this.#pulls = new Pulls(
      nats,
      () => (this.#asking < MOST_QUESTIONS ? this.#target - this.#running : 0),
      (msg) => void this.#received(msg),
    )
    const { nc } = nats
    listen(nc, names.cancel, (msg) => this.#cancelled(msg))
    listen(nc, names.ping, (msg) => msg.respond(JSON.stringify(this.info())))
    listen(nc, names.broadcast(this.id), (msg) => void this.#broadcast(msg))
    this.#timers = [setInterval(() => this.#beat(), BEAT_MS), setInterval(() => this.#working(), nats.lostAfter / 3)]
    void this.#watch()
    nc.closed().then((error) => {
      if (!this.#draining || error) this.emit('end', error ?? new Error('the connection to the server was closed'))
    })
    this.#beat()
    this.#pulls.want()
  }
  async #watch(): Promise<void> {
    for await (const status of this.#nats.nc.status()) {
      if (status.type === 'disconnect') {
        this.#up = false
        this.emit('log', 'the server is gone: trying to reach it again')
      } else if (status.type === 'reconnect') {
        this.#up = true
        this.emit('log', 'the server is there again')
        this.#nats.out.reconnected()
        this.#pulls.forget()
        this.#working()
        this.#pulls.want()
      }
    }
  }

  info(): NodeInfo {
    const { processes, busy, lost } = this.#pool.stats()
    return {
      id: this.id,
      host: hostname(),
      pid: process.pid,
      processes,
      busy,
      held: this.#held.size,
      ...this.#counts,
      lost,
      draining: this.#draining,
      modules: this.#modules.map(([name]) => name),
      allowFunctions: this.#options.allowFunctions,
    }
  }
  #beat(): void {
    if (!this.#up) return
    this.#nats.out.publish(this.#names.beat(this.id), JSON.stringify(this.info()))
    this.#measure()
    this.#pulls.want()
  }
  #working(): void {
    if (this.#up) for (const { msg } of this.#held.values()) msg.working()
  }

  // ---- how much to take ----------------------------------------------------------------------------------------------

  /**
   * As many tasks as there are workers, and as many more as are done while new ones are on their way: short ones wait here, long ones
   * where all nodes can take them, and in the order of their priorities.
   */
  #measure(): void {
    const now = performance.now()
    const passed = now - this.#measuredAt
    if (passed < MEASURE_MS) return
    const newest = (this.#done - this.#doneBefore) / passed
    this.#rate += (newest - this.#rate) * (1 - Math.exp(-passed / FORGET_MS))
    this.#doneBefore = this.#done
    this.#measuredAt = now
    const { processes } = this
    this.#target = processes + Math.min(processes * MOST_AHEAD, Math.floor(this.#rate * AHEAD_MS))
  }

  // ---- tasks ---------------------------------------------------------------------------------------------------------

  async #received(msg: Delivery): Promise<void> {
    let header: TaskHeader
    let parts: Uint8Array[]
    try {
      const [frame, ...more] = unpackFrames<TaskHeader>(msg.data)
      if (frame === undefined || more.length > 0) throw new SerializationError('a malformed message of the cluster')
      ;({ header, parts } = frame)
      checkTaskHeader(header)
      if (header.pool !== this.#names.pool) throw new SerializationError(`a task of another pool (${header.pool})`)
    } catch (error) {
      this.emit('log', `a task was refused: ${(error as Error).message}`)
      msg.refuse()
      return
    }
    const id = `${header.session}/${header.unit}`
    const known = this.#held.get(id)
    if (known !== undefined) {
      known.msg = msg
      return
    }
    if (this.#over.has(id)) {
      msg.ack()
      return
    }
    const held: Held = { id, msg, header, cancel: undefined, cancelled: false, asking: msg.count > 1 }
    this.#held.set(id, held)
    const before = msg.count - 1
    if (before > 0) {
      // Meanwhile it does not take a worker's place.
      this.#asking++
      const elsewhere = await this.#holders.elsewhere(id)
      this.#asking--
      if (elsewhere) {
        // It is in good hands: the server gives it to somebody again if they fail.
        this.#held.delete(id)
        this.#tellIdle()
        return
      }
    }
    this.#running++
    held.asking = false
    if (before > header.retries) {
      const loss = { pid: 0, exitCode: null, signal: null, stderr: '', likelyOutOfMemory: false }
      this.#failed(held, new WorkerLostError('the node that had the task is gone, or could not be reached', loss), 0)
      this.#ran()
      return
    }
    const begun = performance.now()
    try {
      if (header.blob !== undefined) {
        const blob = await getBlob(this.#nats, header.blob)
        if (blob === null) throw new SerializationError('the arguments are gone from the object store')
        parts = unpackParts(blob)
      }
      if (!held.cancelled) await this.#run(held, parts, before, begun)
    } catch (error) {
      if (!held.cancelled) this.#failed(held, error, performance.now() - begun)
    } finally {
      if (held.cancelled) this.#finish(held)
      this.#ran()
    }
  }
  #ran(): void {
    this.#running--
    this.#done++
    this.#measure()
    // With the answer, where there is one.
    if (!this.#answers.pending) this.#pulls.want()
    this.#tellIdle()
  }
  get #isIdle(): boolean {
    return this.#running === 0 && this.#asking === 0
  }
  #tellIdle(): void {
    if (this.#draining && this.#isIdle) this.#idle?.()
  }

  async #run(held: Held, parts: Uint8Array[], before: number, begun: number): Promise<void> {
    const { header } = held
    const code = 'hash' in header.fn ? parts.shift() : undefined
    if (parts.length !== header.count) throw new SerializationError('a malformed message of the cluster')
    // Several views of one buffer would travel with all of it.
    const items = parts.map((part) => new Uint8Array(part))
    const fn = this.#function(header, code, before)
    const options = {
      ...(header.settle && { settle: true }),
      timeout: header.timeout,
      grace: header.grace,
      retries: header.retries - before,
      priority: header.priority,
      onProgress: header.progress ? (done: number, total: number) => this.#progress(header, done, total) : undefined,
    }
    if (!header.chunk) {
      const task = this.#pool.apply(fn, [items[0]!], options)
      held.cancel = () => void task.cancel()
      this.#answer(held, [await task], begun)
    } else if (!header.each) {
      const task: Task<Uint8Array[]> = this.#pool.map(fn, items, { ...options, chunkSize: items.length })
      held.cancel = () => void task.cancel()
      this.#answer(held, await task, begun)
    } else await this.#runEach(held, this.#pool.imap(fn, items, { ...options, chunkSize: items.length }), begun)
  }
  /** What comes of each item; behind one that has thrown there may be no more. */
  async #runEach(
    held: Held,
    results: ImapIterator<Uint8Array | PromiseSettledResult<Uint8Array>>,
    begun: number,
  ): Promise<void> {
    held.cancel = () => void results.return()
    const parts: Uint8Array[] = []
    const errors: number[] = []
    for (;;) {
      try {
        const result = await results.next()
        if (result.done) break
        const { value } = result
        if (value instanceof Uint8Array) parts.push(value)
        else if (value.status === 'fulfilled') parts.push(value.value)
        else throw value.reason
      } catch (error) {
        errors.push(parts.length)
        parts.push(bytesOf(error))
      }
    }
    this.#answer(held, parts, begun, errors)
  }
  /** One function object for each function, so that the pool sends it to each worker once. */
  #function(header: TaskHeader, bytes: Uint8Array | undefined, before: number): (item: Uint8Array) => Uint8Array {
    const { fn, name, chunk, spread } = header
    const spreads = !chunk || spread === true
    const key = JSON.stringify([fn, spreads, before])
    let known = this.#functions.get(key)
    if (known === undefined) {
      const wanted: Runner.Wanted = {
        name,
        spread: spreads,
        free: this.#options.allowFunctions,
        before,
        ...('module' in fn ? { module: fn.module, path: fn.path } : { bytes: new Uint8Array(bytes!) }),
      }
      known = runItem.bind(null, wanted) as (item: Uint8Array) => Uint8Array
      for (const oldest of this.#functions.keys()) {
        if (this.#functions.size < FUNCTIONS) break
        this.#functions.delete(oldest)
      }
      this.#functions.set(key, known)
    }
    return known
  }

  #answer(held: Held, parts: Uint8Array[], begun: number, errors: number[] = []): void {
    if (held.cancelled) return
    this.#counts[errors.length === 0 ? 'completed' : 'failed']++
    const took = performance.now() - begun
    this.#send(held, { kind: 'done', took, ...(errors.length > 0 && { errors }) }, parts)
  }
  #failed(held: Held, error: unknown, took: number): void {
    this.#counts.failed++
    this.#send(held, { kind: 'failed', took }, [bytesOf(error)])
  }
  #send(held: Held, header: { kind: 'done' | 'failed'; took: number; errors?: number[] }, parts: Uint8Array[]) {
    const { session, unit, keep } = held.header
    this.#answers.add(session, keep === true, { ...header, unit, node: this.id }, parts, () => this.#finish(held))
  }
  /** The server may forget the task. */
  #finish(held: Held): void {
    this.#over.add(held.id)
    if (this.#held.delete(held.id)) held.msg.ack()
  }
  #progress(header: TaskHeader, done: number, total: number): void {
    this.#nats.out.publish(this.#names.progress(header.session), JSON.stringify({ unit: header.unit, done, total }))
  }

  #cancelled(msg: Msg): void {
    let said: { session?: unknown; units?: unknown }
    try {
      said = msg.json()
    } catch {
      return
    }
    const { session, units } = said
    const cancel = (held: Held): void => {
      if (held.cancelled) return
      held.cancelled = true
      held.cancel?.()
    }
    if (Array.isArray(units))
      for (const unit of units) {
        const id = `${String(session)}/${String(unit)}`
        const held = this.#held.get(id)
        if (held !== undefined) cancel(held)
        else this.#over.add(id)
      }
    else for (const held of this.#held.values()) if (held.header.session === session) cancel(held)
  }

  /** In each worker of this node. */
  async #broadcast(msg: Msg): Promise<void> {
    let parts: Uint8Array[]
    let kind = 'done'
    try {
      const [frame] = unpackFrames<TaskHeader>(msg.data)
      if (frame === undefined) throw new SerializationError('a malformed message of the cluster')
      checkTaskHeader(frame.header)
      const code = 'hash' in frame.header.fn ? frame.parts.shift() : undefined
      parts = await this.#pool.broadcast(this.#function(frame.header, code, 0), [frame.parts[0]!])
    } catch (error) {
      parts = [bytesOf(error)]
      kind = 'failed'
    }
    msg.respond(packFrame({ kind, node: this.id }, [packParts(parts)]))
  }

  // ---- the end -------------------------------------------------------------------------------------------------------

  /** Takes no more, ends what it has, answers, and leaves. */
  async drain(): Promise<void> {
    if (this.#draining) return
    this.#draining = true
    this.#beat()
    await this.#pulls.drain()
    if (!this.#isIdle) await new Promise<void>((resolve) => (this.#idle = resolve))
    await this.#answers.flushed()
    this.#beat()
    await this.#nats.close()
    await this.close()
  }
  /** Ends at once: the server gives what it had to others. */
  async close(): Promise<void> {
    this.#draining = true
    for (const timer of this.#timers) clearInterval(timer)
    this.#answers?.close()
    this.#pool.terminate()
    await Promise.all([this.#pool.join(), this.#nats?.nc.close()])
  }
}

/** What the runner throws is bytes; what the pool says is an error. */
function bytesOf(error: unknown): Uint8Array {
  return error instanceof Uint8Array ? error : encodeFailure(error).bytes!
}

class Recent {
  #new = new Set<string>()
  #old = new Set<string>()
  constructor(readonly most: number) {}
  add(id: string): void {
    this.#new.add(id)
    if (this.#new.size < this.most) return
    this.#old = this.#new
    this.#new = new Set()
  }
  has(id: string): boolean {
    return this.#new.has(id) || this.#old.has(id)
  }
}
