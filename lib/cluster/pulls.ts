// Asking the server for tasks: a few pull requests for each level of priority, so that there are as many asked for as this node
// has room for, and no more.
//
// A request is over when its messages have come, when the server says so (a status message at its own address), or when it has
// been silent for too long.
import type { Msg, Subscription } from '@nats-io/transport-node'
import { LEVELS, type Level } from './names'
import { type Nats, peers } from './nats'
import type { Outgoing } from './outgoing'

interface Pull {
  readonly token: string
  left: number
  readonly until: number
}

/** A task as the server has given it; it is acknowledged at the address that it came with. */
export class Delivery {
  readonly data: Uint8Array
  /** How often the server has given it to somebody: 1, and one more for each time that it had to again. */
  readonly count: number
  readonly #out: Outgoing
  readonly #reply: string

  // $JS.ACK.[domain.account.]stream.consumer.count.stream sequence.consumer sequence.time.pending[.random]
  constructor(out: Outgoing, msg: Msg) {
    this.#out = out
    this.data = msg.data
    this.#reply = msg.reply!
    const words = this.#reply.split('.')
    this.count = Math.max(1, Number(words[words.length > 9 ? 6 : 4]) || 1)
  }
  /** Done: the server forgets it. */
  ack(): void {
    this.#out.later(this.#reply, '+ACK')
  }
  /** Nobody else is to have it for `lostAfter` ms. */
  working(): void {
    this.#out.publish(this.#reply, '+WPI')
  }
  /** Nobody can do it. */
  refuse(): void {
    this.#out.publish(this.#reply, '+TERM')
  }
}

interface LevelState {
  readonly inbox: string
  pulls: Pull[]
  notBefore: number
}

/** Shorter than `lostAfter`: what a node that cannot be reached has asked for is over when its tasks are given to others. */
const EXPIRES_MS = 5000
const PATIENCE_MS = 2000
const RETRY_MS = 250
const NANOS = 1_000_000

export class Pulls {
  readonly #nats: Nats
  readonly #room: () => number
  readonly #received: (msg: Delivery) => void
  readonly #levels = new Map<Level, LevelState>()
  readonly #subscriptions: Subscription[] = []
  readonly #expires: number
  #count = 0
  #over = false
  #asking = false

  /** `room`: for how many tasks there is room now. */
  constructor(nats: Nats, room: () => number, received: (msg: Delivery) => void) {
    this.#nats = nats
    this.#room = room
    this.#expires = Math.min(EXPIRES_MS, nats.lostAfter / 2)
    this.#received = received
    const { createInbox } = peers().transport
    for (const level of LEVELS) {
      const inbox = createInbox()
      this.#levels.set(level, { inbox, pulls: [], notBefore: 0 })
      this.#subscriptions.push(
        nats.nc.subscribe(`${inbox}.*`, {
          callback: (error, msg) => {
            if (!error) this.#take(level, msg)
          },
        }),
      )
    }
  }

  /**
   * Asks for as many as there is room for: first for those of high priority; for others when these have had the time to come, and
   * there is still room.
   */
  want(): void {
    if (this.#asking || this.#over) return
    this.#asking = true
    void this.#ask().finally(() => (this.#asking = false))
  }
  async #ask(): Promise<void> {
    let asked = false
    for (const [level, state] of this.#levels) {
      if (this.#missing(state) === 0) continue
      if (asked) await this.#nats.nc.flush().catch(() => {})
      const more = this.#missing(state)
      if (more === 0 || this.#over) continue
      asked = true
      const token = String(++this.#count)
      state.pulls.push({ token, left: more, until: performance.now() + this.#expires + PATIENCE_MS })
      this.#nats.out.publish(
        `$JS.API.CONSUMER.MSG.NEXT.${this.#nats.names.tasks}.${level}`,
        JSON.stringify({ batch: more, expires: this.#expires * NANOS }),
        { reply: `${state.inbox}.${token}` },
      )
    }
  }
  /** How many to ask for at this level; not one by one where there is room for many. */
  #missing(state: LevelState): number {
    const room = this.#room()
    const now = performance.now()
    if (room <= 0 || now < state.notBefore) return 0
    state.pulls = state.pulls.filter(({ left, until }) => left > 0 && until > now)
    let asked = 0
    for (const { left } of state.pulls) asked += left
    const more = room - asked
    return more < 1 || (asked > 0 && more < room / 2) ? 0 : more
  }
  #take(level: Level, msg: Msg): void {
    const state = this.#levels.get(level)!
    const code = msg.headers?.code ?? 0
    if (code === 0 || msg.reply?.startsWith('$JS.ACK')) {
      const oldest = state.pulls.find(({ left }) => left > 0)
      if (oldest !== undefined) oldest.left--
      this.#received(new Delivery(this.#nats.out, msg))
      return
    }
    if (code === 100) return
    // 404, 408: nothing came. Others: the server is not ready.
    if (code !== 404 && code !== 408) state.notBefore = performance.now() + RETRY_MS
    const token = msg.subject.slice(state.inbox.length + 1)
    state.pulls = state.pulls.filter((pull) => pull.token !== token)
    this.want()
  }
  /** The connection is a new one: what was asked for on the old one never comes. */
  forget(): void {
    for (const state of this.#levels.values()) state.pulls = []
  }
  /** Asks for no more, and takes what is on its way. */
  async drain(): Promise<void> {
    this.#over = true
    await Promise.all(this.#subscriptions.map((subscription) => subscription.drain()))
  }
}
