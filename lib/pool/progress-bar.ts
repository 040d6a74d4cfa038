// A progress bar for terminals: for onProgress of a pool's calls, and around anything that is iterated. It is drawn by the package
// cli-progress, an optional peer that is loaded with the first bar.
import type { SingleBar } from 'cli-progress'
import { checkInteger, checkOptions, invalidType } from '../check'
import { UnsupportedError } from '../errors'

/** What progressBar() takes. */
export interface ProgressBarOptions {
  /** What stands before the bar. Default: nothing. */
  title?: string | undefined
  /** How many there will be, for each(). Default: the `length` or `size` of what is iterated, else unknown. */
  total?: number | undefined
  /** Where it is drawn. Default: process.stderr. Nothing is drawn where that is no terminal. */
  stream?: NodeJS.WritableStream | undefined
  /** Anything else that cli-progress takes, as `format`, `barsize` or `noTTYOutput`. */
  options?: Readonly<Record<string, unknown>> | undefined
}

/** Give it as `onProgress`, or put it around what is iterated. */
export interface ProgressBar {
  (done: number, total: number): void
  /** What is iterated, item by item, with the bar going on at each. Ends the bar at the end, or when the loop is left. */
  each<T>(items: AsyncIterable<T>): AsyncIterableIterator<T>
  /** The same for what is iterated without waiting. */
  each<T>(items: Iterable<T>): IterableIterator<T>
  /** Leaves the bar as it is, and goes to the next line. It ends by itself when all is done. */
  stop(): void
}

/**
 * A progress bar on the terminal, by the package cli-progress.
 *
 *     await pool.map(fn, items, { onProgress: progressBar() })
 *     for await (const result of progressBar({ total: 1000 }).each(pool.imap(fn, items))) …
 *
 * @throws UnsupportedError ERR_MP_UNSUPPORTED: cli-progress is not installed
 * @throws TypeError, RangeError ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
 */
export function progressBar(options?: ProgressBarOptions): ProgressBar {
  checkOptions('options', options)
  const { title, total, stream, options: more } = options ?? {}
  if (title !== undefined && typeof title !== 'string') throw invalidType('options.title', 'a string', title)
  if (total !== undefined) checkInteger('options.total', total, 0, Number.MAX_SAFE_INTEGER)
  if (stream !== undefined && typeof stream?.write !== 'function')
    throw invalidType('options.stream', 'a stream that can be written to', stream)
  checkOptions('options.options', more)
  const { SingleBar, Presets } = load()
  const format = `${title === undefined ? '' : `${title.replaceAll('{', '(')} `}{bar} {percentage}% | {value}/{total} | {eta_formatted}`
  const bar = new SingleBar(
    { format, stream: stream ?? process.stderr, hideCursor: true, stopOnComplete: true, ...more },
    Presets.shades_classic,
  )
  return barOf(bar, total)
}

function barOf(bar: SingleBar, known: number | undefined): ProgressBar {
  let state: 'new' | 'drawn' | 'over' = 'new'
  const stop = (): void => {
    if (state === 'drawn') bar.stop()
    state = 'over'
  }
  const show = (done: number, total: number): void => {
    if (state === 'over') return
    if (state === 'new') bar.start(total, done)
    else {
      bar.setTotal(total)
      bar.update(done)
    }
    state = 'drawn'
    if (total > 0 && done >= total) stop()
  }
  const lengthOf = (items: any): number => known ?? items.length ?? items.size ?? 0
  function* each(items: Iterable<unknown>): Generator<unknown> {
    let done = 0
    const total = lengthOf(items)
    show(0, total)
    try {
      for (const item of items) {
        yield item
        show(++done, Math.max(total, done + (total === 0 ? 1 : 0)))
      }
    } finally {
      stop()
    }
  }
  async function* eachAsync(items: AsyncIterable<unknown>): AsyncGenerator<unknown> {
    let done = 0
    const total = lengthOf(items)
    show(0, total)
    try {
      for await (const item of items) {
        yield item
        show(++done, Math.max(total, done + (total === 0 ? 1 : 0)))
      }
    } finally {
      stop()
    }
  }
  const around = (items: any): any => {
    if (typeof items?.[Symbol.asyncIterator] === 'function') return eachAsync(items)
    if (typeof items?.[Symbol.iterator] === 'function') return each(items)
    throw invalidType('items', 'an iterable or an async iterable', items)
  }
  return Object.assign(show, { each: around, stop })
}

function load(): typeof import('cli-progress') {
  try {
    return require('cli-progress')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    throw new UnsupportedError(
      'progressBar() draws with the package cli-progress, which is not installed: npm install cli-progress',
      'ERR_MP_UNSUPPORTED',
      { cause: error },
    )
  }
}
