// Whose turn it is to receive: the calls of this thread on one object, in the order in which they were made. What is given up
// (a time-out, an abort) has taken nothing.
import { type MultiprocError, StateError } from '../errors'
import { here } from '../memory'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import { type Inlet, NOTHING } from './ends'

/** Something to be done when there may be a message: NOTHING if there was none after all. */
type Attempt = () => unknown

interface Receiver {
  attempt: Attempt
  got(value: unknown): void
  failed(error: unknown): void
}

/** After so many messages that were there at once the event loop has its turn: timers and sockets must not starve. */
const TURN = 256

export class Incoming {
  readonly inlet: Inlet
  readonly #label: () => string
  readonly #late: () => Error
  #calls: Receiver[] = []
  #fork = here.forks
  #stop: (() => void) | undefined
  /** Its attempt is running, user code included: it is too late to give it up. */
  #taking: Receiver | undefined
  #run = 0

  constructor(inlet: Inlet, label: () => string, late: () => Error) {
    this.inlet = inlet
    this.#label = label
    this.#late = late
  }

  /** The calls that wait. Those of a parent wait there: in a forked child they are never settled. */
  get #line(): Receiver[] {
    if (this.#fork !== here.forks) {
      this.#fork = here.forks
      this.#calls = []
      this.#stop = undefined
    }
    return this.#calls
  }

  receive(raw: boolean, options?: WaitOptions, maxLength?: number): Promise<unknown> {
    return this.attempt(() => this.inlet.take(raw, maxLength), options)
  }

  /** `attempt` now, and again whenever there may be something, until it does not give NOTHING. */
  async attempt(attempt: Attempt, options: WaitOptions | undefined): Promise<unknown> {
    const { timeout, signal } = asyncWait(options)
    signal?.throwIfAborted()
    if (this.#line.length === 0 && ++this.#run < TURN) {
      const value = attempt()
      if (value !== NOTHING) return value
      this.#run = 0
    }
    if (timeout === 0 && this.#run === 0) throw this.#late()
    return await this.#wait(attempt, timeout, signal)
  }

  tryReceive(raw: boolean): unknown {
    return this.#line.length > 0 ? NOTHING : this.inlet.takeSync(raw, 0)
  }

  receiveSync(raw: boolean, options?: WaitSyncOptions, maxLength?: number): unknown {
    const timeout = syncTimeout(options)
    this.checkFree()
    const value = this.inlet.takeSync(raw, timeout, maxLength)
    if (value === NOTHING) throw this.#late()
    return value
  }

  /** Is there something to receive: a message, or the end? `timeout`: 0 by default. */
  async poll(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = asyncWait({ timeout: 0, ...options })
    signal?.throwIfAborted()
    if (this.#line.length === 0 && this.inlet.ready()) return true
    if (timeout === 0) return false
    const none = new Error()
    try {
      await this.#wait(() => this.inlet.ready() || NOTHING, timeout, signal, none)
      return true
    } catch (error) {
      if (error === none) return false
      throw error
    }
  }
  pollSync(options?: WaitSyncOptions): boolean {
    const timeout = syncTimeout({ timeout: 0, ...options })
    this.checkFree()
    return this.inlet.readySync(timeout)
  }

  /** Throws ERR_MP_BUSY while promises of this thread wait to receive. */
  checkFree(): void {
    if (this.#line.length > 0)
      throw new StateError(
        `${this.#label()} has asynchronous calls waiting for messages in this thread: await them before a Sync call`,
        'ERR_MP_BUSY',
      )
  }

  #wait(attempt: Attempt, timeout: number, signal: AbortSignal | undefined, late?: Error): Promise<unknown> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const settle = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      const receiver: Receiver = {
        attempt,
        got(value) {
          settle()
          resolve(value)
        },
        failed(error) {
          settle()
          reject(error)
        },
      }
      const leave = (error: unknown): void => {
        const index = this.#line.indexOf(receiver)
        if (index < 0 || receiver === this.#taking) return
        this.#line.splice(index, 1)
        if (this.#line.length === 0) this.#rest()
        receiver.failed(error)
      }
      const onAbort = (): void => leave(signal!.reason)
      this.#line.push(receiver)
      signal?.addEventListener('abort', onAbort, { once: true })
      if (timeout < 2 ** 31)
        timer = setTimeout(() => {
          if (this.#line[0] === receiver) this.#pump() // what has come while the event loop was busy
          leave(late ?? this.#late())
        }, timeout)
      if (this.#line.length > 1) return
      if (this.#run >= TURN) setImmediate(this.#pump)
      else this.#stop = this.inlet.whenReady(this.#pump)
      this.#run = 0
    })
  }

  readonly #pump = (): void => {
    this.#rest()
    for (let first = this.#line[0]; first !== undefined; first = this.#line[0]) {
      let value: unknown = NOTHING
      let failure: { error: unknown } | undefined
      this.#taking = first
      try {
        value = first.attempt()
      } catch (error) {
        failure = { error }
      }
      this.#taking = undefined
      if (value === NOTHING && failure === undefined) {
        this.#stop = this.inlet.whenReady(this.#pump)
        return
      }
      this.#line.shift()
      if (failure === undefined) first.got(value)
      else first.failed(failure.error)
    }
  }

  #rest(): void {
    this.#stop?.()
    this.#stop = undefined
  }

  /** Nothing is received any more: whoever waits gets this error. */
  end(error: MultiprocError): void {
    this.#rest()
    const kept = this.#taking === undefined ? 0 : 1
    for (const receiver of this.#line.splice(kept)) receiver.failed(error)
  }
}
