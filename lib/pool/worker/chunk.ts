// One chunk of a map, as the worker runs it: item by item, results into the journal, the journal into the lane when it is full.
// A killed worker leaves the journal behind, so that no item that had ended runs again.
import { serializer, writeFlat } from '../../serialize'
import { type Control, JOURNAL_BYTES, now } from '../control'
import { encodeFailure } from '../failure'
import { areaBody, type Lane } from '../lane'
import { CHUNK, FAILURE, ITEM, ITEM_FAILURE, ITEMS, SETTLE, SPREAD, TIMED } from '../protocol'
import { isThenable, since } from './calls'
import { endTask } from './task-context'

type Fn = (...args: any[]) => unknown

/** What a chunk needs of the worker that runs it. */
export interface ChunkWorker {
  readonly workerId: number
  readonly seq: number
  readonly results: Lane
  readonly control: Control
  tooBig(): number
}

export class Chunk {
  readonly #worker: ChunkWorker
  readonly #op: number
  readonly #fn: Fn
  readonly #items: unknown[]
  readonly #first: number
  readonly #begun: number
  /** The item whose result is the journal's first, how many are there, and their bytes. */
  #from: number
  #count = 0
  #end = 0

  constructor(worker: ChunkWorker, op: number, fn: Fn, items: unknown[], first: number, begun: number) {
    this.#worker = worker
    this.#op = op
    this.#fn = fn
    this.#items = items
    this.#first = first
    this.#begun = begun
    this.#from = first
    worker.control.openJournal(worker.seq, first)
  }

  run(): Promise<void> | undefined {
    for (let k = 0; k < this.#items.length; k++) {
      if (!this.#begin(k)) break
      let result: unknown
      try {
        result = this.#call(k)
        if (isThenable(result)) return this.#await(result, k)
      } catch (error) {
        if (!this.#failed(k, error)) return undefined
        continue
      }
      if (!this.#succeeded(k, result)) return undefined
    }
    this.#finish()
    return undefined
  }
  async #await(pending: unknown, k: number): Promise<void> {
    for (;;) {
      let go: boolean
      try {
        const result = await pending
        go = this.#succeeded(k, result)
      } catch (error) {
        go = this.#failed(k, error)
      }
      if (!go) return
      if (++k >= this.#items.length || !this.#begin(k)) break
      try {
        pending = this.#call(k)
      } catch (error) {
        pending = Promise.reject(error)
      }
    }
    this.#finish()
  }

  /** False: the chunk was cancelled. */
  #begin(k: number): boolean {
    const { control, seq } = this.#worker
    if (control.abortedWhole(seq)) return false
    if (this.#op & TIMED) control.started = now()
    control.item = this.#first + k
    return true
  }
  #call(k: number): unknown {
    const item = this.#items[k]
    return this.#op & SPREAD ? this.#fn(...(item as unknown[])) : this.#fn(item)
  }

  /** False: the chunk has ended. */
  #succeeded(k: number, result: unknown): boolean {
    const { control, seq, results, workerId } = this.#worker
    const item = this.#first + k
    if (control.aborted(seq, item) !== 0) {
      this.#skip(item)
      return true
    }
    const { journal } = control
    while (serializer() === null) {
      const end = writeFlat(result, journal, this.#end + 4, JOURNAL_BYTES)
      if (end >= 0) {
        journal.view.setUint32(this.#end, end - this.#end - 4, true)
        this.#end = end
        control.advanceJournal(++this.#count, end)
        return true
      }
      if (this.#count === 0) break
      this.#send(ITEMS, item)
    }
    if (this.#count > 0) this.#send(ITEMS, item)
    try {
      results.appendValue(ITEM, workerId, seq, item, 0, 0, result, 'result')
    } catch (error) {
      return this.#failed(k, error)
    }
    results.flush()
    this.#skip(item)
    return true
  }
  /** False: the chunk has ended. */
  #failed(k: number, error: unknown): boolean {
    const { control, seq, results, workerId } = this.#worker
    const item = this.#first + k
    if (control.aborted(seq, item) !== 0) {
      this.#skip(item)
      return true
    }
    if (this.#count > 0) this.#send(ITEMS, item)
    const goesOn = (this.#op & SETTLE) !== 0
    if (!goesOn) endTask()
    const op = goesOn ? ITEM_FAILURE : FAILURE | this.#worker.tooBig()
    results.append(op, workerId, seq, item, since(this.#begun), 0, encodeFailure(error))
    results.flush()
    this.#skip(item)
    return goesOn
  }
  /** The journal goes on behind this item. */
  #skip(item: number): void {
    if (this.#count > 0) this.#send(ITEMS, item)
    this.#from = item + 1
    this.#worker.control.openJournal(this.#worker.seq, this.#from)
  }
  #finish(): void {
    endTask()
    this.#send(CHUNK | this.#worker.tooBig(), this.#first + this.#items.length)
  }
  #send(op: number, next: number): void {
    const { control, seq, results, workerId } = this.#worker
    const body = areaBody(control.journal, 0, this.#end)
    results.append(op, workerId, seq, this.#from, since(this.#begun), this.#count, body)
    results.flush()
    this.#from = next
    this.#count = 0
    this.#end = 0
    control.openJournal(seq, next)
  }
}
