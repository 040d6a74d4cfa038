// The answers of a node on their way to the results stream: those of one submitter that are there at once go as one message.
// An answer is sent again until the server has stored it.
import type { ResultHeader } from './frames'
import { packFrame, packParts } from './frames'
import { type Nats, putBlob } from './nats'

interface Batch {
  frames: Uint8Array[]
  bytes: number
  stored: (() => void)[]
}

const RETRY_MS = 250
const STORE_MS = 5000
const MOST_FRAMES = 512

export class Answers {
  readonly #nats: Nats
  readonly #node: string
  readonly #batches = new Map<string, Batch>()
  readonly #onWay = new Set<Promise<void>>()
  #soon = false
  #closed = false

  constructor(nats: Nats, node: string) {
    this.#nats = nats
    this.#node = node
  }

  /** `stored` is called when it cannot be lost any more. */
  add(session: string, header: ResultHeader, parts: Uint8Array[], stored: () => void): void {
    let packed = packParts(parts)
    if (packed.byteLength > this.#nats.mostInline) {
      const blob = `result.${session}.${header.unit}.${this.#node}`
      const bytes = packed
      this.#track(
        this.#until(() => putBlob(this.#nats, blob, bytes)).then(() => {
          packed = new Uint8Array()
          this.#add(session, packFrame({ ...header, blob }, [packed]), stored)
        }),
      )
    } else this.#add(session, packFrame(header, [packed]), stored)
  }
  #add(session: string, frame: Uint8Array, stored: () => void): void {
    let batch = this.#batches.get(session)
    if (
      batch !== undefined &&
      (batch.bytes + frame.byteLength > this.#nats.mostInline || batch.frames.length >= MOST_FRAMES)
    ) {
      this.#send(session, batch)
      batch = undefined
    }
    if (batch === undefined) {
      batch = { frames: [], bytes: 0, stored: [] }
      this.#batches.set(session, batch)
    }
    batch.frames.push(frame)
    batch.bytes += frame.byteLength
    batch.stored.push(stored)
    if (!this.#soon) {
      this.#soon = true
      setImmediate(() => this.#flush())
    }
  }
  #flush(): void {
    this.#soon = false
    for (const [session, batch] of this.#batches) this.#send(session, batch)
  }
  #send(session: string, { frames, stored }: Batch): void {
    this.#batches.delete(session)
    const bytes = frames.length === 1 ? frames[0]! : Buffer.concat(frames)
    const { js, names } = this.#nats
    this.#track(
      this.#until(() => js.publish(names.result(session), bytes, { timeout: STORE_MS })).then(() => {
        for (const one of stored) one()
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

  /** All answers are stored. */
  async flushed(): Promise<void> {
    this.#flush()
    while (this.#onWay.size > 0) await Promise.all(this.#onWay)
  }
  close(): void {
    this.#closed = true
  }
}
