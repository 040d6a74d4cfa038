// Units on their way to the server. A unit is sent again until the server says that it is stored; the server knows it by its id,
// and stores it once.
import type { Job } from '../pool/job'
import type { Unit } from '../pool/unit'
import { CHUNKED, ImapJob, QueueFullError, SETTLE, SPREAD } from './core'
import { packFrame, type TaskHeader } from './frames'
import type { ClusterFunction } from './functions'
import { levelOf, type Names } from './names'
import { dropBlob, type Nats, peers, putBlob } from './nats'

/** A unit that has not ended. */
export interface Entry {
  readonly id: string
  readonly unit: Unit
  /** When it was submitted, by performance.now(). */
  readonly at: number
  /** Its number in the stream of tasks; 0: not stored yet. */
  seq: number
  blob: string | undefined
  /** It was cancelled. */
  dropped: boolean
}

/** What the outbox wants to know, and whom it tells. */
export interface Sender {
  readonly names: Names
  readonly session: string
  readonly entries: ReadonlyMap<string, Entry>
  /** Somebody may ask for its results later, or has asked for the same. */
  keeps(job: Job): boolean
  refused(entry: Entry, error: unknown): void
  /** It was stored before: its result may be there. */
  known(): void
}

const AT_ONCE = 512
const RETRY_MS = 200

export class Outbox {
  readonly #sender: Sender
  #nats: Nats | undefined
  #queue: Entry[] = []
  #onWay = 0
  #whenStored: (() => void)[] = []

  constructor(sender: Sender) {
    this.#sender = sender
  }
  open(nats: Nats): void {
    this.#nats = nats
    queueMicrotask(() => this.send())
  }
  push(entry: Entry): void {
    this.#queue.push(entry)
    if (this.#queue.length === 1) queueMicrotask(() => this.send())
  }
  clear(): void {
    this.#queue = []
  }
  /** Resolves when all units are stored. */
  async stored(): Promise<void> {
    if (this.#queue.length > 0 || this.#onWay > 0)
      await new Promise<void>((resolve) => void this.#whenStored.push(resolve))
  }

  send(): void {
    if (this.#nats === undefined) return
    let k = 0
    while (k < this.#queue.length && this.#onWay < AT_ONCE) {
      const entry = this.#queue[k++]!
      if (!this.#wanted(entry)) continue
      this.#onWay++
      void this.#store(this.#nats, entry).finally(() => {
        this.#onWay--
        this.send()
      })
    }
    this.#queue.splice(0, k)
    if (this.#queue.length > 0 || this.#onWay > 0) return
    for (const resolve of this.#whenStored.splice(0)) resolve()
  }
  #wanted(entry: Entry): boolean {
    return this.#sender.entries.has(entry.id)
  }
  async #store(nats: Nats, entry: Entry): Promise<void> {
    const { names, session } = this.#sender
    const subject = names.task(levelOf(entry.unit.job.settings.priority), session)
    let bytes: Uint8Array | undefined
    while (this.#wanted(entry)) {
      try {
        if (bytes === undefined) {
          const packed = this.#pack(nats, entry)
          bytes = packed instanceof Uint8Array ? packed : await packed
        }
        const { seq, duplicate } = await nats.out.store(subject, bytes, `${session}.${entry.id}`)
        entry.seq = seq
        if (duplicate) this.#sender.known()
        if (entry.dropped) takeBack(nats, names, entry)
        return
      } catch (error) {
        const refusal = refusalOf(error)
        if (refusal !== undefined) return this.#sender.refused(entry, refusal)
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  }
  #pack(nats: Nats, entry: Entry): Uint8Array | Promise<Uint8Array> {
    const { id, unit } = entry
    const { job, flags } = unit
    const { ref, name, bytes } = unit.call as ClusterFunction
    const { timeout, grace, retries, priority } = job.settings
    const header: TaskHeader = {
      v: 1,
      pool: this.#sender.names.pool,
      session: this.#sender.session,
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
      ...(this.#sender.keeps(job) && { keep: true }),
    }
    const packed = bytes === undefined ? [unit.body.bytes!] : [codePart(bytes), unit.body.bytes!]
    const size = packed.reduce((sum, { byteLength }) => sum + byteLength, 0)
    return size <= nats.mostInline ? packFrame(header, packed) : this.#packBlob(nats, entry, header, packed)
  }
  async #packBlob(nats: Nats, entry: Entry, header: TaskHeader, packed: Uint8Array[]): Promise<Uint8Array> {
    const blob = `task.${header.session}.${entry.id}`
    await putBlob(nats, blob, packed.length === 1 ? packed[0]! : Buffer.concat(packed))
    if (this.#wanted(entry)) entry.blob = blob
    else dropBlob(nats, blob)
    return packFrame({ ...header, blob }, [])
  }
}

/** Removes it from the stream. It is not there any more where a node has taken it. */
export function takeBack({ jsm }: Nats, { tasks }: Names, { seq }: Entry): void {
  jsm.streams.deleteMessage(tasks, seq, false).catch(() => {})
}
/** What will not be otherwise the next time. */
function refusalOf(error: unknown): unknown {
  const { jetstream, transport } = peers()
  if (error instanceof transport.PermissionViolationError || error instanceof transport.AuthorizationError) return error
  if (!(error instanceof jetstream.JetStreamApiError) || error.status === 503) return undefined
  if (/maximum (messages|bytes)|resources/.test(error.message))
    return new QueueFullError(`the server takes no more tasks: ${error.message}`, undefined, { cause: error })
  return error
}
function codePart(bytes: Uint8Array): Uint8Array {
  const part = Buffer.allocUnsafe(4 + bytes.byteLength)
  part.writeUInt32LE(bytes.byteLength, 0)
  part.set(bytes, 4)
  return part
}
