// The interface behind which the start methods stand, and the table of those that exist.
//
//   Process ──start()──▶ StartMethod ──▶ Running      one for each started child: its status, its end, its signals
import type { Readable } from 'node:stream'
import { invalidValue } from '../../check'
import { UnsupportedError } from '../../errors'
import type { Process } from '../process'
import type { StartMethodName } from '../registry'
import type { SentinelSource } from '../sentinel'

export interface ExitStatus {
  /** 0–255, or −N: ended by signal N. */
  exitCode: number
  signal: NodeJS.Signals | null
}

export type Stdio = 'inherit' | 'pipe' | 'ignore'

export interface LaunchOptions {
  stdio: Stdio
  /** Of the standard error, where it is not the same. */
  stderr?: Stdio
  env: NodeJS.ProcessEnv | undefined
  execArgv: readonly string[] | undefined
  cwd: string | undefined
}

/** What travels to the child. */
export interface Launch {
  name: string
  identity: readonly number[]
  daemon: boolean
  authKey: Uint8Array
  main: 'import' | undefined
  target: ((...args: any[]) => unknown) | undefined
  args: readonly unknown[]
  options: LaunchOptions
  /** The generation of the child: see guard.ts. */
  depth: number
}

export interface StartMethod {
  readonly name: StartMethodName
  /** Starts a child. On return it has a pid; on a throw nothing is left of it. */
  start(process: Process, launch: Launch): Running
}

/** A started child. */
export interface Running extends SentinelSource {
  readonly pid: number
  readonly stdout: Readable | null
  readonly stderr: Readable | null
  /** How it ended; null while it runs. Asks the system, so it is right before the event loop has turned. */
  status(): ExitStatus | null
  /** Calls back at the end, without keeping the event loop alive. */
  onEnd(callback: () => void): void
  /** Sends a signal, unless it has ended. */
  signal(name: 'SIGTERM' | 'SIGKILL' | 'SIGINT'): void
  /** Whether the running child keeps the event loop alive. */
  setRef(alive: boolean): void
  /** Takes what it has written to its standard error out of the pipe, without the event loop. */
  drain(take: (chunk: Buffer) => void): void
  /** The parent ends in order, and lets a running child go on without it. Blocks up to `timeout` ms while it boots. */
  letGo(timeout: number): void
}

const NAMES: readonly StartMethodName[] = ['spawn', 'forkserver', 'fork']
const methods = new Map<StartMethodName, () => StartMethod>()

/** Adds a start method to those that work. */
export function provideStartMethod(name: StartMethodName, load: () => StartMethod): void {
  methods.set(name, load)
}

export function checkStartMethod(name: string, method: unknown): asserts method is StartMethodName {
  if (!NAMES.includes(method as StartMethodName)) throw invalidValue(name, "'spawn', 'forkserver' or 'fork'", method)
}

/** Can this start method be used here? `reason` says why not. Throws TypeError (`ERR_INVALID_ARG_VALUE`). */
export function startMethodStatus(method: StartMethodName): { available: boolean; reason?: string } {
  checkStartMethod('method', method)
  return methods.has(method) ? { available: true } : { available: false, reason: 'comes in a later version' }
}

/** The start methods that can be used here, the default one first. */
export function getAllStartMethods(): StartMethodName[] {
  return NAMES.filter((name) => methods.has(name))
}

/** Throws UnsupportedError where the method cannot be used. */
export function requireStartMethod(method: StartMethodName): StartMethod {
  const load = methods.get(method)
  if (load === undefined)
    throw new UnsupportedError(`start method '${method}' cannot be used: ${startMethodStatus(method).reason}`)
  return load()
}
