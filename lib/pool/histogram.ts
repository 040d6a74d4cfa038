// How long things took: buckets that grow by a quarter of each power of two, so that any value is known to about a tenth.
const STEPS = 4
const BUCKETS = 40 * STEPS

/** A distribution of times, in ms. Percentiles are right to about a tenth. */
export interface Summary {
  /** How many times were measured. */
  count: number
  /** ms, all of them. */
  min: number
  /** The mean, in ms. */
  mean: number
  /** Half of them took at most so long, in ms. */
  p50: number
  /** 90 of 100 took at most so long, in ms. */
  p90: number
  /** 99 of 100 took at most so long, in ms. */
  p99: number
  /** The longest, in ms. */
  max: number
}

export class Histogram {
  readonly #counts = new Uint32Array(BUCKETS)
  #count = 0
  #sum = 0
  #min = Number.POSITIVE_INFINITY
  #max = 0

  record(ms: number): void {
    const µs = ms * 1000
    const bucket = µs < 1 ? 0 : Math.min(BUCKETS - 1, Math.floor(Math.log2(µs) * STEPS) + 1)
    this.#counts[bucket]!++
    this.#count++
    this.#sum += ms
    if (ms < this.#min) this.#min = ms
    if (ms > this.#max) this.#max = ms
  }
  summary(): Summary {
    const count = this.#count
    if (count === 0) return { count, min: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 }
    const at = (share: number): number => Math.min(Math.max(this.#quantile(share), this.#min), this.#max)
    return { count, min: this.#min, mean: this.#sum / count, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: this.#max }
  }
  #quantile(share: number): number {
    const wanted = Math.ceil(share * this.#count)
    let seen = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]!
      if (seen >= wanted) return 2 ** ((bucket - 0.5) / STEPS) / 1000
    }
    return this.#max
  }
}
