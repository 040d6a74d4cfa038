// What the calls of a pool ask for, made into jobs and their units: arguments are checked, and read into bytes.
import { transfer } from '../channel/segments'
import { checkFunction, invalidType } from '../check'
import { ApplyJob, MapJob } from './calls'
import type { Engine } from './engine'
import { ImapJob } from './imap'
import { type CheckedPoolOptions, checkTaskOptions, type ImapOptions, type Wanted } from './options'
import { CHUNKED, PROGRESSING, SPREAD, TIMED } from './protocol'
import { bodyOf, Unit } from './unit'

type Fn = (...args: any[]) => any

const CHUNKS_PER_WORKER = 4
const IMAP_LEAST = 16
const IMAP_PER_WORKER = 4

/** What of an imap is not the same for all. */
export interface ImapForm {
  ordered: boolean
  /** The source may be an async iterable. */
  mayBeAsync: boolean
  /** Items are lists of arguments. */
  spread?: boolean
  /** How many items may be under way. */
  window?: number | undefined
}

export class Requests {
  readonly #engine: Engine
  readonly #checked: CheckedPoolOptions
  readonly #main: 'import' | undefined
  /** Throws if the pool takes no tasks. */
  readonly #checkOpen: () => void
  /** The options of calls that give none. */
  readonly #usual: Wanted

  constructor(engine: Engine, checked: CheckedPoolOptions, main: 'import' | undefined, checkOpen: () => void) {
    this.#engine = engine
    this.#checked = checked
    this.#main = main
    this.#checkOpen = checkOpen
    this.#usual = checkTaskOptions(undefined, checked.settings, false)
  }

  wanted(options: ImapOptions | undefined, sync: boolean): Wanted {
    return options === undefined ? this.#usual : checkTaskOptions(options, this.#checked.settings, sync)
  }

  apply(fn: Fn, args: readonly unknown[], wanted: Wanted): { job: ApplyJob; units: Unit[] } {
    checkArgs(args)
    this.#checkOpen()
    const call = this.#engine.functions.of(fn)
    const job = new ApplyJob(this.#engine, fn, call, wanted.settings, wanted)
    job.onProgress = wanted.onProgress
    const body = bodyOf(moving(args, wanted), 'args', this.#main)
    return { job, units: [new Unit(job, call, unitFlags(wanted), 0, 1, body)] }
  }

  map(fn: Fn, iterable: Iterable<unknown>, wanted: Wanted, flags: number): { job: MapJob; units: Unit[] } {
    checkFunction('fn', fn)
    checkIterable(iterable, false)
    this.#checkOpen()
    const items = Array.isArray(iterable) ? iterable : [...iterable]
    const call = this.#engine.functions.of(fn)
    const job = new MapJob(this.#engine, fn, call, wanted.settings, wanted, items.length)
    job.onProgress = wanted.onProgress
    const size = wanted.chunkSize ?? Math.max(1, Math.ceil(items.length / (CHUNKS_PER_WORKER * this.#checked.most)))
    const units: Unit[] = []
    for (let first = 0; first < items.length; first += size) {
      const chunk = items.slice(first, first + size)
      if (flags & SPREAD)
        for (let k = 0; k < chunk.length; k++)
          if (!Array.isArray(chunk[k])) throw invalidType(`items[${first + k}]`, 'an array of arguments', chunk[k])
      const body = bodyOf(moving(chunk, wanted), 'items', this.#main)
      units.push(new Unit(job, call, unitFlags(wanted) | CHUNKED | flags, first, chunk.length, body))
    }
    return { job, units }
  }

  imap(fn: Fn, items: Iterable<unknown> | AsyncIterable<unknown>, wanted: Wanted, form: ImapForm): ImapJob {
    const { ordered, mayBeAsync, spread = false, window } = form
    const async =
      mayBeAsync && typeof (items as AsyncIterable<unknown> | undefined)?.[Symbol.asyncIterator] === 'function'
    if (!async) checkIterable(items, mayBeAsync)
    this.#checkOpen()
    const call = this.#engine.functions.of(fn)
    const workers = this.#checked.most
    return new ImapJob(this.#engine, fn, call, wanted, {
      ordered,
      async,
      source: async
        ? (items as AsyncIterable<unknown>)[Symbol.asyncIterator]()
        : (items as Iterable<unknown>)[Symbol.iterator](),
      window: window ?? Math.max(IMAP_LEAST, IMAP_PER_WORKER * workers) * (wanted.chunkSize ?? 1),
      spread,
      body: (list) => bodyOf(moving(list, wanted), 'items', this.#main),
    })
  }

  /** One call in each worker that runs now. */
  broadcast(fn: Fn, args: readonly unknown[], wanted: Wanted): { job: MapJob; submit: () => void } {
    checkArgs(args)
    this.#checkOpen()
    const { crew, functions } = this.#engine
    const members = [...crew.members]
    const call = functions.of(fn)
    const body = bodyOf(args, 'args', this.#main)
    const job = new MapJob(this.#engine, fn, call, wanted.settings, wanted, members.length)
    job.onProgress = wanted.onProgress
    const submit = (): void => {
      for (const [k, member] of members.entries()) {
        const unit = new Unit(job, call, unitFlags(wanted), k, 1, body)
        unit.parted = true
        this.#engine.submitTo(member, unit)
      }
    }
    return { job, submit }
  }
}

function unitFlags(wanted: Wanted): number {
  return (wanted.settings.timeout === Number.POSITIVE_INFINITY ? 0 : TIMED) | (wanted.onProgress ? PROGRESSING : 0)
}
/** What is to be moved is marked as such. */
function moving(values: readonly unknown[], { transfer: moved }: Wanted): readonly unknown[] {
  if (moved === undefined) return values
  return values.map((value) =>
    moved.includes(value as object) || (ArrayBuffer.isView(value) && moved.includes(value.buffer))
      ? transfer(value as ArrayBufferView)
      : value,
  )
}
function checkArgs(args: unknown): void {
  if (!Array.isArray(args)) throw invalidType('args', 'an array', args)
}
function checkIterable(items: unknown, mayBeAsync: boolean): void {
  if (typeof items === 'string' || typeof (items as Iterable<unknown> | undefined)?.[Symbol.iterator] === 'function')
    return
  throw invalidType('items', mayBeAsync ? 'an iterable or an async iterable' : 'an iterable', items)
}
