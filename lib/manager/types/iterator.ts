// What a method of a served object gives when it is a generator: clients take its items in lots.
import { builtin } from '../served'

export type Iteration = (Iterator<unknown> | AsyncIterator<unknown>) & object

/** Items that a client takes at once. */
const LOT = 64

export class ServedIterator {
  readonly #iterator: Iteration
  #done = false
  constructor(iterator: Iteration) {
    this.#iterator = iterator
  }
  /** Up to a lot of items; the last lot says so. An asynchronous generator gives them one by one: they may be long in coming. */
  async next(): Promise<{ items: unknown[]; done: boolean }> {
    const items: unknown[] = []
    while (!this.#done && items.length < LOT) {
      const step = this.#iterator.next()
      const isAsync = step instanceof Promise
      const { done, value } = await step
      if (done === true) this.#done = true
      else items.push(value)
      if (isAsync) break
    }
    return { items, done: this.#done }
  }
  async return(): Promise<void> {
    if (this.#done) return
    this.#done = true
    await this.#iterator.return?.()
  }
}

export function iterated(iterator: Iteration): ServedIterator {
  return new ServedIterator(iterator)
}
export const ITERATOR = builtin(
  'Iterator',
  'next return',
  '',
  ([iterator]) => new ServedIterator(iterator as Iteration),
)
