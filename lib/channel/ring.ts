// One channel of shared memory as this thread uses it: outlet, inlet, or both.
import { binding } from '../binding'
import { EOFError, QueueFullError, ShutDownError, StateError } from '../errors'
import { areas, recordBytes } from './areas'
import { type Inlet, NOTHING, type Outlet, type Packed } from './ends'
import { OwnMessage, pack, packFlat, type TakenMessage, unpackMessage, unpackRecord } from './packing'
import { moveAway } from './segments'
import { DONE, endWatches, MESSAGE, ROOM, watch } from './waits'

// Outcomes of the addon.
const OK = 0
const WAIT = 1
const ENDED = 2
const SHUT_DOWN = 3
const TIMED_OUT = 4
const INTERRUPTED = 5

// Flags of channelLook.
const WRITERS_GONE = 2
const SHUT = 4
const SHUT_NOW = 8

/** A packed record, copied out of the area. */
class OwnRecord {
  constructor(readonly bytes: Uint8Array) {}
}

/** Numbers of rings that were garbage-collected are given to others. */
const collected = new FinalizationRegistry((channel: number) => binding().forgetChannel(channel))

export class Ring implements Outlet, Inlet {
  readonly #channel: number
  readonly #offset: number
  readonly #label: () => string
  /** Do its waiting promises keep the event loop alive? */
  refed = true

  /** `offset`: of a channel that this thread holds, for longer than this object is used. */
  constructor(offset: number, label: () => string) {
    areas()
    this.#offset = offset
    this.#label = label
    this.#channel = binding().openChannel(offset)
    collected.register(this, this.#channel, this)
  }

  close(): void {
    endWatches(this.#channel)
    collected.unregister(this)
    binding().forgetChannel(this.#channel)
  }

  // ---- putting -------------------------------------------------------------------------------------------------------

  put(content: unknown, raw: boolean): true | Packed {
    const packed = pack(content, raw)
    if (typeof packed !== 'number') return this.#putOwn(packed, 0) ? true : packed
    if (this.#putArea(packed, 0)) return true
    return new OwnRecord(new Uint8Array(areas().out.u8.subarray(0, packed))) // a copy; slice() of a Buffer is none
  }

  putSync(content: unknown, raw: boolean, timeout: number): boolean {
    const packed = pack(content, raw)
    if (typeof packed === 'number') return this.#putArea(packed, timeout)
    const put = this.#putOwn(packed, timeout)
    if (!put) packed.discard()
    return put
  }

  pack(content: unknown, raw: boolean): Packed {
    const packed = pack(content, raw)
    return typeof packed === 'number' ? new OwnRecord(new Uint8Array(areas().out.u8.subarray(0, packed))) : packed
  }

  retry(packed: Packed): boolean {
    if (packed instanceof OwnMessage) return this.#putOwn(packed, 0)
    const { bytes } = packed as OwnRecord
    areas().out.u8.set(bytes)
    return this.#putArea(bytes.byteLength, 0)
  }

  discard(packed: Packed): void {
    if (packed instanceof OwnMessage) packed.discard()
  }

  whenRoom(callback: () => void): () => void {
    return watch(this.#channel, this.#offset, ROOM, this.refed, callback)
  }

  /**
   * Puts as many of the values from `from` on as there is room for, in few steps; blocks up to `timeout` ms for room for the
   * first one. Gives the index of the first that was not put. What cannot be sent throws when all before it have been put; the
   * `count` of an error is that index.
   */
  putMany(values: readonly unknown[], from: number, timeout: number): number {
    const { out, maxInline } = areas()
    const most = out.size - maxInline - 16
    const batch: number[] = []
    for (let next = from; next < values.length; ) {
      const first = next
      let end = 0
      // Only what runs no user code is written behind other records: that code could send something itself.
      for (batch.length = 0; next < values.length && end < most; next++) {
        const after = packFlat(values[next], end)
        if (after < 0) break
        batch.push(after)
        end = after
      }
      if (end > 0) {
        const put = counting(first, () => this.#putArea(end, first === from ? timeout : 0))
        const done = put ? areas().info[0]! : 0
        if (done < end) return first + batch.filter((after) => after <= done).length
        continue
      }
      let packed: number | OwnMessage
      try {
        packed = pack(values[next], false)
      } catch (error) {
        throw withCount(error, next)
      }
      const wait = next === from ? timeout : 0
      const put = counting(next, () =>
        typeof packed === 'number' ? this.#putArea(packed, wait) : this.#putOwn(packed, wait),
      )
      if (!put) {
        if (typeof packed !== 'number') this.discard(packed)
        return next
      }
      next++
    }
    return values.length
  }

  #putArea(bytes: number, timeout: number): boolean {
    const outcome = binding().channelPut(this.#channel, bytes, timeout)
    return outcome === OK || this.#notPut(outcome)
  }
  #putOwn(message: OwnMessage, timeout: number): boolean {
    let outcome: number
    try {
      outcome = binding().channelPutMessage(this.#channel, message.offset, timeout)
      if (outcome !== OK) return this.#notPut(outcome)
    } catch (error) {
      this.discard(message)
      throw error
    }
    if (message.cargo !== undefined) moveAway(message.cargo)
    return true
  }
  #notPut(outcome: number): boolean {
    if (outcome === WAIT || outcome === TIMED_OUT) return false
    if (outcome === ENDED) throw new EOFError(`nobody can receive what ${this.#label()} sends: the other end is closed`)
    throw this.#failure(outcome)
  }
  #failure(outcome: number): Error {
    if (outcome === SHUT_DOWN) return new ShutDownError(`${this.#label()} was shut down`)
    if (outcome === INTERRUPTED) return new StateError('the thread is being terminated', 'ERR_MP_TERMINATED')
    return new StateError(`unexpected outcome ${outcome}`)
  }

  // ---- taking --------------------------------------------------------------------------------------------------------

  take(raw: boolean): unknown {
    return this.#take(raw, 0, false)
  }
  takeSync(raw: boolean, timeout: number): unknown {
    return this.#take(raw, timeout, true)
  }

  /** As take() of a value, but blocks up to `timeout` ms. */
  linger(timeout: number): unknown {
    return this.#take(false, timeout, false)
  }

  #take(raw: boolean, timeout: number, sync: boolean): unknown {
    if (this.#late !== undefined) this.#throwLate()
    const outcome = binding().channelTake(this.#channel, 1, timeout)
    if (outcome !== OK) return this.#notTaken(outcome)
    const { info } = areas()
    if (info[1] !== 0) {
      const { value, end } = unpackMessage(info[1]!, info[2]!, info[3]!, raw, sync)
      if (value instanceof Promise) return value.finally(end)
      end()
      return value
    }
    try {
      return unpackRecord(0, raw)
    } finally {
      binding().channelCommit(this.#channel, 1)
    }
  }
  #notTaken(outcome: number): typeof NOTHING {
    if (outcome === WAIT || outcome === TIMED_OUT) return NOTHING
    if (outcome === ENDED) throw new EOFError(`${this.#label()} has nothing left to receive: the other end is closed`)
    throw this.#failure(outcome)
  }

  /**
   * Takes up to `most` messages; blocks up to `timeout` ms for the first one. Gives fewer than are there where short messages and
   * messages of their own meet, or one cannot be read: so each call takes all that it gives, or nothing. NOTHING: there is none. A
   * promise, unless `sync`, where modules must be loaded first.
   */
  takeMany(most: number, timeout: number, sync: boolean): unknown[] | Promise<unknown[]> | typeof NOTHING {
    if (this.#late !== undefined) this.#throwLate()
    const outcome = binding().channelTake(this.#channel, most, timeout)
    if (outcome !== OK) return this.#notTaken(outcome)
    return areas().info[1] === 0 ? this.#takeRecords() : this.#takeOwn(most, sync)
  }

  #takeRecords(): unknown[] {
    const { info, intoWords } = areas()
    const values: unknown[] = []
    const end = info[0]!
    try {
      for (let at = 0; at < end; at += recordBytes(intoWords[at >> 2]!)) values.push(unpackRecord(at, false))
    } catch (error) {
      if (values.length === 0) {
        binding().channelCommit(this.#channel, 1)
        throw error
      }
    }
    binding().channelCommit(this.#channel, values.length)
    return values
  }

  /** Takes messages of their own for as long as one follows the other; the first has been taken. */
  #takeOwn(most: number, sync: boolean): unknown[] | Promise<unknown[]> {
    const { info } = areas()
    const taken: TakenMessage[] = []
    const finish = (): unknown[] => {
      for (const message of taken) message.end()
      return taken.map(({ value }) => value)
    }
    try {
      for (;;) {
        const message = unpackMessage(info[1]!, info[2]!, info[3]!, false, sync)
        if (message.value instanceof Promise) return this.#await(taken, message, finish)
        taken.push(message)
        if (taken.length === most || !this.#nextIsOwn()) return finish()
      }
    } catch (error) {
      if (taken.length === 0) throw error
      this.#late = { error }
      return finish()
    }
  }
  async #await(taken: TakenMessage[], last: TakenMessage, finish: () => unknown[]): Promise<unknown[]> {
    try {
      taken.push({ value: await last.value, end: last.end })
    } catch (error) {
      last.end()
      if (taken.length === 0) throw error
      this.#late = { error }
    }
    return finish()
  }
  #nextIsOwn(): boolean {
    if (binding().channelTake(this.#channel, 1, 0) !== OK) return false
    if (areas().info[1] !== 0) return true
    binding().channelCommit(this.#channel, 0)
    return false
  }

  /** The error of a message that could not be read, when others had been taken before it: the next call's. */
  #late: { error: unknown } | undefined
  #throwLate(): never {
    const { error } = this.#late!
    this.#late = undefined
    throw error
  }

  ready(): boolean {
    const ended = binding().channelLook(this.#channel)
    return this.#late !== undefined || areas().info[0]! > 0 || (ended & (WRITERS_GONE | SHUT)) !== 0
  }
  readonly descriptor = -1
  readySync(timeout: number): boolean {
    const deadline = performance.now() + timeout
    while (!this.ready()) {
      const left = Math.max(0, deadline - performance.now())
      const outcome = binding().channelWait(this.#channel, MESSAGE, left)
      if (outcome === INTERRUPTED) throw this.#failure(outcome)
      if (outcome === TIMED_OUT) return this.ready()
    }
    return true
  }
  whenReady(callback: () => void): () => void {
    return watch(this.#channel, this.#offset, MESSAGE, this.refed, callback)
  }

  // ---- what queues know besides --------------------------------------------------------------------------------------

  get counts(): { messages: number; unfinished: number } {
    binding().channelLook(this.#channel)
    const { info } = areas()
    return { messages: info[0]!, unfinished: info[2]! }
  }
  get isShutDown(): boolean {
    return (binding().channelLook(this.#channel) & (SHUT | SHUT_NOW)) !== 0
  }
  shutDown(immediate: boolean): void {
    binding().channelShutDown(this.#channel, immediate)
  }
  taskDone(): boolean {
    return binding().channelTaskDone(this.#channel)
  }
  allDone(): boolean {
    return this.counts.unfinished === 0
  }
  allDoneSync(timeout: number): boolean {
    const deadline = performance.now() + timeout
    while (!this.allDone()) {
      const outcome = binding().channelWait(this.#channel, DONE, Math.max(0, deadline - performance.now()))
      if (outcome === INTERRUPTED) throw this.#failure(outcome)
      if (outcome === TIMED_OUT) return this.allDone()
    }
    return true
  }
  whenDone(callback: () => void): () => void {
    return watch(this.#channel, this.#offset, DONE, this.refed, callback)
  }
}

/** An error that also says how many messages were put before it. */
export function withCount(error: unknown, count: number): unknown {
  return typeof error === 'object' && error !== null ? Object.assign(error, { count }) : error
}
function counting<R>(count: number, put: () => R): R {
  try {
    return put()
  } catch (error) {
    throw withCount(error, count)
  }
}

/** The error of a put that ran out of time. */
export function full(label: string): QueueFullError {
  return new QueueFullError(`${label} is full`)
}
