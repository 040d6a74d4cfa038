// How a pool's streams, consumers and subjects are called. All of a pool's subjects begin with its name, so that the permissions
// of a NATS account can be given for each pool alone.
import { checkString, invalidValue } from '../check'

/** Priorities on the server: JetStream's streams are queues, so each has a consumer of its own. */
export const LEVELS = ['high', 'normal', 'low'] as const
export type Level = (typeof LEVELS)[number]
export function levelOf(priority: number): Level {
  return priority > 0 ? 'high' : priority < 0 ? 'low' : 'normal'
}

const NAME = /^[A-Za-z0-9_-]{1,64}$/

export class Names {
  readonly pool: string
  /** Streams, and the bucket of the object store. */
  readonly tasks: string
  readonly results: string
  readonly bucket: string
  readonly #prefix: string

  constructor(pool: string) {
    this.pool = pool
    this.#prefix = `multiproc.${pool}`
    this.tasks = `multiproc_${pool}_tasks`
    this.results = `multiproc_${pool}_results`
    this.bucket = `multiproc_${pool}`
  }
  task(level: Level | '*', session: string): string {
    return `${this.#prefix}.task.${level}.${session}`
  }
  result(session: string): string {
    return `${this.#prefix}.result.${session}`
  }
  /** Answers that are not stored. */
  answer(session: string): string {
    return `${this.#prefix}.answer.${session}`
  }
  progress(session: string): string {
    return `${this.#prefix}.progress.${session}`
  }
  /** What a node says of itself, each second. */
  beat(node: string): string {
    return `${this.#prefix}.beat.${node}`
  }
  /** All nodes answer with what they say of themselves. */
  get ping(): string {
    return `${this.#prefix}.ping`
  }
  get cancel(): string {
    return `${this.#prefix}.cancel`
  }
  /** Who holds this task? Whoever does answers. */
  get holder(): string {
    return `${this.#prefix}.holder`
  }
  broadcast(node: string): string {
    return `${this.#prefix}.broadcast.${node}`
  }
}

export function checkName(name: string, value: unknown): asserts value is string {
  checkString(name, value)
  if (!NAME.test(value)) throw invalidValue(name, 'letters, digits, _ and - only, at most 64', value)
}
