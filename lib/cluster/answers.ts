// The answers of a node on their way: those of one submitter that are there at once go as one message, straight to it. Where it
// does not say soon that they have come, and where somebody may ask for them later, they go to the results stream, again and again
// until the server has stored them.
import type { ResultHeader } from './frames'
import { packFrame, packParts } from './frames'
import { type Nats, putBlob } from './nats'

interface Batch {
  readonly session: string
  readonly keep: boolean
  frames: Uint8Array[]
  bytes: number
  over: (() => void)[]
}

const RETRY_MS = 250
/** A submitter that does not answer within this is busy, or gone. */
const GOT_MS = 250
const MOST_FRAMES = 512

export class Answers {
  readonly #nats: Nats
  readonly #node: string
  readonly #flushed: () => void
  readonly #batches = new Map<string, Batch>()
  readonly #onWay = new Set<Promise<void>>()
  #soon = false
  #closed = false

  /** `flushed`: what was there has been sent. */
  constructor(nats: Nats, node: string, flushed: () => void) {
    this.#nats = nats
    this.#node = node
    this.#flushed = flushed
  }

  /** There is something that will be sent in a moment. */
  get pending(): boolean {
    return this.#soon
  }
  /** `over` is called when it cannot be lost any more. `keep`: it is stored in any case. */
  add(session: string, keep: boolean, header: ResultHeader, parts: Uint8Array[], over: () => void): void {
    const packed = packParts(parts)
    if (packed.byteLength <= this.#nats.mostInline) {
      this.#add(session, keep, packFrame(header, [packed]), over)
      return
    }
    const blob = `result.${session}.${header.unit}.${this.#node}`
    this.#track(
      this.#until(() => putBlob(this.#nats, blob, packed)).then(() =>
        this.#add(session, keep, packFrame({ ...header, blob }, []), over),
      ),
    )
  }
  #add(session: string, keep: boolean, frame: Uint8Array, over: () => void): void {
    const key = `${keep ? 'k' : 'a'}${session}`
    let batch = this.#batches.get(key)
    if (
      batch !== undefined &&
      (batch.bytes + frame.byteLength > this.#nats.mostInline || batch.frames.length >= MOST_FRAMES)
    ) {
      this.#send(batch)
      batch = undefined
    }
    if (batch === undefined) {
      batch = { session, keep, frames: [], bytes: 0, over: [] }
      this.#batches.set(key, batch)
    }
    batch.frames.push(frame)
    batch.bytes += frame.byteLength
    batch.over.push(over)
    if (!this.#soon) {
      this.#soon = true
      setImmediate(() => this.#flush())
    }
  }
  #flush(): void {
    this.#soon = false
    const batches = [...this.#batches.values()]
    this.#batches.clear()
    for (const batch of batches) this.#send(batch)
    this.#flushed()
  }
  #send({ session, keep, frames, over }: Batch): void {
    const bytes = frames.length === 1 ? frames[0]! : Buffer.concat(frames)
    const { out, names } = this.#nats
    const store = (): Promise<void> => this.#until(() => out.store(names.result(session), bytes))
    const sent = keep ? store() : out.request(names.answer(session), bytes, GOT_MS).then(() => {}, store)
    this.#track(
      sent.then(() => {
        for (const one of over) one()
      }),
    )
  }
  async #until(attempt: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await attempt()
        return
      } catch (error) {
        if (this.#closed || this.#nats.nc.isClosed()) throw error
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  }
  #track(sending: Promise<void>): void {
    const settled = sending.catch(() => {}).finally(() => this.#onWay.delete(settled))
    this.#onWay.add(settled)
  }

  /** None of them can be lost any more. */
  async flushed(): Promise<void> {
    this.#flush()
    while (this.#onWay.size > 0) await Promise.all(this.#onWay)
  }
  close(): void {
    this.#closed = true
  }
}
