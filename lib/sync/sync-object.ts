// How threads wait for what is granted to them in a monitor's cell, blocking or by promises; and what all of these objects
// have in common besides: closing, inspection, travelling to other processes.
//
//   block()      sleeps on the cell's state word; the one who grants wakes
//   waitAsync()  joins the cell's queue of promises; the one who grants rings, serveCell() resolves them
//
// Both end a wait in one entry into the monitor: a grant comes before, and is used, or it finds the waiter gone.
import { type InspectOptions, inspect } from 'node:util'
import { binding } from '../binding'
import { ClosedError, SerializationError, StateError } from '../errors'
import { type BlockHandle, drop, handleOf } from '../memory'
import { registerShared, SHARED } from '../serialize/shared'
import { type CellQueue, forgetIfEmpty, queueOf, queuesOf, serve, type Waiter } from './cell-queues'
import { inheritedWait } from './inherited'
import { CLOSED_WORDS, Monitor, STATE, WAITING } from './monitor'

export abstract class SyncObject extends Monitor {
  /**
   * @internal Blocks until the cell has a grant, and takes it: its result; null after a time-out, when nothing was taken.
   * Outside of the monitor.
   */
  protected block(cell: number, timeout: number, watched = false): number | null {
    const deadline = performance.now() + timeout
    for (;;) {
      let woken: number
      try {
        const left = Math.max(0, deadline - performance.now())
        woken = binding().cellWait(this.offsetOf(cell), left, watched ? this.offset : 0)
      } catch (deadlock) {
        this.enter()
        const granted = this.take(cell)
        if (granted === null) this.endWait(cell)
        this.exit()
        if (granted !== null) return granted
        throw deadlock
      }
      this.enter()
      this.look(cell)
      const result = this.take(cell)
      if (result === null && woken >= 2) this.endWait(cell)
      this.exit()
      if (result !== null || woken === 2) return result
      if (woken === 3) throw new StateError('the thread is being terminated', 'ERR_MP_TERMINATED')
    }
  }

  /**
   * @internal Waits as a promise in this owner's asynchronous cell, after beginWait() and outside of the monitor. `given`
   * gets the result, or null after a time-out; an abort rejects. Neither has taken anything.
   */
  protected waitAsync<R>(
    cell: number,
    timeout: number,
    signal: AbortSignal | undefined,
    given: (result: number | null) => R,
  ): Promise<R> {
    const queue = queueOf(this, cell, this.offsetOf(cell))
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const settle = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      const waiter: Waiter = {
        granted(result) {
          settle()
          resolve(given(result))
        },
        closed: () => {
          settle()
          reject(new ClosedError(`${this.label()} was closed`))
        },
        forked: () => {
          settle()
          reject(inheritedWait(this.label()))
        },
      }
      // One entry into the monitor: a grant either comes before, and is used, or finds this waiter gone.
      const leave = (): boolean => {
        this.enter()
        this.look(cell)
        const served = this.#collect(queue)
        const index = queue.waiters.indexOf(waiter)
        if (index >= 0) {
          queue.waiters.splice(index, 1)
          this.endWait(cell)
        }
        this.exit()
        forgetIfEmpty(queue)
        for (const [other, result] of served) other.granted(result)
        if (index >= 0) settle()
        return index >= 0
      }
      const onAbort = (): void => {
        if (leave()) reject(signal!.reason)
      }
      queue.waiters.push(waiter)
      signal?.addEventListener('abort', onAbort, { once: true })
      if (timeout < 2 ** 31)
        timer = setTimeout(() => {
          if (leave()) resolve(given(null))
        }, timeout)
      if (Atomics.load(this.words, this.at(cell) + STATE) !== WAITING) setImmediate(serve)
    })
  }

  /** @internal Gives the cell's grants to the promises that wait in it. */
  serveCell(queue: CellQueue): void {
    if (queue.waiters.length === 0 || Atomics.load(this.words, this.at(queue.cell) + STATE) === WAITING) return
    this.enter()
    this.look(queue.cell)
    const served = this.#collect(queue)
    this.exit()
    forgetIfEmpty(queue)
    for (const [waiter, result] of served) waiter.granted(result)
  }

  #collect(queue: CellQueue): [Waiter, number][] {
    const served: [Waiter, number][] = []
    while (queue.waiters.length > 0) {
      const result = this.take(queue.cell)
      if (result === null) break
      served.push([queue.waiters.shift()!, result])
    }
    return served
  }

  // ---- as all shared objects ------------------------------------------------------------------------------------------------------

  /** Lets go of the shared memory now rather than at the next garbage collection. Releases nothing. */
  close(): void {
    if (this.words === CLOSED_WORDS) return
    for (const queue of queuesOf(this.offset)) {
      const waiters = queue.waiters.splice(0)
      this.enter()
      this.step({}, queue.cell, { want: 0 })
      this.exit()
      forgetIfEmpty(queue)
      for (const waiter of waiters) waiter.closed()
    }
    this.words = CLOSED_WORDS
    this.base = 0
    drop(this, this.offset)
  }
  /** As close(), for `using`. Releases nothing. */
  [Symbol.dispose](): void {
    this.close()
  }
  /** What it is called; the memory behind it is nobody's business. */
  toJSON(): object {
    return { type: this.constructor.name, ...(this.name !== undefined && { name: this.name }) }
  }
  [inspect.custom](_depth: number, options: InspectOptions): string {
    const name = this.name === undefined ? {} : { name: this.name }
    const state = this.words === CLOSED_WORDS ? { closed: true } : { ...name, ...this.shown() }
    return `${this.constructor.name} ${inspect(state, options)}`
  }
  /** @internal */
  protected abstract shown(): object
  /** @internal */
  get closed(): boolean {
    return this.words === CLOSED_WORDS
  }
  /** @internal */
  protected checkOpen(): void {
    if (this.words === CLOSED_WORDS) throw new ClosedError(`${this.label()} is closed`)
  }
  /** @internal What a message carries. */
  travel(hold: (offset: number) => void): SyncTicket {
    this.checkOpen()
    hold(this.offset)
    return { ...handleOf(this.offset), ...(this.name !== undefined && { name: this.name }) }
  }
}

export interface SyncTicket extends BlockHandle {
  name?: string
}

/** Registers how a class of these objects travels. `write` adds to what a message carries, `read` builds from it. */
export function registerSync<T extends SyncObject>(
  tag: string,
  C: { prototype: T },
  write: (object: T, ticket: SyncTicket) => object,
  read: (data: any) => T,
): void {
  Object.defineProperty(C.prototype, SHARED, { value: tag })
  registerShared(tag, {
    write: (object: T, hold) => write(object, object.travel(hold)),
    read(data) {
      if (!Number.isSafeInteger(data?.offset) || !Number.isSafeInteger(data.generation))
        throw new SerializationError(`a received ${tag} is malformed`)
      return read(data)
    },
  })
}
