// Queue and JoinableQueue as the server has them. What is put is there for good, whoever dies; who waits is served in turn.
import { checkBoolean, checkInteger, checkOptions } from '../../check'
import { QueueEmptyError, QueueFullError, ShutDownError, StateError } from '../../errors'
import { type Call, Line, msOf } from '../call'
import { builtin, type ServedType } from '../served'

const NONE: unique symbol = Symbol('none')

class ServedQueue {
  readonly #maxSize: number
  #items: unknown[] = []
  #first = 0
  #unfinished = 0
  #shutDown = false
  readonly #getters = new Line<unknown>()
  readonly #putters = new Line<void, unknown>()
  readonly #joiners = new Line<boolean>()

  constructor(maxSize: number) {
    this.#maxSize = maxSize
  }
  qsize(): number {
    return this.#items.length - this.#first
  }
  empty(): boolean {
    return this.qsize() === 0
  }
  full(): boolean {
    return this.#maxSize > 0 && this.qsize() >= this.#maxSize
  }

  put(call: Call, value: unknown, timeout?: unknown): void | Promise<void> {
    if (this.#shutDown) throw down()
    if (!this.full()) return this.#add(value)
    const ms = msOf(timeout)
    const late = (): never => {
      throw new QueueFullError()
    }
    return ms === 0 ? late() : this.#putters.wait(call, ms, value, late)
  }
  tryPut(_call: Call, value: unknown): boolean {
    if (this.#shutDown) throw down()
    if (this.full()) return false
    this.#add(value)
    return true
  }
  async putMany(call: Call, values: Iterable<unknown>, timeout?: unknown): Promise<void> {
    const deadline = performance.now() + msOf(timeout)
    for (const value of values) await this.put(call, value, Math.max(0, deadline - performance.now()))
  }
  #add(value: unknown): void {
    this.#unfinished++
    const getter = this.#getters.first()
    if (getter !== undefined) getter.resolve(value)
    else this.#items.push(value)
  }

  get(call: Call, timeout?: unknown): unknown {
    const value = this.#take()
    if (value !== NONE) return value
    if (this.#shutDown) throw down()
    const ms = msOf(timeout)
    const late = (): never => {
      throw new QueueEmptyError()
    }
    return ms === 0 ? late() : this.#getters.wait(call, ms, undefined, late)
  }
  tryGet(): unknown {
    const value = this.#take()
    if (value !== NONE) return value
    if (this.#shutDown) throw down()
    return undefined
  }
  /** Waits for the first one only. */
  async getMany(call: Call, most: unknown = 2 ** 31 - 1, timeout?: unknown): Promise<unknown[]> {
    checkInteger('most', most, 1, 2 ** 31 - 1)
    const values = [await this.get(call, timeout)]
    while (values.length < most) {
      const value = this.#take()
      if (value === NONE) break
      values.push(value)
    }
    return values
  }
  #take(): unknown {
    if (this.#first === this.#items.length) return NONE
    const value = this.#items[this.#first]
    this.#items[this.#first++] = undefined
    if (this.#first > 1024 && this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
    const putter = this.#putters.first()
    if (putter !== undefined) {
      this.#add(putter.data)
      putter.resolve()
    }
    return value
  }

  taskDone(): void {
    if (this.#unfinished === 0)
      throw new StateError('taskDone() was called more often than put()', 'ERR_MP_TASK_DONE_TOO_OFTEN')
    if (--this.#unfinished === 0) for (const joiner of this.#joiners.all()) joiner.resolve(true)
  }
  join(call: Call, timeout?: unknown): boolean | Promise<boolean> {
    if (this.#unfinished === 0) return true
    const ms = msOf(timeout)
    return ms === 0 ? false : this.#joiners.wait(call, ms, undefined, () => false)
  }

  shutdown(_call: Call, options?: unknown): void {
    checkOptions('options', options)
    const { immediate = false } = (options ?? {}) as { immediate?: unknown }
    checkBoolean('options.immediate', immediate)
    this.#shutDown = true
    if (immediate) {
      this.#unfinished -= this.qsize()
      this.#items = []
      this.#first = 0
      if (this.#unfinished <= 0) for (const joiner of this.#joiners.all()) joiner.resolve(true)
    }
    for (const waiter of [...this.#getters.all(), ...this.#putters.all()]) waiter.reject(down())
  }
}
function down(): ShutDownError {
  return new ShutDownError('this queue of a manager was shut down')
}

function queue(type: string, more: string): ServedType {
  const make = ([options]: readonly unknown[]): ServedQueue => {
    const { maxSize = 0 } = (typeof options === 'number' ? { maxSize: options } : (options ?? {})) as {
      maxSize?: unknown
    }
    checkInteger('options.maxSize', maxSize, 0, 2 ** 31 - 1)
    return new ServedQueue(maxSize)
  }
  const methods = `put tryPut putMany get tryGet getMany qsize empty full shutdown ${more}`.trim()
  return builtin(type, methods, '', make, { waits: true })
}
export const QUEUE = queue('Queue', '')
export const JOINABLE_QUEUE = queue('JoinableQueue', 'taskDone join')
