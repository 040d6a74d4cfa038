// What comes back for a submitter's units.
//
//   answer   straight from the node; when it has come the node is told so        ─┐
//   result   as it is stored in the stream: what others may ask for later,        ├─▶ entries (by id) ─▶ jobs
//            and what the node was not told of in time                            │
//   stream   asked after each new connection for results that were missed        ─┘
//
// The first one counts. What has come is removed from the stream now and then.
import type { Msg } from '@nats-io/transport-node'
import type { Job } from '../pool/job'
import type { Unit } from '../pool/unit'
import { ClosedError, decodeFailure, Histogram, MapJob, SETTLE } from './core'
import { type ResultHeader, unpackFrames, unpackParts } from './frames'
import type { Names } from './names'
import { dropBlob, type Failed, getBlob, isMissing, listen, type Nats, peers } from './nats'
import type { Entry } from './outbox'
import { decodeValue, untamed } from './tame'

export interface Receiver {
  readonly names: Names
  readonly session: string
  readonly entries: Map<string, Entry>
  /** This submitter, and no other one, has made the unit. */
  isOwn(unit: string): boolean
  readonly ended: boolean
  complain(error: unknown): void
}

const RETRY_MS = 200
const HOUSEKEEPING_MS = 5000
const SETTLED_MS = 1000
const MANY_RESULTS = 1000
const FETCHED = 1000

export class Results {
  readonly counts = { completed: 0, failed: 0, lost: 0, retried: 0, timedOut: 0, cancelled: 0 }
  readonly waitTimes = new Histogram()
  readonly runTimes = new Histogram()
  readonly #receiver: Receiver
  readonly #free: boolean
  /** What the results stream had when the job began: nothing before that is the job's. */
  readonly #floors = new Map<Job, number>()
  #nats: Nats | undefined
  #timer: NodeJS.Timeout | undefined
  #since = 0
  #floor = 0
  #connections = 0
  #late: Promise<void> | undefined
  #leaving = false

  /** `free`: what nodes answer may hold code. */
  constructor(receiver: Receiver, free: boolean) {
    this.#receiver = receiver
    this.#free = free
  }
  open(nats: Nats, failed: Failed): void {
    const { names, session } = this.#receiver
    const { nc } = nats
    this.#nats = nats
    listen(nc, names.answer(session), (msg) => this.#answer(msg), failed)
    listen(nc, names.result(session), (msg) => void this.#take(msg.data), failed)
    listen(nc, names.progress(session), (msg) => this.#progress(msg), failed)
    this.#timer = setInterval(() => void this.#housekeeping(), HOUSEKEEPING_MS).unref()
  }
  begin(job: Job): void {
    this.#floors.set(job, this.#floor)
  }
  finish(job: Job): void {
    this.#floors.delete(job)
  }
  /** What comes from now on is for another submitter. */
  leave(): void {
    this.#leaving = true
  }
  close(): void {
    clearInterval(this.#timer)
  }

  // ---- as they come --------------------------------------------------------------------------------------------------

  #answer(msg: Msg): void {
    if (this.#leaving || msg.reply === undefined) return
    const { reply } = msg
    const taken = this.#take(msg.data)
    const got = (all: boolean): void => {
      if (all && !this.#leaving) this.#nats?.out.later(reply, '')
    }
    if (taken instanceof Promise) void taken.then(got)
    else got(taken)
  }
  /** Were all of them ours, and are they settled? */
  #take(data: Uint8Array): boolean | Promise<boolean> {
    const { entries } = this.#receiver
    let ours = true
    const settling: Promise<void>[] = []
    try {
      for (const { header, parts } of unpackFrames<ResultHeader>(data)) {
        this.#since++
        const entry = entries.get(header.unit)
        if (entry === undefined) {
          ours &&= this.#receiver.isOwn(header.unit)
          continue
        }
        entries.delete(header.unit)
        const settled = header.blob !== undefined ? this.#fetch(entry, header) : this.#settle(entry, header, parts)
        if (settled !== undefined) settling.push(settled)
        if (entry.blob !== undefined && this.#nats !== undefined) dropBlob(this.#nats, entry.blob)
      }
    } catch (error) {
      this.#receiver.complain(error)
      return false
    }
    return settling.length === 0 ? ours : Promise.all(settling).then(() => ours)
  }
  async #fetch(entry: Entry, header: ResultHeader): Promise<void> {
    const nats = this.#nats!
    for (;;) {
      try {
        const blob = await getBlob(nats, header.blob!)
        if (blob === null) throw new ClosedError('the result is gone from the object store')
        dropBlob(nats, header.blob!)
        return await this.#settle(entry, header, unpackParts(blob))
      } catch (error) {
        if (this.#receiver.ended || entry.unit.job.over) return
        if (error instanceof ClosedError || nats.nc.isClosed()) return this.failed(entry.unit, error)
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  }
  #settle({ unit, at }: Entry, header: ResultHeader, parts: Uint8Array[]): Promise<void> | undefined {
    const { job, first } = unit
    const { kind, node, errors, took } = header
    if (job.over) return undefined
    if (typeof took === 'number') {
      this.runTimes.record(took)
      this.waitTimes.record(Math.max(0, performance.now() - at - took))
    }
    if (kind === 'failed') return this.#failure(parts[0], node).then((error) => this.failed(unit, error))
    const failed = new Set(errors)
    this.counts[failed.size === 0 ? 'completed' : 'failed']++
    const settling: Promise<void>[] = []
    for (let k = 0; k < Math.min(parts.length, unit.count); k++) {
      const settled = failed.has(k)
        ? this.#failure(parts[k], node).then((error) => job.itemFailed(first + k, error))
        : this.#value(job, first + k, parts[k]!)
      if (settled !== undefined) settling.push(settled)
    }
    if (parts.length < unit.count) job.skipped(first + parts.length, first + unit.count)
    return settling.length === 0 ? undefined : Promise.all(settling).then(() => {})
  }
  #value(job: Job, item: number, part: Uint8Array): Promise<void> | undefined {
    try {
      const read = decodeValue(part, this.#free)
      if (read instanceof Promise)
        return read.then(
          ({ value }) => job.itemDone(item, value),
          (error) => job.itemFailed(item, error),
        )
      job.itemDone(item, read.value)
    } catch (error) {
      job.itemFailed(item, error)
    }
    return undefined
  }
  /** What a task has thrown: as it was, as far as it may come. */
  async #failure(part: Uint8Array | undefined, node: string): Promise<unknown> {
    try {
      if (part === undefined) throw new ClosedError('a malformed answer came from the cluster')
      const { value } = await decodeValue(part, false)
      const carried = Array.isArray(value) ? value[5] : undefined
      if (!this.#free && carried instanceof Uint8Array && untamed(carried) !== undefined) (value as unknown[])[5] = null
      return await decodeFailure(value, `node ${node}`)
    } catch (error) {
      return error
    }
  }
  /** The whole unit has failed. */
  failed({ job, first, count, flags }: Unit, error: unknown): void {
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
    const job = this.#receiver.entries.get(unit)?.unit.job
    if (job === undefined) return
    job.reported = true
    job.onProgress?.(done, total)
  }

  // ---- in the stream -------------------------------------------------------------------------------------------------

  /** Something was missed while the connection was away. */
  reconnected(): void {
    this.#connections++
    this.lookSoon()
  }
  lookSoon(): void {
    this.#late ??= this.catchUp()
      .catch((error) => this.#receiver.complain(error))
      .finally(() => (this.#late = undefined))
  }
  /** Reads the results that the stream has. */
  async catchUp(): Promise<void> {
    const nats = this.#nats
    const { names, session, entries } = this.#receiver
    if (nats === undefined || entries.size === 0) return
    const { AckPolicy, DeliverPolicy } = peers().jetstream
    const info = await nats.jsm.consumers.add(names.results, {
      filter_subject: names.result(session),
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.All,
      mem_storage: true,
      inactive_threshold: 30_000 * 1_000_000,
    })
    const consumer = await nats.js.consumers.get(names.results, info.name)
    for (let left = info.num_pending; left > 0; ) {
      let came = 0
      for await (const msg of await consumer.fetch({ max_messages: Math.min(left, FETCHED), expires: 5000 })) {
        came++
        void this.#take(msg.data)
      }
      if (came === 0) break
      left -= came
    }
    await consumer.delete()
  }
  /** Removes results that have come from the stream, and looks for those that have not. */
  async #housekeeping(): Promise<void> {
    const nats = this.#nats
    const { names, session, entries } = this.#receiver
    if (nats === undefined || this.#receiver.ended) return
    try {
      const { state } = await nats.jsm.streams.info(names.results)
      const since = this.#since
      const { last_seq } = state
      const connections = this.#connections
      if (since === 0) {
        if (entries.size > 0 && last_seq > this.#floor) await this.catchUp()
        this.#floor = last_seq
        return
      }
      this.#floor = last_seq
      if (since < MANY_RESULTS) return
      // What was stored by then has come long before that, unless the connection was a new one.
      await new Promise((resolve) => setTimeout(resolve, SETTLED_MS))
      if (this.#receiver.ended || connections !== this.#connections) return
      this.#since = 0
      // What a map has so far is kept: its submitter may yet leave.
      let upTo = last_seq
      for (const [job, floor] of this.#floors) if (job instanceof MapJob) upTo = Math.min(upTo, floor)
      if (upTo > 0) await nats.jsm.streams.purge(names.results, { filter: names.result(session), seq: upTo + 1 })
    } catch (error) {
      if (!this.#receiver.ended && !nats.nc.isClosed() && isMissing(error)) this.#receiver.complain(error)
    }
  }
}
