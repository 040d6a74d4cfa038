// Which nodes are there: each says so once a second, and when it is asked.
import type { Msg } from '@nats-io/transport-node'
import type { Names } from './names'
import { type Failed, listen, type Nats, peers } from './nats'
import type { NodeInfo } from './node'

const BEAT_LOST_MS = 5000
/** Nodes that nobody knows yet are taken for so many workers. */
const GUESSED_WORKERS = 8

export class Presence {
  readonly #names: Names
  readonly #nodes = new Map<string, NodeInfo & { seen: number }>()
  #nats: Nats | undefined

  constructor(names: Names) {
    this.#names = names
  }
  open(nats: Nats, failed: Failed): void {
    this.#nats = nats
    listen(nats.nc, this.#names.beat('*'), (msg) => this.#beat(msg), failed)
    this.#ask(failed)
  }
  #ask(failed?: Failed): { unsubscribe(): void } {
    const { nc } = this.#nats!
    const inbox = peers().transport.createInbox()
    const subscription = listen(nc, inbox, (msg) => this.#beat(msg), failed)
    nc.publish(this.#names.ping, '', { reply: inbox })
    return subscription
  }
  #beat(msg: Msg): void {
    try {
      const info = msg.json<NodeInfo>()
      if (typeof info.id === 'string') this.#nodes.set(info.id, { ...info, seen: performance.now() })
    } catch {
      // Not a node of this version.
    }
  }

  /** Those that were heard of lately. */
  get nodes(): NodeInfo[] {
    const oldest = performance.now() - BEAT_LOST_MS
    for (const [id, { seen }] of this.#nodes) if (seen < oldest) this.#nodes.delete(id)
    return [...this.#nodes.values()]
  }
  /** How many workers these have. */
  get workers(): number {
    let workers = 0
    for (const { processes, draining } of this.nodes) if (!draining) workers += processes
    return workers || GUESSED_WORKERS
  }
  /** Those that were heard of lately, or answer within `ms`. */
  async present(ms: number): Promise<NodeInfo[]> {
    if (this.nodes.length === 0) {
      const subscription = this.#ask()
      await new Promise((resolve) => setTimeout(resolve, ms))
      subscription.unsubscribe()
    }
    return this.nodes
  }
}
