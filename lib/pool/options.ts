// What Pool and its calls take, checked at once.
import { checkFlags, checkFunction, checkInteger, checkOptions, invalidType, outOfRange } from '../check'
import type { Context } from '../process/context'
import { cpuCount } from '../process/cpu-count'
import { inheritedExecArgv } from '../process/start/executable'
import type { Ending } from './calls'
import type { Settings } from './job'
import { poolSiblings } from './worker/worker'

/** @inline */
type Fn = (...args: any[]) => unknown

/** What Pool and ThreadPool take. */
export interface PoolOptions {
  /** How many workers at most. Default: cpuCount(); in a worker of a pool its share of the processors, at least 1. */
  processes?: number | undefined
  /** Runs in each worker before its first task; may be async. If it throws, the pool is broken. */
  initializer?: Fn | undefined
  /** The arguments of `initializer`. */
  initargs?: readonly unknown[] | undefined
  /** A worker is replaced after so many tasks (calls, or chunks). Default: never. */
  maxTasksPerChild?: number | undefined
  /** A worker is replaced when it has more bytes of memory than this after a task. Default: never. */
  maxMemoryPerChild?: number | undefined
  /** A worker above `minProcesses` that had nothing to do for so long is let go, ms. Default: never. */
  idleTimeout?: number | undefined
  /** How many workers at least; more are started when there is work. Default: `processes`, with `idleTimeout` 0. */
  minProcesses?: number | undefined
  /** How many processes are kept ready to replace others. Default: 0. */
  spares?: number | undefined
  /** Whose processes the workers are: see getContext(). */
  context?: Context | undefined
  /** The `timeout` of all tasks that do not say another, ms. Default: none. */
  taskTimeout?: number | undefined
  /** The `retries` of all tasks that do not say others. Default: 0. */
  retries?: number | undefined
  /** When so many tasks wait for a worker, more are refused with QueueFullError. Default: no limit. */
  maxQueue?: number | undefined
  /** After so many losses of workers in a row, without a finished task, the pool is broken. Default: 10. */
  crashBudget?: number | undefined
  /** Merged into the environment of the workers. */
  env?: NodeJS.ProcessEnv | undefined
  /** Flags of node for the workers. Default: those of this process. */
  execArgv?: readonly string[] | undefined
  /** Limits of V8, in MiB. */
  resourceLimits?: ResourceLimits | undefined
}
/** Limits of V8 in each worker, as of worker_threads. A worker beyond its heap limit dies: WorkerLostError. */
export interface ResourceLimits {
  /** The heap, in MiB (`--max-old-space-size`). */
  maxOldGenerationSizeMb?: number
  /** The part of the heap for young objects, in MiB (`--max-semi-space-size`). */
  maxYoungGenerationSizeMb?: number
  /** The stack, in MiB (`--stack-size`). */
  stackSizeMb?: number
}

/** Options of apply(), and of all other calls of a pool. */
export interface TaskOptions<R = any> {
  /** How long one call of the function may take, from its start, ms. Then its signal aborts, and after `grace` its worker is replaced. */
  timeout?: number | undefined
  /** Aborting cancels what has not ended: the task rejects with `signal.reason`. */
  signal?: AbortSignal | undefined
  /** Higher ones first. Default: 0. */
  priority?: number | undefined
  /** How often a call is run again whose worker was lost. Default: 0. */
  retries?: number | undefined
  /** How long an aborted call has to end by itself before its worker is killed, ms. Default: 500. */
  grace?: number | undefined
  /** Called with the result. What it throws is an uncaughtException. */
  callback?: ((result: R) => void) | undefined
  /** Called with the error, which then counts as handled. */
  errorCallback?: ((error: unknown) => void) | undefined
  /** Called when a task says taskContext().progress(done, total); of a map whose function says nothing, with the items that are done. */
  onProgress?: ((done: number, total: number) => void) | undefined
  /** Typed arrays or ArrayBuffers among the arguments or items that are moved instead of copied, as by transfer(). */
  transfer?: readonly object[] | undefined
}
/** Options of map() and starmap(). */
export interface MapOptions<R = any> extends TaskOptions<R> {
  /** How many items a worker gets at once. Default: the items divided by four times the workers; imap: 1. */
  chunkSize?: number | undefined
}
/** Options of imap() and imapUnordered(). */
export interface ImapOptions<R = any> extends MapOptions<R> {
  /** Yields `{ status, value }` or `{ status, reason }` for each item, as Promise.allSettled does, and goes on after errors. */
  settle?: boolean | undefined
}

const MOST_PROCESSES = 1024
export const DEFAULT_GRACE = 500
const DEFAULT_CRASH_BUDGET = 10

export interface CheckedPoolOptions {
  most: number
  least: number
  idleTimeout: number
  spares: number
  maxTasks: number
  maxMemory: number
  maxQueue: number
  crashBudget: number
  initializer: [Fn, ...unknown[]] | undefined
  context: Context | undefined
  env: NodeJS.ProcessEnv | undefined
  execArgv: readonly string[] | undefined
  resourceLimits: ResourceLimits | undefined
  settings: Settings
}

export function checkPoolOptions(given: number | PoolOptions | undefined): CheckedPoolOptions {
  if (given !== undefined && typeof given !== 'number' && (typeof given !== 'object' || given === null))
    throw invalidType('options', 'a number of processes or an object', given)
  const o: PoolOptions = typeof given === 'number' ? { processes: given } : (given ?? {})
  const most = o.processes ?? defaultProcesses()
  checkInteger(typeof given === 'number' ? 'processes' : 'options.processes', most, 1, MOST_PROCESSES)
  const { initializer, initargs = [] } = o
  if (initializer !== undefined) checkFunction('options.initializer', initializer)
  if (!Array.isArray(initargs)) throw invalidType('options.initargs', 'an array', initargs)
  const idleTimeout = ms('options.idleTimeout', o.idleTimeout, Number.POSITIVE_INFINITY)
  const least = o.minProcesses ?? (o.idleTimeout === undefined ? most : 0)
  checkInteger('options.minProcesses', least, 0, most)
  const spares = o.spares ?? 0
  checkInteger('options.spares', spares, 0, MOST_PROCESSES)
  if (o.context !== undefined && typeof o.context?.Process !== 'function')
    throw invalidType('options.context', 'a context, as getContext() gives it', o.context)
  checkOptions('options.env', o.env)
  if (o.execArgv !== undefined) checkFlags('options.execArgv', o.execArgv)
  return {
    most,
    least,
    idleTimeout,
    spares,
    maxTasks: count('options.maxTasksPerChild', o.maxTasksPerChild, Number.POSITIVE_INFINITY, 1),
    maxMemory: count('options.maxMemoryPerChild', o.maxMemoryPerChild, 0, 1),
    maxQueue: count('options.maxQueue', o.maxQueue, Number.POSITIVE_INFINITY, 1),
    crashBudget: count('options.crashBudget', o.crashBudget, DEFAULT_CRASH_BUDGET, 0),
    initializer: initializer && [initializer, ...initargs],
    context: o.context,
    env: o.env,
    execArgv: o.execArgv,
    resourceLimits: checkLimits(o.resourceLimits),
    settings: {
      priority: 0,
      timeout: ms('options.taskTimeout', o.taskTimeout, Number.POSITIVE_INFINITY),
      retries: count('options.retries', o.retries, 0, 0),
      grace: DEFAULT_GRACE,
    },
  }
}

/** The processors, shared with the other workers of the pool that this process works for. */
function defaultProcesses(): number {
  return Math.max(1, Math.floor(cpuCount() / Math.max(1, poolSiblings())))
}

const LIMITS: Record<keyof ResourceLimits, [flag: string, factor: number]> = {
  maxOldGenerationSizeMb: ['max-old-space-size', 1],
  maxYoungGenerationSizeMb: ['max-semi-space-size', 1],
  stackSizeMb: ['stack-size', 1000],
}
function checkLimits(limits: ResourceLimits | undefined): ResourceLimits | undefined {
  checkOptions('options.resourceLimits', limits)
  for (const name of Object.keys(LIMITS) as (keyof ResourceLimits)[]) {
    const value = limits?.[name]
    if (value === undefined) continue
    if (typeof value !== 'number') throw invalidType(`options.resourceLimits.${name}`, 'a number of MiB', value)
    if (!(value > 0)) throw outOfRange(`options.resourceLimits.${name}`, 'more than 0 MiB', value)
  }
  return limits
}
/** The limits as flags of node, behind those of the workers. */
export function flagsWithLimits({ execArgv, resourceLimits }: Pick<CheckedPoolOptions, 'execArgv' | 'resourceLimits'>) {
  if (resourceLimits === undefined) return execArgv
  const flags = Object.entries(LIMITS).flatMap(([name, [flag, factor]]) => {
    const value = resourceLimits[name as keyof ResourceLimits]
    return value === undefined ? [] : [`--${flag}=${Math.ceil(value * factor)}`]
  })
  return [...(execArgv ?? inheritedExecArgv()), ...flags]
}

export interface Wanted extends Ending {
  settings: Settings
  signal: AbortSignal | undefined
  chunkSize: number | undefined
  settle: boolean
  transfer: readonly object[] | undefined
  onProgress: ((done: number, total: number) => void) | undefined
}

export function checkTaskOptions(options: ImapOptions | undefined, defaults: Settings, sync: boolean): Wanted {
  checkOptions('options', options)
  const o = options ?? {}
  const { signal, callback, errorCallback, onProgress } = o
  if (signal !== undefined) {
    if (sync)
      throw invalidType(
        'options.signal',
        'absent in a Sync call (no signal can fire while the thread is blocked)',
        signal,
      )
    if (typeof signal?.addEventListener !== 'function') throw invalidType('options.signal', 'an AbortSignal', signal)
  }
  if (callback !== undefined) checkFunction('options.callback', callback)
  if (errorCallback !== undefined) checkFunction('options.errorCallback', errorCallback)
  if (onProgress !== undefined) checkFunction('options.onProgress', onProgress)
  if (o.chunkSize !== undefined) checkInteger('options.chunkSize', o.chunkSize, 1, 2 ** 31 - 1)
  if (o.transfer !== undefined && !Array.isArray(o.transfer))
    throw invalidType('options.transfer', 'an array', o.transfer)
  const priority = o.priority ?? 0
  if (typeof priority !== 'number') throw invalidType('options.priority', 'a number', priority)
  if (!Number.isFinite(priority)) throw outOfRange('options.priority', 'a finite number', priority)
  return {
    settings: {
      priority,
      timeout: ms('options.timeout', o.timeout, defaults.timeout),
      retries: count('options.retries', o.retries, defaults.retries, 0),
      grace: ms('options.grace', o.grace, defaults.grace),
    },
    signal,
    chunkSize: o.chunkSize,
    settle: o.settle === true,
    transfer: o.transfer,
    callback: bound(callback),
    errorCallback: bound(errorCallback),
    onProgress: bound(onProgress),
  }
}

/** Callbacks run in the context (AsyncLocalStorage) of the call that gave them. */
function bound<F extends Fn>(callback: F | undefined): F | undefined {
  if (callback === undefined) return undefined
  return process.getBuiltinModule('node:async_hooks').AsyncResource.bind(callback) as unknown as F
}

function ms(name: string, value: unknown, otherwise: number): number {
  if (value === undefined) return otherwise
  if (typeof value !== 'number') throw invalidType(name, 'a number of milliseconds', value)
  if (Number.isNaN(value)) throw outOfRange(name, 'a number of milliseconds', value)
  return Math.max(0, value)
}
function count(name: string, value: unknown, otherwise: number, least: number): number {
  if (value === undefined) return otherwise
  if (value === Number.POSITIVE_INFINITY) return value
  checkInteger(name, value, least, Number.MAX_SAFE_INTEGER)
  return value
}
