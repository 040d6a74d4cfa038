// Who holds a task? A node that is given a task for the second time asks all others whether one of them still has it, before it runs
// it. Those who have it say so; that nobody has is known when nobody has said anything for a while. Questions that come up together
// go as one message: when a node dies, all of its tasks come at once.
import type { Msg } from '@nats-io/transport-node'
import { listen, type Nats, peers } from './nats'

const ASK_MS = 1000
const TOGETHER_MS = 5
const MOST_IDS = 500

export class Holders {
  readonly #nats: Nats
  readonly #holds: (id: string) => boolean
  readonly #inbox = peers().transport.createInbox()
  /** By id: what to tell who asks. */
  readonly #asked = new Map<string, (held: boolean) => void>()
  #ids: string[] = []

  /** `holds`: does this node have it? */
  constructor(nats: Nats, holds: (id: string) => boolean) {
    this.#nats = nats
    this.#holds = holds
    listen(nats.nc, nats.names.holder, (msg) => this.#answer(msg))
    listen(nats.nc, this.#inbox, (msg) => {
      for (const id of idsOf(msg)) this.#known(id, true)
    })
  }
  #answer(msg: Msg): void {
    const held = idsOf(msg).filter(this.#holds)
    if (held.length > 0) msg.respond(JSON.stringify(held))
  }
  #known(id: string, held: boolean): void {
    const tell = this.#asked.get(id)
    this.#asked.delete(id)
    tell?.(held)
  }

  /** Does another node hold it? */
  elsewhere(id: string): Promise<boolean> {
    return new Promise((resolve) => {
      this.#asked.set(id, resolve)
      this.#ids.push(id)
      if (this.#ids.length === 1) setTimeout(() => this.#ask(), TOGETHER_MS)
      else if (this.#ids.length === MOST_IDS) this.#ask()
    })
  }
  #ask(): void {
    const ids = this.#ids
    this.#ids = []
    if (ids.length === 0) return
    if (!this.#nats.nc.isClosed())
      this.#nats.out.publish(this.#nats.names.holder, JSON.stringify(ids), { reply: this.#inbox })
    setTimeout(() => {
      for (const id of ids) this.#known(id, false)
    }, ASK_MS)
  }
}

function idsOf(msg: Msg): string[] {
  try {
    const ids = msg.json<unknown>()
    return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : []
  } catch {
    return []
  }
}
