// Whose turn it is to send: the calls of this thread on one object, in the order in which they were made.
//
//   send()  packs during the call · nobody before it and room: sent before the promise is returned
//           else it waits in line; whoever is first in line tries again when there may be room
import { setImmediate } from 'node:timers/promises'
import { type MultiprocError, StateError } from '../errors'
import { here } from '../memory'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import type { Outlet, Packed } from './ends'

interface Sender {
  /** Messages in their order; those before `next` are sent. */
  readonly packed: readonly Packed[]
  next: number
  sent(): void
  failed(error: unknown): void
}

/** After so many messages that were sent at once the event loop has its turn: timers and sockets must not starve. */
const TURN = 256

export class Outgoing {
  readonly outlet: Outlet
  readonly #busy: () => string
  readonly #late: () => Error
  #calls: Sender[] = []
  #fork = here.forks
  #stop: (() => void) | undefined
  #run = 0

  /** `label`: of the object; `late`: makes the error of a time-out. */
  constructor(outlet: Outlet, label: () => string, late: () => Error) {
    this.outlet = outlet
    this.#busy = label
    this.#late = late
  }

  /** The calls that wait. Those of a parent wait there, and send there: in a forked child they are never settled. */
  get #line(): Sender[] {
    if (this.#fork !== here.forks) {
      this.#fork = here.forks
      this.#calls = []
      this.#stop = undefined
    }
    return this.#calls
  }

  get waiting(): number {
    return this.#line.length
  }

  async send(content: unknown, raw: boolean, options?: WaitOptions): Promise<void> {
    const { timeout, signal } = asyncWait(options)
    signal?.throwIfAborted()
    const packed = this.#line.length === 0 ? this.outlet.put(content, raw) : this.outlet.pack(content, raw)
    if (packed === true) {
      if (++this.#run % TURN === 0) await setImmediate()
      return
    }
    if (timeout === 0) {
      this.outlet.discard(packed)
      throw this.#late()
    }
    await this.#wait([packed], timeout, signal)
  }

  /**
   * Sends values one after the other, behind those that wait: all are serialised during the call. What cannot be sent throws when
   * all before it have been sent. `failed` makes the error, told how many were sent.
   */
  async sendMany(
    values: readonly unknown[],
    options: WaitOptions | undefined,
    failed: (error: unknown, sent: number) => unknown,
  ): Promise<void> {
    const { timeout, signal } = asyncWait(options)
    const packed: Packed[] = []
    let failure: { error: unknown } | undefined
    for (const value of values)
      try {
        packed.push(this.outlet.pack(value, false))
      } catch (error) {
        failure = { error }
        break
      }
    if (packed.length > 0) await this.#wait(packed, timeout, signal, failed)
    if (failure !== undefined) throw failed(failure.error, packed.length)
  }

  trySend(content: unknown, raw: boolean): boolean {
    if (this.#line.length > 0) {
      this.outlet.discard(this.outlet.pack(content, raw)) // what cannot be sent throws all the same
      return false
    }
    return this.outlet.putSync(content, raw, 0)
  }

  sendSync(content: unknown, raw: boolean, options?: WaitSyncOptions): void {
    const timeout = syncTimeout(options)
    this.checkFree()
    if (!this.outlet.putSync(content, raw, timeout)) throw this.#late()
  }

  /** Throws ERR_MP_BUSY while promises of this thread wait to send. */
  checkFree(): void {
    if (this.#line.length > 0)
      throw new StateError(
        `${this.#busy()} has asynchronous sends waiting in this thread: await them before a Sync call`,
        'ERR_MP_BUSY',
      )
  }

  #wait(
    packed: readonly Packed[],
    timeout: number,
    signal: AbortSignal | undefined,
    why?: (error: unknown, sent: number) => unknown,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const settle = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      const sender: Sender = {
        packed,
        next: 0,
        sent() {
          settle()
          resolve()
        },
        failed: (error) => {
          for (const unsent of packed.slice(sender.next)) this.outlet.discard(unsent)
          settle()
          reject(why === undefined ? error : why(error, sender.next))
        },
      }
      const leave = (error: unknown): void => {
        const index = this.#line.indexOf(sender)
        if (index < 0) return
        this.#line.splice(index, 1)
        if (this.#line.length === 0) this.#rest()
        sender.failed(error)
      }
      const onAbort = (): void => leave(signal!.reason)
      this.#line.push(sender)
      signal?.addEventListener('abort', onAbort, { once: true })
      if (timeout < 2 ** 31)
        timer = setTimeout(() => {
          if (this.#line[0] === sender) this.#pump() // room that has come while the event loop was busy
          leave(this.#late())
        }, timeout)
      if (this.#line.length === 1) this.#stop = this.outlet.whenRoom(this.#pump)
    })
  }

  readonly #pump = (): void => {
    this.#rest()
    for (let first = this.#line[0]; first !== undefined; first = this.#line[0]) {
      let failure: { error: unknown } | undefined
      try {
        while (first.next < first.packed.length && this.outlet.retry(first.packed[first.next]!)) first.next++
      } catch (error) {
        failure = { error }
      }
      if (first.next < first.packed.length && failure === undefined) {
        this.#stop = this.outlet.whenRoom(this.#pump)
        return
      }
      this.#line.shift()
      if (failure === undefined) first.sent()
      else first.failed(failure.error)
    }
  }

  #rest(): void {
    this.#stop?.()
    this.#stop = undefined
  }

  /** Nothing is sent any more: whoever waits gets this error. */
  end(error: MultiprocError): void {
    this.#rest()
    for (const sender of this.#line.splice(0)) sender.failed(error)
  }
}
