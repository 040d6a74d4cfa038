// The jobs of apply() and map(), and how they are settled: as a Task, or for a Sync call.
import { Job, type JobHost, type Settings } from './job'
import { openPromise, Task, type TaskSource } from './task'

import type { PoolFunction } from './unit'

/** What happens at the end of a job. User code is called from the event loop, in the context of the call. */
export interface Ending {
  callback: ((value: any) => void) | undefined
  errorCallback: ((error: unknown) => void) | undefined
}

/** A promise, and how it is settled. */
export interface Promised {
  readonly task: { settled(ok: boolean, value: unknown): void; handled(): void }
  resolve(value: unknown): void
  reject(error: unknown): void
}

abstract class Call extends Job implements TaskSource {
  protected readonly engine: JobHost
  #open: Promised | undefined
  readonly #ending: Ending
  /** For Sync calls. */
  outcome: { ok: boolean; value: unknown } | undefined

  constructor(engine: JobHost, fn: object, call: PoolFunction, settings: Settings, ending: Ending) {
    super(fn, call, settings)
    this.engine = engine
    this.#ending = ending
  }
  /** Settles it if there is nothing to wait for. */
  check(): void {}

  task(): Task<any> {
    const open = openPromise<Task<any>>(Task)
    open.task.adopt(this)
    this.#open = open
    return open.task
  }
  /** It settles this promise. */
  promise(open: Promised): void {
    this.#open = open
  }
  protected end(ok: boolean, value: unknown): void {
    if (this.over) return
    this.engine.finish(this)
    if (this.trace === undefined) this.#settle(ok, value)
    else this.trace.settle(ok, value, this.sync, () => this.#settle(ok, value))
  }
  #settle(ok: boolean, value: unknown): void {
    const open = this.#open
    const { callback, errorCallback } = this.#ending
    if (open === undefined) this.outcome = { ok, value }
    else {
      open.task.settled(ok, value)
      if (ok) open.resolve(value)
      else {
        if (errorCallback !== undefined) open.task.handled()
        open.reject(value)
      }
    }
    if (ok && callback !== undefined) process.nextTick(callback, value)
    if (!ok && errorCallback !== undefined) process.nextTick(errorCallback, value)
  }

  giveUp(error: unknown, handled: boolean): void {
    if (handled) this.#open?.task.handled()
    this.end(false, error)
  }
  cancel(error: unknown): boolean {
    if (this.over) return false
    this.end(false, error)
    this.engine.drop(this)
    return true
  }
  drive(done: () => boolean, timeout: number): boolean {
    return this.engine.drive(done, timeout)
  }
}

export class ApplyJob extends Call {
  itemDone(_item: number, value: unknown): void {
    this.end(true, value)
  }
  itemFailed(_item: number, error: unknown): void {
    this.end(false, error)
  }
}

/** A map, or anything else of which all results are wanted together: rejects with the first error by index, after all have ended. */
export class MapJob extends Call {
  readonly #length: number
  readonly #results: unknown[]
  #left: number
  #failed = -1
  #error: unknown

  constructor(engine: JobHost, fn: object, call: PoolFunction, settings: Settings, ending: Ending, length: number) {
    super(engine, fn, call, settings, ending)
    this.#length = length
    this.#results = new Array(length)
    this.#left = length
  }
  override check(): void {
    if (this.over || this.#left > 0) return
    if (this.#failed < 0) this.end(true, this.#results)
    else this.end(false, this.#error)
  }
  itemDone(item: number, value: unknown): void {
    this.#results[item] = value
    this.#less(1)
  }
  itemFailed(item: number, error: unknown): void {
    if (this.#failed < 0 || item < this.#failed) {
      this.#failed = item
      this.#error = error
    }
    this.#less(1)
  }
  override skipped(from: number, to: number): void {
    this.#less(to - from)
  }
  #less(items: number): void {
    this.#left -= items
    if (this.onProgress !== undefined && !this.#telling && !this.reported) {
      this.#telling = true
      process.nextTick(this.#tell)
    }
    if (this.#left === 0) this.check()
  }
  // Once for all items that have come together.
  #telling = false
  readonly #tell = (): void => {
    this.#telling = false
    if (!this.reported && (!this.over || this.#left === 0)) this.onProgress?.(this.#length - this.#left, this.#length)
  }
}
