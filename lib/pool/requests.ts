// What the calls of a pool ask for, made into jobs and their units: arguments are checked, and read into bytes. Pools of this machine
// and of a cluster take the same, and differ in who runs it (Target).
import { transfer } from '../channel/segments'
import { checkFunction, invalidType } from '../check'
import { ApplyJob, MapJob } from './calls'
import type { Engine } from './engine'
import { ImapJob } from './imap'
import type { JobHost, Settings } from './job'
import type { Body } from './lane'
import { checkTaskOptions, type ImapOptions, type Wanted } from './options'
import { CHUNKED, PROGRESSING, SPREAD, TIMED } from './protocol'
import { bodyOf, type PoolFunction, Unit } from './unit'

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

/** Who runs what is asked for, and how it travels there. */
export interface Target {
  readonly host: JobHost
  /** How many workers there are. */
  readonly workers: number
  /** Throws if it takes no tasks. */
  checkOpen(): void
  functionOf(fn: Fn): PoolFunction
  /** The arguments of a call, or items; `first` is the index of the first one. */
  body(values: readonly unknown[], name: 'args' | 'items', first: number): Body
}
/** The target of a pool of this machine. */
export function workersOf(
  engine: Engine,
  checked: { readonly most: number },
  main: 'import' | undefined,
  checkOpen: () => void,
): Target {
  return {
    host: engine,
    get workers() {
      return checked.most
    },
    checkOpen,
    functionOf: (fn) => engine.functions.of(fn),
    body: (values, name, first) => bodyOf(values, name, main, first),
  }
}

export class Requests {
  readonly #target: Target
  readonly #settings: Settings
  /** The options of calls that give none. */
  readonly #usual: Wanted

  constructor(target: Target, settings: Settings) {
    this.#target = target
    this.#settings = settings
    this.#usual = checkTaskOptions(undefined, settings, false)
  }

  wanted(options: ImapOptions | undefined, sync: boolean): Wanted {
    return options === undefined ? this.#usual : checkTaskOptions(options, this.#settings, sync)
  }

  apply(fn: Fn, args: readonly unknown[], wanted: Wanted): { job: ApplyJob; units: Unit[] } {
    checkArgs(args)
    this.#target.checkOpen()
    const call = this.#target.functionOf(fn)
    const job = new ApplyJob(this.#target.host, fn, call, wanted.settings, wanted)
    job.onProgress = wanted.onProgress
    const body = this.#target.body(moving(args, wanted), 'args', 0)
    return { job, units: [new Unit(job, call, unitFlags(wanted), 0, 1, body)] }
  }

  map(fn: Fn, iterable: Iterable<unknown>, wanted: Wanted, flags: number): { job: MapJob; units: Unit[] } {
    checkFunction('fn', fn)
    checkIterable(iterable, false)
    this.#target.checkOpen()
    const items = Array.isArray(iterable) ? iterable : [...iterable]
    const call = this.#target.functionOf(fn)
    const job = new MapJob(this.#target.host, fn, call, wanted.settings, wanted, items.length)
    job.onProgress = wanted.onProgress
    const size = wanted.chunkSize ?? Math.max(1, Math.ceil(items.length / (CHUNKS_PER_WORKER * this.#target.workers)))
    const units: Unit[] = []
    for (let first = 0; first < items.length; first += size) {
      const chunk = items.slice(first, first + size)
      if (flags & SPREAD)
        for (let k = 0; k < chunk.length; k++)
          if (!Array.isArray(chunk[k])) throw invalidType(`items[${first + k}]`, 'an array of arguments', chunk[k])
      const body = this.#target.body(moving(chunk, wanted), 'items', first)
      units.push(new Unit(job, call, unitFlags(wanted) | CHUNKED | flags, first, chunk.length, body))
    }
    return { job, units }
  }

  imap(fn: Fn, items: Iterable<unknown> | AsyncIterable<unknown>, wanted: Wanted, form: ImapForm): ImapJob {
    const { ordered, mayBeAsync, spread = false, window } = form
    const async =
      mayBeAsync && typeof (items as AsyncIterable<unknown> | undefined)?.[Symbol.asyncIterator] === 'function'
    if (!async) checkIterable(items, mayBeAsync)
    this.#target.checkOpen()
    const call = this.#target.functionOf(fn)
    const { host, workers } = this.#target
    return new ImapJob(host, fn, call, wanted, {
      ordered,
      async,
      source: async
        ? (items as AsyncIterable<unknown>)[Symbol.asyncIterator]()
        : (items as Iterable<unknown>)[Symbol.iterator](),
      window: window ?? Math.max(IMAP_LEAST, IMAP_PER_WORKER * workers) * (wanted.chunkSize ?? 1),
      spread,
      body: (list, first) => this.#target.body(moving(list, wanted), 'items', first),
    })
  }
}

/** One call in each worker of this machine's pool that runs now. */
export function broadcastTo(
  engine: Engine,
  target: Target,
  fn: Fn,
  args: readonly unknown[],
  wanted: Wanted,
): { job: MapJob; submit: () => void } {
  checkArgs(args)
  target.checkOpen()
  const members = [...engine.crew.members]
  const call = target.functionOf(fn)
  const body = target.body(args, 'args', 0)
  const job = new MapJob(engine, fn, call, wanted.settings, wanted, members.length)
  job.onProgress = wanted.onProgress
  const submit = (): void => {
    for (const [k, member] of members.entries()) {
      const unit = new Unit(job, call, unitFlags(wanted), k, 1, body)
      unit.parted = true
      engine.submitTo(member, unit)
    }
  }
  return { job, submit }
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
export function checkArgs(args: unknown): void {
  if (!Array.isArray(args)) throw invalidType('args', 'an array', args)
}
function checkIterable(items: unknown, mayBeAsync: boolean): void {
  if (typeof items === 'string' || typeof (items as Iterable<unknown> | undefined)?.[Symbol.iterator] === 'function')
    return
  throw invalidType('items', mayBeAsync ? 'an iterable or an async iterable' : 'an iterable', items)
}
