// What is said to the server, in as few writes as may be: a write costs more than all else that a small message costs.
//
//   publish, request, store ─▶ at once, and with it what was put off
//   later                   ─▶ with the next of those, or after a moment: what nobody waits for
//
// The client's own requests make an Error and a timer for each; these share an inbox and one timer.
import type { JetStreamApiError } from '@nats-io/jetstream'
import type { Msg, MsgHdrs, NatsConnection, Subscription } from '@nats-io/transport-node'
import { peers } from './nats'

/** What a stream says of a message that it has stored. */
export interface Stored {
  seq: number
  /** It was stored before. */
  duplicate: boolean
}
interface Waiting {
  readonly subject: string
  readonly until: number
  readonly resolve: (msg: Msg) => void
  readonly reject: (error: unknown) => void
}

const LATER_MS = 3
const STORE_MS = 5000
const SWEEP_MS = 100
const NOBODY = 503

/** Nobody has answered, or the connection was a new one by then. */
export class Unanswered extends Error {}

export class Outgoing {
  readonly #nc: NatsConnection
  readonly #inbox = peers().transport.createInbox()
  readonly #waiting = new Map<string, Waiting>()
  #subscription: Subscription | undefined
  #count = 0
  #later: [subject: string, data: Uint8Array | string][] = []
  #timer: NodeJS.Timeout | undefined
  #sweeper: NodeJS.Timeout | undefined

  constructor(nc: NatsConnection) {
    this.#nc = nc
  }

  publish(subject: string, data: Uint8Array | string, options?: { reply?: string; headers?: MsgHdrs }): void {
    if (this.#later.length > 0) this.flush()
    this.#nc.publish(subject, data, options)
  }
  later(subject: string, data: Uint8Array | string): void {
    this.#later.push([subject, data])
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.flush()
    }, LATER_MS)
  }
  /** Says what was put off. */
  flush(): void {
    const later = this.#later
    this.#later = []
    if (!this.#nc.isClosed()) for (const [subject, data] of later) this.#nc.publish(subject, data)
  }

  /** Rejects with Unanswered after `timeout` ms, or at once where nobody listens; with what the server has against it. */
  request(subject: string, data: Uint8Array, timeout: number, headers?: MsgHdrs): Promise<Msg> {
    this.#subscription ??= this.#nc.subscribe(`${this.#inbox}.*`, { callback: (_error, msg) => this.#answered(msg) })
    const token = String(++this.#count)
    return new Promise((resolve, reject) => {
      this.#waiting.set(token, { subject, until: performance.now() + timeout, resolve, reject })
      this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref()
      const reply = `${this.#inbox}.${token}`
      try {
        this.publish(subject, data, headers === undefined ? { reply } : { reply, headers })
      } catch (error) {
        this.#waiting.delete(token)
        reject(error)
      }
    })
  }
  /** Stores it in a stream, once for each `id`. Rejects with Unanswered, JetStreamApiError. */
  async store(subject: string, data: Uint8Array, id?: string): Promise<Stored> {
    let headers: MsgHdrs | undefined
    if (id !== undefined) {
      headers = peers().transport.headers()
      headers.set('Nats-Msg-Id', id)
    }
    const answer = await this.request(subject, data, STORE_MS, headers)
    const said = answer.json<{ seq?: number; duplicate?: boolean; error?: unknown }>()
    if (said.error !== undefined)
      throw new (peers().jetstream.JetStreamApiError)(said.error as ConstructorParameters<typeof JetStreamApiError>[0])
    return { seq: said.seq ?? 0, duplicate: said.duplicate === true }
  }
  #answered(msg: Msg | undefined): void {
    const token = msg?.subject.slice(this.#inbox.length + 1) ?? ''
    const waiting = this.#waiting.get(token)
    if (waiting === undefined) return
    this.#waiting.delete(token)
    if (msg!.data.length === 0 && msg!.headers?.code === NOBODY)
      waiting.reject(new Unanswered(`nobody listens to ${waiting.subject}`))
    else waiting.resolve(msg!)
  }
  #sweep(): void {
    const now = performance.now()
    this.#rejectThose(({ until }) => until <= now, new Unanswered('no answer came in time'))
    if (this.#waiting.size > 0) return
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }
  #rejectThose(which: (waiting: Waiting) => boolean, error: unknown): void {
    for (const [token, waiting] of this.#waiting) {
      if (!which(waiting)) continue
      this.#waiting.delete(token)
      waiting.reject(error)
    }
  }
  /** The connection is a new one: answers to what was said on the old one may never come. */
  reconnected(): void {
    this.#rejectThose(() => true, new Unanswered('the connection was lost'))
  }
  /** The server does not let us say this. */
  refused(error: Error): void {
    const { operation, subject } = error as { operation?: unknown; subject?: unknown }
    if (operation === 'publish') this.#rejectThose((waiting) => waiting.subject === subject, error)
  }
  close(): void {
    clearTimeout(this.#timer)
    clearInterval(this.#sweeper)
    this.#rejectThose(() => true, new Unanswered('the connection was closed'))
  }
}
