// The submitter's side: what an engine is to a Pool. It is driven by the event loop.
//
//   jobs ─ units ─▶ outbox ─ stored by the server ─▶ (nodes) ─▶ results ─▶ jobs
//
// A unit is sent again until the server says that it is stored; the server knows it by its id, and stores it once. Results come
// twice: as they are published, which is quick, and from the stream, which is asked after each new connection for those that were
// missed. The first one counts. What has come is removed from the stream now and then.
import { randomBytes } from 'node:crypto'
import type { Msg } from '@nats-io/transport-node'
import type { Job, JobHost } from '../pool/job'
import type { Unit } from '../pool/unit'
import {
  CancelledError,
  CHUNKED,
  ClosedError,
  decodeFailure,
  Histogram,
  ImapJob,
  MapJob,
  QueueFullError,
  SETTLE,
  SPREAD,
  UnsupportedError,
} from './core'
import { packFrame, type ResultHeader, type TaskHeader, unpackFrames, unpackParts } from './frames'
import type { ClusterFunction } from './functions'
import { levelOf, type Names } from './names'
import { dropBlob, getBlob, isMissing, listen, type Nats, openNats, peers, putBlob } from './nats'
import type { NodeInfo } from './node'
import type { CheckedOptions } from './options'
import { decodeValue, untamed } from './tame'

/** A unit that has not ended. */
export interface Entry {
  readonly id: string
  readonly unit: Unit
  readonly at: number
  bytes: Uint8Array | undefined
  /** Its number in the stream of tasks; 0: not stored yet. */
  seq: number
  blob: string | undefined
}

const AT_ONCE = 512
const STORE_MS = 5000
const RETRY_MS = 200
const BEAT_LOST_MS = 5000
const HOUSEKEEPING_MS = 5000
const SETTLED_MS = 1000
const MANY_RESULTS = 1000
/** Nodes that nobody knows yet are taken for so many workers. */
const GUESSED_WORKERS = 8

export interface SubmitterEvents {
  failed(error: unknown): void
  drained(): void
  gone(): void
}

export class Submitter implements JobHost {
  readonly session: string
  readonly opened: Promise<Nats>
  readonly jobs = new Set<Job>()
  readonly entries = new Map<string, Entry>()
  /** Names of the jobs of apply and map. */
  readonly keys = new Map<Job, string>()
  readonly counts = { completed: 0, failed: 0, lost: 0, retried: 0, timedOut: 0, cancelled: 0 }
  readonly waitTimes = new Histogram()
  readonly runTimes = new Histogram()
  readonly nodes = new Map<string, NodeInfo & { seen: number }>()
  closing = false
  ended = false
  readonly #names: Names
  readonly #options: CheckedOptions
  readonly #events: SubmitterEvents
  readonly #outbox: Entry[] = []
  /** All units of each job of apply and map. */
  readonly #units = new Map<Job, { id: string; unit: Unit }[]>()
  /** What the results stream had when the job began: nothing before that is the job's. */
  readonly #floors = new Map<Job, number>()
  #nats: Nats | undefined
  #onWay = 0
  /** Jobs without a name of their own: numbers, and what no other submitter of this session has. */
  numbered = 0
  readonly #nonce = randomBytes(4).toString('hex')
  #resultsSince = 0
  #reconnects = 0
  #floor = 0
  #timer: NodeJS.Timeout | undefined
  #whenEnded: (() => void)[] = []

  constructor(names: Names, options: CheckedOptions, events: SubmitterEvents) {
    this.#names = names
    this.#options = options
    this.#events = events
    this.session = options.id ?? randomBytes(9).toString('hex')
    this.opened = this.#open()
    this.opened.catch((error) => {
      if (this.ended) return
      for (const job of [...this.jobs]) job.giveUp(error, false)
      this.#end()
      events.failed(error)
    })
  }
  async #open(): Promise<Nats> {
    const names = this.#names
    const { given } = this.#options
    const nats = await openNats(names, given, given, `multiproc pool ${names.pool} ${this.session}`)
    if (this.ended) {
      await nats.nc.close()
      return nats
    }
    const { nc } = nats
    listen(nc, names.result(this.session), (msg) => this.#results(msg.data))
    listen(nc, names.progress(this.session), (msg) => this.#progress(msg))
    listen(nc, names.beat('*'), (msg) => this.#beat(msg))
    const inbox = peers().transport.createInbox()
    listen(nc, inbox, (msg) => this.#beat(msg))
    nc.publish(names.ping, '', { reply: inbox })
    await nc.flush()
    this.#nats = nats
    void this.#watch(nats)
    this.#timer = setInterval(() => void this.#housekeeping(), HOUSEKEEPING_MS)
    this.#timer.unref()
    nc.closed().then((error) => {
      if (this.ended) return
      const reason = new ClosedError('the connection to the server was closed', undefined, { cause: error })
      for (const job of [...this.jobs]) job.giveUp(reason, false)
      this.#end()
      this.#events.failed(reason)
    })
    queueMicrotask(() => this.#send())
    return nats
  }
  async #watch({ nc }: Nats): Promise<void> {
    for await (const status of nc.status())
      if (status.type === 'reconnect') {
        this.#reconnects++
        this.catchUp().catch((error) => this.#events.failed(error))
        this.#send()
      } else if (status.type === 'error') this.#events.failed(status.error)
  }

  // ---- submitting ----------------------------------------------------------------------------------------------------

  /** How many workers the nodes have that were heard of. */
  get workers(): number {
    let workers = 0
    for (const { processes, draining } of this.liveNodes()) if (!draining) workers += processes
    return workers || GUESSED_WORKERS
  }
  liveNodes(): NodeInfo[] {
    const oldest = performance.now() - BEAT_LOST_MS
    for (const [id, { seen }] of this.nodes) if (seen < oldest) this.nodes.delete(id)
    return [...this.nodes.values()]
  }

  /** Those that answer within `ms`, or were heard of lately. */
  async presentNodes(ms: number): Promise<NodeInfo[]> {
    const nats = await this.opened
    if (this.liveNodes().length === 0) {
      const inbox = peers().transport.createInbox()
      const subscription = listen(nats.nc, inbox, (msg) => this.#beat(msg))
      nats.nc.publish(this.#names.ping, '', { reply: inbox })
      await new Promise((resolve) => setTimeout(resolve, ms))
      subscription.unsubscribe()
    }
    return this.liveNodes()
  }

  begin(job: Job): void {
    this.jobs.add(job)
    this.#floors.set(job, this.#floor)
  }
  /** A name for the job: its own, or a number. */
  name(job: Job, id: string | undefined): void {
    this.keys.set(job, id ?? `#${++this.numbered}.${this.#nonce}`)
  }
  finish(job: Job): void {
    job.over = true
    this.#units.delete(job)
    this.#floors.delete(job)
    this.keys.delete(job)
    if (!this.jobs.delete(job) || this.jobs.size > 0) return
    this.#events.drained()
    if (this.closing) void this.#leave()
  }
  submit(unit: Unit): void {
    const { job } = unit
    if (!this.keys.has(job)) this.name(job, undefined)
    const units = this.#unitsOf(job)
    const id = `${this.keys.get(job)}.${job instanceof ImapJob ? unit.first : units.length}`
    if (!(job instanceof ImapJob)) units.push({ id, unit })
    const entry: Entry = {
      id,
      unit,
      at: performance.now(),
      bytes: undefined,
      seq: 0,
      blob: undefined,
    }
    this.entries.set(entry.id, entry)
    this.#outbox.push(entry)
    if (this.#outbox.length === 1) queueMicrotask(() => this.#send())
  }
  #unitsOf(job: Job): { id: string; unit: Unit }[] {
    let units = this.#units.get(job)
    if (units === undefined) {
      units = []
      this.#units.set(job, units)
    }
    return units
  }
  unitsOf(job: Job): readonly { id: string; unit: Unit }[] {
    return this.#unitsOf(job)
  }
  /** For attach(): it was sent before. */
  expect(id: string, unit: Unit): void {
    this.#unitsOf(unit.job).push({ id, unit })
    this.entries.set(id, { id, unit, at: performance.now(), bytes: undefined, seq: 0, blob: undefined })
  }

  #send(): void {
    if (this.#nats === undefined || this.ended) return
    const { length } = this.#outbox
    let k = 0
    while (k < length && this.#onWay < AT_ONCE) {
      const entry = this.#outbox[k++]!
      if (!this.entries.has(entry.id)) continue
      this.#onWay++
      void this.#store(this.#nats, entry)
    }
    this.#outbox.splice(0, k)
  }
  async #store(nats: Nats, entry: Entry): Promise<void> {
    const level = levelOf(entry.unit.job.settings.priority)
    const subject = this.#names.task(level, this.session)
    const wanted = (): boolean => this.entries.has(entry.id) && !this.ended
    try {
      while (wanted()) {
        try {
          entry.bytes ??= await this.#pack(nats, entry)
          if (!wanted()) return
          const { seq } = await nats.js.publish(subject, entry.bytes, {
            msgID: `${this.session}.${entry.id}`,
            timeout: STORE_MS,
          })
          entry.seq = seq
          entry.bytes = undefined
          return
        } catch (error) {
          const refused = this.#refusal(error)
          if (refused !== undefined) return this.#fail(entry, refused)
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
        }
      }
    } finally {
      this.#onWay--
      if (this.#outbox.length > 0) this.#send()
    }
  }
  /** What will not be otherwise the next time. */
  #refusal(error: unknown): unknown {
    const { jetstream, transport } = peers()
    if (error instanceof transport.PermissionViolationError || error instanceof transport.AuthorizationError)
      return error
    if (!(error instanceof jetstream.JetStreamApiError) || error.status === 503) return undefined
    if (/maximum (messages|bytes)|resources/.test(error.message))
      return new QueueFullError(`the server takes no more tasks: ${error.message}`, undefined, { cause: error })
    return error
  }
  async #pack(nats: Nats, { id, unit }: Entry): Promise<Uint8Array> {
    const { job, flags } = unit
    const { ref, name, bytes } = unit.call as ClusterFunction
    const { timeout, grace, retries, priority } = job.settings
    const header: TaskHeader = {
      v: 1,
      pool: this.#names.pool,
      session: this.session,
      unit: id,
      fn: ref,
      name,
      count: unit.count,
      grace: Number.isFinite(grace) ? grace : Number.MAX_SAFE_INTEGER,
      retries: Number.isFinite(retries) ? retries : Number.MAX_SAFE_INTEGER,
      priority,
      ...(Number.isFinite(timeout) && { timeout }),
      ...(flags & CHUNKED && { chunk: true }),
      ...(flags & SPREAD && { spread: true }),
      ...(job instanceof ImapJob && { each: true }),
      ...(flags & SETTLE && { settle: true }),
      ...(job.onProgress !== undefined && { progress: true }),
    }
    const packed = bytes === undefined ? [unit.body.bytes!] : [codePart(bytes), unit.body.bytes!]
    const size = packed.reduce((sum, { byteLength }) => sum + byteLength, 0)
    if (size <= nats.mostInline) return packFrame(header, packed)
    header.blob = `task.${this.session}.${id}`
    await putBlob(nats, header.blob, packed.length === 1 ? packed[0]! : Buffer.concat(packed))
    const entry = this.entries.get(id)
    if (entry === undefined) dropBlob(nats, header.blob)
    else entry.blob = header.blob
    return packFrame(header, [])
  }

  // ---- results -------------------------------------------------------------------------------------------------------

  #results(data: Uint8Array): void {
    try {
      for (const { header, parts } of unpackFrames<ResultHeader>(data)) {
        this.#resultsSince++
        const entry = this.entries.get(header.unit)
        if (entry === undefined) continue
        this.entries.delete(header.unit)
        if (header.blob !== undefined) void this.#fetch(entry, header)
        else this.#settle(entry, header, parts)
        if (entry.blob !== undefined && this.#nats !== undefined) dropBlob(this.#nats, entry.blob)
      }
    } catch (error) {
      this.#events.failed(error)
    }
  }
  async #fetch(entry: Entry, header: ResultHeader): Promise<void> {
    const nats = this.#nats!
    for (;;) {
      try {
        const blob = await getBlob(nats, header.blob!)
        if (blob === null) throw new ClosedError('the result is gone from the object store')
        dropBlob(nats, header.blob!)
        return this.#settle(entry, header, unpackParts(blob))
      } catch (error) {
        if (this.ended || entry.unit.job.over) return
        if (error instanceof ClosedError || nats.nc.isClosed()) return this.#failed(entry.unit, error)
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  }
  #settle({ unit, at }: Entry, header: ResultHeader, parts: Uint8Array[]): void {
    const { job, first } = unit
    const { kind, node, errors = [], took } = header
    if (job.over) return
    if (typeof took === 'number') {
      this.runTimes.record(took)
      this.waitTimes.record(Math.max(0, performance.now() - at - took))
    }
    if (kind === 'failed') {
      void this.#failure(parts[0], node).then((error) => this.#failed(unit, error))
      return
    }
    const failed = new Set(errors)
    this.counts[failed.size === 0 ? 'completed' : 'failed']++
    for (const [k, part] of parts.slice(0, unit.count).entries())
      if (failed.has(k)) void this.#failure(part, node).then((error) => job.itemFailed(first + k, error))
      else this.#value(job, first + k, part)
    if (parts.length < unit.count) job.skipped(first + parts.length, first + unit.count)
  }
  #value(job: Job, item: number, part: Uint8Array): void {
    try {
      const read = decodeValue(part, this.#options.free)
      if (read instanceof Promise)
        read.then(
          ({ value }) => job.itemDone(item, value),
          (error) => job.itemFailed(item, error),
        )
      else job.itemDone(item, read.value)
    } catch (error) {
      job.itemFailed(item, error)
    }
  }
  /** What a task has thrown: as it was, as far as it may come. */
  async #failure(part: Uint8Array | undefined, node: string): Promise<unknown> {
    try {
      if (part === undefined) throw new ClosedError('a malformed answer came from the cluster')
      const { value } = await decodeValue(part, false)
      const carried = Array.isArray(value) ? value[5] : undefined
      if (!this.#options.free && carried instanceof Uint8Array && untamed(carried) !== undefined)
        (value as unknown[])[5] = null
      return await decodeFailure(value, `node ${node}`)
    } catch (error) {
      return error
    }
  }
  #fail(entry: Entry, error: unknown): void {
    if (this.entries.delete(entry.id)) this.#failed(entry.unit, error)
  }
  #failed({ job, first, count, flags }: Unit, error: unknown): void {
    if (job.over) return
    const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown }
    this.counts.failed++
    if (code === 'ERR_MP_TIMEOUT' && name === 'TimeoutError') this.counts.timedOut++
    if (code === 'ERR_MP_WORKER_LOST') this.counts.lost++
    job.itemFailed(first, error)
    if (flags & SETTLE) for (let k = 1; k < count; k++) job.itemFailed(first + k, error)
    else if (count > 1) job.skipped(first + 1, first + count)
  }
  #progress(msg: Msg): void {
    const { unit, done, total } = msg.json<{ unit: string; done: number; total: number }>()
    const job = this.entries.get(unit)?.unit.job
    if (job === undefined) return
    job.reported = true
    job.onProgress?.(done, total)
  }
  #beat(msg: Msg): void {
    try {
      const info = msg.json<NodeInfo>()
      if (typeof info.id === 'string') this.nodes.set(info.id, { ...info, seen: performance.now() })
    } catch {
      // Not a node of this version.
    }
  }

  /** Reads the results that the stream has. */
  async catchUp(): Promise<void> {
    const nats = await this.opened
    if (this.entries.size === 0) return
    const { AckPolicy, DeliverPolicy } = peers().jetstream
    const { results } = this.#names
    const info = await nats.jsm.consumers.add(results, {
      filter_subject: this.#names.result(this.session),
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.All,
      mem_storage: true,
      inactive_threshold: 30_000 * 1_000_000,
    })
    const consumer = await nats.js.consumers.get(results, info.name)
    for (let left = info.num_pending; left > 0; ) {
      let came = 0
      for await (const msg of await consumer.fetch({ max_messages: Math.min(left, 1000), expires: 5000 })) {
        came++
        this.#results(msg.data)
      }
      if (came === 0) break
      left -= came
    }
    await consumer.delete()
  }

  /** Removes results that have come from the stream, and looks for those that have not. */
  async #housekeeping(): Promise<void> {
    const nats = this.#nats
    if (nats === undefined || this.ended) return
    try {
      const { state } = await nats.jsm.streams.info(this.#names.results)
      const since = this.#resultsSince
      const { last_seq } = state
      const reconnects = this.#reconnects
      if (since === 0) {
        if (this.entries.size > 0 && last_seq > this.#floor) await this.catchUp()
        this.#floor = last_seq
        return
      }
      this.#floor = last_seq
      if (since < MANY_RESULTS) return
      // What was stored by then has come long before that, unless the connection was a new one.
      await new Promise((resolve) => setTimeout(resolve, SETTLED_MS))
      if (this.ended || reconnects !== this.#reconnects) return
      this.#resultsSince = 0
      // What a map has so far is kept: its submitter may yet leave.
      let upTo = last_seq
      for (const [job, floor] of this.#floors) if (job instanceof MapJob) upTo = Math.min(upTo, floor)
      if (upTo > 0)
        await nats.jsm.streams.purge(this.#names.results, {
          filter: this.#names.result(this.session),
          seq: upTo + 1,
        })
    } catch (error) {
      if (!this.ended && !nats.nc.isClosed() && isMissing(error)) this.#events.failed(error)
    }
  }

  // ---- cancelling, and the end ---------------------------------------------------------------------------------------

  drop(job: Job): void {
    this.counts.cancelled++
    const units: string[] = []
    for (const entry of this.entries.values()) {
      if (entry.unit.job !== job) continue
      this.entries.delete(entry.id)
      units.push(entry.id)
      const nats = this.#nats
      if (nats === undefined) continue
      if (entry.blob !== undefined) dropBlob(nats, entry.blob)
      // It has been taken by a node if it is not there any more.
      if (entry.seq > 0) nats.jsm.streams.deleteMessage(this.#names.tasks, entry.seq, false).catch(() => {})
    }
    if (units.length > 0) this.#nats?.nc.publish(this.#names.cancel, JSON.stringify({ session: this.session, units }))
  }
  drive(): boolean {
    throw new UnsupportedError('tasks of a cluster cannot be waited for synchronously: use the asynchronous forms')
  }

  /** Ends when all jobs are done. */
  close(): void {
    this.closing = true
    if (this.jobs.size === 0) void this.#leave()
  }
  async #leave(): Promise<void> {
    if (this.ended) return
    const nats = await this.opened.catch(() => undefined)
    if (this.ended || this.jobs.size > 0) return
    this.ended = true
    if (nats !== undefined) {
      await nats.jsm.streams.purge(this.#names.results, { filter: this.#names.result(this.session) }).catch(() => {})
      await nats.nc.drain().catch(() => {})
    }
    this.#end()
  }
  /** Gives up all jobs: what is queued never runs, what runs is aborted. */
  terminate(): void {
    if (this.ended) return
    const nats = this.#nats
    const error = new CancelledError('the pool was terminated')
    this.entries.clear()
    this.#outbox.length = 0
    this.closing = true
    this.ended = true
    for (const job of [...this.jobs]) job.giveUp(error, true)
    void this.#abandon(nats)
  }
  async #abandon(nats: Nats | undefined): Promise<void> {
    if (nats !== undefined) {
      const { session } = this
      const purges = [
        nats.jsm.streams.purge(this.#names.tasks, { filter: this.#names.task('*', session) }),
        nats.jsm.streams.purge(this.#names.results, { filter: this.#names.result(session) }),
      ]
      nats.nc.publish(this.#names.cancel, JSON.stringify({ session }))
      await Promise.allSettled(purges)
      await nats.nc.close().catch(() => {})
    }
    this.#end()
  }
  /** Leaves all as it is on the server. */
  async leave(error: unknown): Promise<void> {
    const nats = await this.opened
    this.ended = true
    this.closing = true
    this.entries.clear()
    for (const job of [...this.jobs]) job.giveUp(error, true)
    await nats.nc.drain().catch(() => {})
    this.#end()
  }
  /** All units are stored by the server. */
  async stored(): Promise<void> {
    await this.opened
    while (this.#outbox.length > 0 || this.#onWay > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  #end(): void {
    this.ended = true
    clearInterval(this.#timer)
    this.#nats = undefined
    const waiting = this.#whenEnded
    this.#whenEnded = []
    for (const one of waiting) one()
    this.#over = true
    this.#events.gone()
  }
  #over = false
  get hasEnded(): boolean {
    return this.#over
  }
  whenEnded(callback: () => void): () => void {
    if (this.#over) callback()
    else this.#whenEnded.push(callback)
    return () => {
      this.#whenEnded = this.#whenEnded.filter((one) => one !== callback)
    }
  }
}

function codePart(bytes: Uint8Array): Uint8Array {
  const part = Buffer.allocUnsafe(4 + bytes.byteLength)
  part.writeUInt32LE(bytes.byteLength, 0)
  part.set(bytes, 4)
  return part
}
