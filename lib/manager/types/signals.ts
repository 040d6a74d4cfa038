// Event and Barrier as the server has them.
import { checkFunction, checkInteger, checkOptions } from '../../check'
import { BrokenBarrierError } from '../../errors'
import { type Call, Line, msOf } from '../call'
import { builtin, type ServedType } from '../served'

class ServedEvent {
  #set = false
  readonly #line = new Line<boolean>()
  isSet(): boolean {
    return this.#set
  }
  set(): void {
    this.#set = true
    for (const waiter of this.#line.all()) waiter.resolve(true)
  }
  clear(): void {
    this.#set = false
  }
  wait(call: Call, timeout?: unknown): boolean | Promise<boolean> {
    if (this.#set) return true
    const ms = msOf(timeout)
    return ms === 0 ? false : this.#line.wait(call, ms, undefined, () => false)
  }
}

/** Who leaves without an answer, by a time-out, an abort or its end, breaks it for all. */
class ServedBarrier {
  readonly parties: number
  readonly #action: (() => unknown) | undefined
  readonly #timeout: unknown
  #line = new Line<number, number>()
  broken = false

  constructor(parties: number, action: (() => unknown) | undefined, timeout: unknown) {
    this.parties = parties
    this.#action = action
    this.#timeout = timeout
  }
  get waiting(): number {
    return this.#line.size
  }
  wait(call: Call, timeout?: unknown): number | Promise<number> {
    if (this.broken) throw new BrokenBarrierError()
    const index = this.#line.size
    if (index + 1 === this.parties) return this.#open(index)
    const line = this.#line
    const late = (): never => {
      throw new BrokenBarrierError('the barrier was not full in time')
    }
    return line.wait(call, msOf(timeout ?? this.#timeout), index, late, () => this.#break(line))
  }
  #open(index: number): number | Promise<number> {
    const line = this.#line
    this.#line = new Line()
    const release = (): number => {
      for (const waiter of line.all()) waiter.resolve(waiter.data)
      return index
    }
    const failed = (error: unknown): never => {
      this.broken = true
      for (const waiter of line.all()) waiter.reject(new BrokenBarrierError('the action of the barrier has failed'))
      throw error
    }
    let done: unknown
    try {
      done = this.#action?.()
    } catch (error) {
      return failed(error)
    }
    return done instanceof Promise ? done.then(release, failed) : release()
  }
  #break(line: Line<number, number>): void {
    if (line !== this.#line) return
    this.broken = true
    for (const waiter of line.all()) waiter.reject(new BrokenBarrierError())
  }
  abort(): void {
    this.#break(this.#line)
  }
  reset(): void {
    const line = this.#line
    this.#line = new Line()
    this.broken = false
    for (const waiter of line.all()) waiter.reject(new BrokenBarrierError('the barrier was reset'))
  }
}

export const EVENT: ServedType = builtin('Event', 'isSet set clear wait', '', () => new ServedEvent(), { waits: true })
export const BARRIER: ServedType = builtin(
  'Barrier',
  'wait reset abort',
  'parties waiting broken',
  ([parties, options]) => {
    checkInteger('parties', parties, 1, 2 ** 31 - 1)
    checkOptions('options', options)
    const { action, timeout } = (options ?? {}) as { action?: unknown; timeout?: unknown }
    if (action !== undefined) checkFunction('options.action', action)
    return new ServedBarrier(parties, action, timeout)
  },
  { waits: true },
)
