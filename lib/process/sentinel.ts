// What wait() takes to learn of the end of a process.

/** The end of a process, for `wait()`. Stays usable after the process has ended. */
export class Sentinel {
  readonly #source: SentinelSource
  /** @internal */
  constructor(source: SentinelSource) {
    this.#source = source
  }
  /** @internal How wait() looks behind a sentinel. */
  static sourceOf(sentinel: Sentinel): SentinelSource {
    return sentinel.#source
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `<Sentinel pid=${this.#source.pid} ${this.#source.poll() ? 'ended' : 'running'}>`
  }
}

export interface SentinelSource {
  readonly pid: number | undefined
  /** Has it ended? Asks the system; does not block. */
  poll(): boolean
  /** Blocks until it has ended (true) or `timeout` ms are over (false). */
  wait(timeout: number): boolean
  /** Calls back once, when it has ended, and keeps the event loop alive until then. Returns how to stop that. */
  whenEnded(callback: () => void): () => void
}
