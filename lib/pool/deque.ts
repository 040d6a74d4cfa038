// A queue with cheap ends, and one of these for each priority.

export class Deque<T> {
  #items: (T | undefined)[] = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }
  get first(): T | undefined {
    return this.#items[this.#head]
  }
  get last(): T | undefined {
    return this.length === 0 ? undefined : this.#items[this.#items.length - 1]
  }
  push(item: T): void {
    this.#items.push(item)
  }
  pop(): T | undefined {
    return this.length === 0 ? undefined : this.#items.pop()
  }
  unshift(item: T): void {
    if (this.#head > 0) this.#items[--this.#head] = item
    else this.#items.unshift(item)
  }
  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined
    if (this.#head === this.#items.length) {
      this.#items.length = 0
      this.#head = 0
    } else if (this.#head >= 1024 && this.#head * 2 > this.#items.length) {
      this.#items.splice(0, this.#head)
      this.#head = 0
    }
    return item
  }
  /** Takes out what is not to be kept. */
  filter(keep: (item: T) => boolean): void {
    this.#items = (this.#items.slice(this.#head) as T[]).filter(keep)
    this.#head = 0
  }
  *[Symbol.iterator](): Iterator<T> {
    for (let k = this.#head; k < this.#items.length; k++) yield this.#items[k] as T
  }
}

export class PriorityQueue<T> {
  readonly #levels = new Map<number, Deque<T>>()
  /** Highest first. */
  #order: number[] = []
  length = 0

  push(item: T, priority: number): void {
    this.#level(priority).push(item)
    this.length++
  }
  /** Back to where it came from: before all others of its priority. */
  unshift(item: T, priority: number): void {
    this.#level(priority).unshift(item)
    this.length++
  }
  shift(): T | undefined {
    if (this.length === 0) return undefined
    for (const priority of this.#order) {
      const level = this.#levels.get(priority)!
      const item = level.shift()
      if (item === undefined) continue
      this.length--
      if (level.length === 0 && priority !== 0) {
        this.#levels.delete(priority)
        this.#order = this.#order.filter((p) => p !== priority)
      }
      return item
    }
    return undefined
  }
  filter(keep: (item: T) => boolean): void {
    this.length = 0
    for (const level of this.#levels.values()) {
      level.filter(keep)
      this.length += level.length
    }
  }
  #level(priority: number): Deque<T> {
    let level = this.#levels.get(priority)
    if (level === undefined) {
      level = new Deque()
      this.#levels.set(priority, level)
      this.#order = [...this.#levels.keys()].sort((a, b) => b - a)
    }
    return level
  }
}
