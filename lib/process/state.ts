// The state of each Process object. It lives beside the objects: their own properties are the user's alone, so that a
// subclass travels with them and nothing of ours, and becomes `this` in the child without running a constructor.
import type { AuthKey } from './auth-key'
import type { Process } from './process'
import type { StartMethodName } from './registry'
import type { LaunchOptions, Running } from './start/method'

export interface ProcessState {
  /** made: an object to start here; self: the process we are in; parent: that of ours; other: it was sent to us. */
  role: 'made' | 'self' | 'parent' | 'other'
  name: string
  identity: readonly number[]
  daemon: boolean
  /** undefined: that of the current process. */
  authKey: AuthKey | undefined
  pid: number | undefined
  /** Who made the object: only that process may start, join and test it. */
  makerPid: number | undefined
  closed: boolean
  running: Running | undefined
  /** The last start only scheduled a fork, which failed: `started` has rejected. */
  failed: boolean
  target: ((...args: any[]) => unknown) | undefined
  args: readonly unknown[]
  launch: LaunchOptions | undefined
  signal: AbortSignal | undefined
  started: Deferred | undefined
}

export interface Deferred {
  promise: Promise<void>
  resolve(): void
  reject(reason: unknown): void
}

export function newState(known: Partial<ProcessState> & Pick<ProcessState, 'role' | 'name'>): ProcessState {
  return {
    identity: [],
    daemon: false,
    authKey: undefined,
    pid: undefined,
    makerPid: undefined,
    closed: false,
    running: undefined,
    failed: false,
    target: undefined,
    args: [],
    launch: undefined,
    signal: undefined,
    started: undefined,
    ...known,
  }
}

export const STATES = new WeakMap<Process, ProcessState>()

export function stateOf(process_: Process): ProcessState {
  const state = STATES.get(process_)
  if (state === undefined)
    throw new TypeError(`${String(process_)} is not a Process: does its constructor call super()?`)
  return state
}

/** On a class: the context whose start method its instances use. */
export const CONTEXT: unique symbol = Symbol('multiproc.context')

export interface ContextSpec {
  /** undefined: whatever the default is when a process is started. */
  method: StartMethodName | undefined
  main: 'import' | undefined
}
