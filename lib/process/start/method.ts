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
  /** The method that was asked for: the child starts its own children in the same way. */
  method: StartMethodName
}

export interface StartMethod {
  readonly name: StartMethodName
  /** Starts a child. On return it has a pid; on a throw nothing is left of it. */
  start(process: Process, launch: Launch): Running
}

export type EndingSignal = 'SIGTERM' | 'SIGKILL' | 'SIGINT'

/** A started child. */
export interface Running extends SentinelSource {
  /** undefined: it is about to be forked, at the end of this turn of the event loop. */
  readonly pid: number | undefined
  /** Resolves when it has a pid, where that is not known at once; rejects if it could not be started. */
  readonly ready?: Promise<void>
  readonly stdout: Readable | null
  readonly stderr: Readable | null
  /** How it ended; null while it runs. Asks the system, so it is right before the event loop has turned. */
  status(): ExitStatus | null
  /** Calls back at the end, without keeping the event loop alive. */
  onEnd(callback: () => void): void
  /** Sends a signal, unless it has ended. */
  signal(name: EndingSignal): void
  /** Whether the running child keeps the event loop alive. */
  setRef(alive: boolean): void
  /** Takes what it has written to its standard error out of the pipe, without the event loop. */
  drain(take: (chunk: Buffer) => void): void
  /** The parent ends in order, and lets a running child go on without it. Blocks up to `timeout` ms while it boots. */
  letGo(timeout: number): void
}

const NAMES: readonly StartMethodName[] = ['spawn', 'forkserver', 'fork']

interface Provided {
  method: StartMethod
  /** Why it cannot be used here; undefined: it can. */
  refused(): string | undefined
  /** Where it cannot be used its children are started in another way, with a warning. */
  fallsBack: boolean
}
const provided = new Map<StartMethodName, Provided>()

/** Adds a start method. */
export function provideStartMethod(
  method: StartMethod,
  refused: () => string | undefined = () => undefined,
  fallsBack = false,
): void {
  provided.set(method.name, { method, refused, fallsBack })
}

export function checkStartMethod(name: string, method: unknown): asserts method is StartMethodName {
  if (!NAMES.includes(method as StartMethodName)) throw invalidValue(name, "'spawn', 'forkserver' or 'fork'", method)
}

/** What startMethodStatus() gives. */
export interface StartMethodStatus {
  /** Can it be used here? */
  available: boolean
  /** Why not. */
  reason?: string
}

/**
 * Can this start method be used here? `reason` says why not. Starts nothing, changes nothing. Throws TypeError
 * (`ERR_INVALID_ARG_VALUE`).
 */
export function startMethodStatus(method: StartMethodName): StartMethodStatus {
  checkStartMethod('method', method)
  const reason = provided.get(method)!.refused()
  return reason === undefined ? { available: true } : { available: false, reason }
}

/** The start methods that can be used here, the default one first. */
export function getAllStartMethods(): StartMethodName[] {
  return NAMES.filter((name) => startMethodStatus(name).available)
}

/** Throws UnsupportedError where the method cannot be used, unless it knows another way itself. */
export function requireStartMethod(name: StartMethodName): StartMethod {
  const { method, fallsBack } = provided.get(name)!
  const { reason } = fallsBack ? {} : startMethodStatus(name)
  if (reason !== undefined) throw new UnsupportedError(`start method '${name}' cannot be used: ${reason}`)
  return method
}
