// The submitter's side: what an engine is to a Pool. It is driven by the event loop.
//
//   jobs ─ units ─▶ outbox ─ stored by the server ─▶ (nodes) ─▶ results ─▶ jobs
import { randomBytes } from 'node:crypto'
import type { Job, JobHost } from '../pool/job'
import type { Unit } from '../pool/unit'
import { CancelledError, ClosedError, ImapJob, Jobs, MapJob, UnsupportedError } from './core'
import type { Names } from './names'
import { dropBlob, keepAlive, type Nats, openNats, soon } from './nats'
import type { CheckedOptions } from './options'
import { type Entry, Outbox, type Sender, takeBack } from './outbox'
import { Presence } from './presence'
import { type Receiver, Results } from './results'

export interface SubmitterEvents {
  failed(error: unknown): void
  drained(): void
}

export class Submitter implements JobHost, Sender, Receiver {
  readonly session: string
  readonly names: Names
  readonly opened: Promise<Nats>
  readonly jobs = new Jobs()
  readonly entries = new Map<string, Entry>()
  /** Names of the jobs of apply and map. */
  readonly keys = new Map<Job, string>()
  readonly presence: Presence
  readonly results: Results
  /** Jobs without a name of their own: numbers, and what no other submitter of this session has. */
  numbered = 0
  readonly #nonce = randomBytes(4).toString('hex')
  readonly #named = new WeakSet<Job>()
  /** All units of each job of apply and map. */
  readonly #units = new Map<Job, { id: string; unit: Unit }[]>()
  readonly #options: CheckedOptions
  readonly #events: SubmitterEvents
  readonly #outbox: Outbox
  #nats: Nats | undefined
  #up = true
  #closing = false
  #leaving = false
  ended = false
  #over = false
  #ref = true
  #whenEnded: (() => void)[] = []

  constructor(names: Names, options: CheckedOptions, events: SubmitterEvents) {
    this.names = names
    this.#options = options
    this.#events = events
    this.session = options.id ?? randomBytes(9).toString('hex')
    this.presence = new Presence(names)
    this.results = new Results(this, options.free)
    this.#outbox = new Outbox(this)
    this.opened = this.#open()
    this.opened.catch((error) => this.#broken(error))
  }
  async #open(): Promise<Nats> {
    const { names } = this
    const { given } = this.#options
    const nats = await openNats(names, given, given, `multiproc pool ${names.pool} ${this.session}`)
    const { nc } = nats
    if (this.ended) {
      await nats.close()
      return nats
    }
    let refused: Error | undefined
    const failed = (error: Error): void => {
      refused ??= error
    }
    this.results.open(nats, failed)
    this.presence.open(nats, failed)
    await nc.flush()
    if (refused !== undefined) {
      await nats.close()
      throw refused
    }
    this.#nats = nats
    void this.#watch(nats)
    nc.closed().then((error) => {
      this.#broken(new ClosedError('the connection to the server was closed', undefined, { cause: error }))
    })
    this.#outbox.open(nats)
    this.#keepAlive()
    return nats
  }
  #broken(error: unknown): void {
    if (this.ended) return
    for (const job of [...this.jobs]) job.giveUp(error, false)
    this.#end()
    this.#events.failed(error)
  }
  async #watch({ nc, out }: Nats): Promise<void> {
    for await (const status of nc.status())
      if (status.type === 'disconnect') this.#up = false
      else if (status.type === 'reconnect') {
        this.#up = true
        this.#keepAlive()
        out.reconnected()
        this.results.reconnected()
        this.#outbox.send()
      } else if (status.type === 'error') {
        out.refused(status.error)
        this.#events.failed(status.error)
      }
  }
  /** As with a Pool: pending tasks keep the event loop alive, and so does the end that somebody waits for. */
  #keepAlive(): void {
    if (this.#nats === undefined) return
    keepAlive(this.#nats.nc, this.#ref && (this.jobs.active || this.#closing || this.#leaving))
  }
  setRef(ref: boolean): void {
    this.#ref = ref
    this.#keepAlive()
  }

  // ---- submitting ----------------------------------------------------------------------------------------------------

  begin(job: Job): void {
    const { active } = this.jobs
    this.jobs.add(job)
    this.results.begin(job)
    if (!active) this.#keepAlive()
  }
  rested(job: Job): void {
    this.jobs.rested(job)
    this.#keepAlive()
  }
  /** A name for the job: its own, or a number. */
  name(job: Job, id: string | undefined): void {
    this.keys.set(job, id ?? `#${++this.numbered}.${this.#nonce}`)
    if (id !== undefined) this.#named.add(job)
  }
  isOwn(unit: string): boolean {
    return unit.startsWith('#') && unit.split('.')[1] === this.#nonce
  }
  keeps(job: Job): boolean {
    return job instanceof MapJob || this.#named.has(job)
  }
  finish(job: Job): void {
    job.over = true
    this.#units.delete(job)
    this.keys.delete(job)
    this.results.finish(job)
    if (!this.jobs.delete(job)) return
    if (!this.jobs.active) this.#keepAlive()
    if (this.jobs.size > 0) return
    this.#events.drained()
    if (this.#closing) void this.#leave()
  }
  submit(unit: Unit): void {
    const { job } = unit
    if (!this.keys.has(job)) this.name(job, undefined)
    const units = this.#unitsOf(job)
    const id = `${this.keys.get(job)}.${job instanceof ImapJob ? unit.first : units.length}`
    if (!(job instanceof ImapJob)) units.push({ id, unit })
    const entry: Entry = { id, unit, at: performance.now(), seq: 0, blob: undefined, dropped: false }
    this.entries.set(id, entry)
    this.#outbox.push(entry)
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
    this.entries.set(id, { id, unit, at: performance.now(), seq: 0, blob: undefined, dropped: false })
  }
  refused(entry: Entry, error: unknown): void {
    if (this.entries.delete(entry.id)) this.results.failed(entry.unit, error)
  }
  known(): void {
    this.results.lookSoon()
  }
  complain(error: unknown): void {
    this.#events.failed(error)
  }

  drop(job: Job): void {
    this.results.counts.cancelled++
    const units: string[] = []
    const nats = this.#nats
    for (const entry of this.entries.values()) {
      if (entry.unit.job !== job) continue
      this.entries.delete(entry.id)
      entry.dropped = true
      units.push(entry.id)
      if (nats === undefined) continue
      if (entry.blob !== undefined) dropBlob(nats, entry.blob)
      if (entry.seq > 0) takeBack(nats, this.names, entry)
    }
    if (units.length > 0) nats?.out.publish(this.names.cancel, JSON.stringify({ session: this.session, units }))
  }
  drive(): boolean {
    throw new UnsupportedError('tasks of a cluster cannot be waited for synchronously: use the asynchronous forms')
  }

  // ---- the end -------------------------------------------------------------------------------------------------------

  /** Ends when all jobs are done. */
  close(): void {
    this.#closing = true
    this.#keepAlive()
    if (this.jobs.size === 0) void this.#leave()
  }
  async #leave(): Promise<void> {
    if (this.ended) return
    const { names } = this
    const nats = await this.opened.catch(() => undefined)
    if (this.ended || this.jobs.size > 0) return
    this.ended = true
    if (nats !== undefined) {
      nats.out.flush()
      if (this.#up) await soon(nats.jsm.streams.purge(names.results, { filter: names.result(this.session) }))
      await this.#disconnect(nats)
    }
    this.#end()
  }
  /** Gives up all jobs: what is queued never runs, what runs is aborted. */
  terminate(): void {
    if (this.ended) return
    const error = new CancelledError('the pool was terminated')
    this.entries.clear()
    this.#outbox.clear()
    this.#closing = true
    this.ended = true
    for (const job of [...this.jobs]) job.giveUp(error, true)
    void this.#abandon()
  }
  async #abandon(): Promise<void> {
    const nats = this.#nats
    if (nats !== undefined) {
      const { session, names } = this
      if (this.#up) {
        // Nodes are told when nothing more can come to them: a task behind the word would run, for nobody.
        await soon(nats.jsm.streams.purge(names.tasks, { filter: names.task('*', session) }))
        if (!nats.nc.isClosed()) nats.out.publish(names.cancel, JSON.stringify({ session }))
        await soon(nats.jsm.streams.purge(names.results, { filter: names.result(session) }))
      }
      await this.#disconnect(nats)
    }
    this.#end()
  }
  async #disconnect(nats: Nats): Promise<void> {
    if (this.#up) await nats.close()
    else {
      nats.out.close()
      await nats.nc.close()
    }
  }
  /** Resolves when the server has all units. What is answered from now on is for whoever comes back. */
  async stored(): Promise<void> {
    await this.opened
    this.results.leave()
    this.#leaving = true
    this.#keepAlive()
    await this.#outbox.stored()
  }
  /** Leaves all as it is on the server. */
  async leave(error: unknown): Promise<void> {
    const nats = await this.opened
    this.ended = true
    this.#closing = true
    this.entries.clear()
    for (const job of [...this.jobs]) job.giveUp(error, true)
    await this.#disconnect(nats)
    this.#end()
  }
  #end(): void {
    this.ended = true
    this.#nats = undefined
    this.results.close()
    this.#over = true
    for (const one of this.#whenEnded.splice(0)) one()
  }
  get hasEnded(): boolean {
    return this.#over
  }
  whenEnded(callback: () => void): () => void {
    this.jobs.join()
    if (this.#over) callback()
    else this.#whenEnded.push(callback)
    return () => {
      this.#whenEnded = this.#whenEnded.filter((one) => one !== callback)
    }
  }
}
