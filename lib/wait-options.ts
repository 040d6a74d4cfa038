// What everything that can wait takes last: a time-out in milliseconds and, in the asynchronous form, an AbortSignal.
import { checkOptions, invalidType, outOfRange } from './check'

/** What everything takes last that can wait without blocking. */
export interface WaitOptions {
  /** How long to wait at most, in ms. 0 tries once, negative counts as 0; Infinity or absent waits for ever. */
  timeout?: number | undefined
  /** Aborting rejects the wait with `signal.reason`; nothing has been taken then. */
  signal?: AbortSignal | undefined
}
/** What everything takes last that can block. */
export interface WaitSyncOptions {
  /** How long to block at most, in ms. 0 tries once, negative counts as 0; Infinity or absent waits for ever. */
  timeout?: number | undefined
}

/** The time-out of checked options: ms ≥ 0, or Infinity. */
export function timeoutOf(options: { timeout?: number | undefined } | undefined): number {
  const timeout = options?.timeout
  if (timeout === undefined) return Number.POSITIVE_INFINITY
  if (typeof timeout !== 'number') throw invalidType('options.timeout', 'a number of milliseconds', timeout)
  if (Number.isNaN(timeout)) throw outOfRange('options.timeout', 'a number of milliseconds', timeout)
  return Math.max(timeout, 0)
}

/** Checks the options of a Sync form and gives its time-out. A signal cannot fire while the thread is blocked: TypeError. */
export function syncTimeout(options: WaitSyncOptions | undefined): number {
  if (options === undefined) return Number.POSITIVE_INFINITY
  checkOptions('options', options)
  if ((options as WaitOptions).signal !== undefined)
    throw invalidType(
      'options.signal',
      'absent in a Sync call (no signal can fire while the thread is blocked)',
      (options as WaitOptions).signal,
    )
  return timeoutOf(options)
}

/** Checks the options of an asynchronous form. */
export function asyncWait(options: WaitOptions | undefined): { timeout: number; signal: AbortSignal | undefined } {
  if (options === undefined) return { timeout: Number.POSITIVE_INFINITY, signal: undefined }
  checkOptions('options', options)
  const signal = options.signal
  if (signal !== undefined && !(typeof signal === 'object' && signal !== null && typeof signal.aborted === 'boolean'))
    throw invalidType('options.signal', 'an AbortSignal', signal)
  return { timeout: timeoutOf(options), signal }
}
