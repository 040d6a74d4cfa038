// The class Process: its rules, and who may call what. How a child is started and how its end is learnt is behind
// start/method.ts; what is known of this process itself is in registry.ts.
import type { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { checkBoolean, checkFlags, checkFunction, checkOptions, checkString, invalidType, invalidValue } from '../check'
import { ClosedError, StateError, UnsupportedError } from '../errors'
import { tellExit, tellStart } from '../log/channels'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import { randomAuthKey, toAuthKey } from './auth-key'
import { installExitHooks } from './exit'
import { checkMayStart } from './guard'
import { registry, type StartMethodName } from './registry'
import { Sentinel } from './sentinel'
import { defaultStartMethod } from './start/default'
import { type LaunchOptions, type Running, requireStartMethod, type Stdio } from './start/method'
import { CONTEXT, type ContextSpec, type Deferred, newState, type ProcessState, STATES, stateOf } from './state'

/** What may be a target: any function. How it travels: see {@link Process}. */
export type Target = (...args: any[]) => unknown

/** What Process takes, besides `target` and `args`. */
export interface ProcessOptions {
  /** Default: the class's name and the object's number, as in `Process-1`; `Process-1:2` in the child `Process-1`. */
  name?: string | undefined
  /** A daemon is terminated when its parent ends, and may not start processes. Default: as the current process. */
  daemon?: boolean | undefined
  /** What becomes of the child's standard output and error. Its standard input is always empty. Default: 'inherit'. */
  stdio?: 'inherit' | 'pipe' | 'ignore' | undefined
  /** Merged into this process's environment; a value of undefined removes a variable. */
  env?: NodeJS.ProcessEnv | undefined
  /** Flags of node. Default: those of this process, without the inspector's. */
  execArgv?: readonly string[] | undefined
  /** Working directory. Default: that of this process. */
  cwd?: string | undefined
  /** Aborting terminates the child. */
  signal?: AbortSignal | undefined
  /** Default: that of the current process. */
  authKey?: Uint8Array | string | undefined
}

/** `args`, required where the target requires parameters. */
export type ArgsOption<T extends Target> =
  [] extends Parameters<T>
    ? {
        /** What the target is called with. */
        args?: Readonly<Parameters<T>> | undefined
      }
    : {
        /** What the target is called with. */
        args: Readonly<Parameters<T>>
      }

/**
 * A process of its own, that runs a function.
 *
 *     const child = new Process({ target: (n: number) => console.log(n), args: [1] })
 *     child.start()
 *     await child.join()
 *
 * A subclass may override run() instead; its instance becomes `this` in the child, with its own properties.
 */
export class Process<T extends Target = Target> {
  /** @internal */
  static readonly [CONTEXT]: ContextSpec = { method: undefined, main: undefined }

  /**
   * Only describes the child: start() makes it. `args` is copied; what is in it is read at start(). Does not block.
   * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
   */
  constructor(options: ProcessOptions & { target: T } & ArgsOption<T>)
  constructor(options?: ProcessOptions)
  constructor(options?: ProcessOptions & { target?: T; args?: readonly unknown[] | undefined }) {
    checkOptions('options', options)
    const { target, args = [], name, daemon, authKey, signal } = options ?? {}
    if (target !== undefined) checkFunction('options.target', target)
    if (!Array.isArray(args)) throw invalidType('options.args', 'an array', args)
    if (name !== undefined) checkString('options.name', name)
    if (daemon !== undefined) checkBoolean('options.daemon', daemon)
    if (signal !== undefined && typeof signal?.addEventListener !== 'function')
      throw invalidType('options.signal', 'an AbortSignal', signal)
    const identity = [...registry.identity, ++registry.made]
    STATES.set(
      this,
      newState({
        role: 'made',
        name: name || `${this.constructor.name}-${identity.join(':')}`,
        identity,
        daemon: daemon ?? registry.current.daemon,
        authKey: authKey === undefined ? undefined : toAuthKey('options.authKey', authKey),
        makerPid: process.pid,
        target,
        args: [...args],
        launch: launchOptions(options ?? {}),
        signal,
      }),
    )
  }

  /** What the child does: calls the target with its arguments. May be overridden, also by an async method. */
  run(): unknown {
    const { target, args } = stateOf(this)
    return target?.(...args)
  }

  /**
   * Starts the child; `pid` is set on return. Blocks while the target and its arguments are serialised. With start method
   * `fork` it only schedules the fork, for the end of this turn of the event loop: see `started`.
   * @throws StateError ERR_MP_STATE: started before; made by another process; the current process is a daemon, or loads
   * its modules. ERR_MP_TOO_DEEP: too many generations
   * @throws SerializationError ERR_MP_SERIALIZATION: the target or an argument cannot travel
   * @throws UnsupportedError ERR_MP_UNSUPPORTED: the start method cannot be used here
   * @throws ClosedError ERR_MP_CLOSED, here and in all that follows: close() was called
   * @throws the reason of `options.signal`, if that is aborted already
   * @throws Error with `code` ENOENT, EACCES, EAGAIN, EMFILE …: the system could not start it
   */
  start(): void {
    const state = open(this)
    if (state.role === 'made' && state.running !== undefined) throw new StateError('cannot start a process twice')
    if (!isOurs(state)) throw new StateError('can only start a process object created by the current process')
    const depth = checkMayStart()
    if (registry.current.daemon && !registry.mayHaveChildren)
      throw new StateError('daemonic processes are not allowed to have children')
    state.signal?.throwIfAborted()
    if (state.failed) state.started = undefined
    state.failed = false
    const { method, main } = (this.constructor as typeof Process)[CONTEXT]
    const startMethod = requireStartMethod(method ?? defaultStartMethod())
    let running: Running
    try {
      running = startMethod.start(this, {
        name: state.name,
        identity: state.identity,
        daemon: state.daemon,
        authKey: this.authKey,
        main,
        target: state.target,
        args: state.args,
        options: state.launch!,
        depth,
        method: startMethod.name,
      })
    } catch (error) {
      state.started?.promise.catch(() => {}) // start() throws it already
      state.started?.reject(error)
      state.started = undefined
      throw error
    }
    started(this, state, running, startMethod.name)
  }

  /**
   * Resolves when the child has a pid; rejects if starting failed. Pending until start() is called. With start method
   * `fork` a failure that nobody asks for is an unhandled rejection.
   */
  get started(): Promise<void> {
    const state = open(this)
    state.started ??= deferred()
    if (state.running?.pid !== undefined) state.started.resolve()
    return state.started.promise
  }

  /**
   * Waits for the end of the child; the event loop stays free. true: it has ended, `exitCode` is set; false: timed out.
   * Rejects with StateError (`ERR_MP_STATE`) if it was not started, or not by this process, and with `signal.reason` when
   * aborted.
   */
  async join(options?: WaitOptions): Promise<boolean> {
    const { timeout, signal } = asyncWait(options)
    const running = joinable(this)
    signal?.throwIfAborted()
    if (running.poll()) return true
    if (timeout === 0) return false
    return await ended(running, timeout, signal)
  }

  /**
   * As join(), but blocks this thread. What the child writes into its pipes is read meanwhile. Throws where join()
   * rejects; TypeError (`ERR_INVALID_ARG_TYPE`) for a `signal`.
   */
  joinSync(options?: WaitSyncOptions): boolean {
    const timeout = syncTimeout(options)
    return joinable(this).wait(timeout)
  }

  /** Does it run? Does not block. Throws StateError (`ERR_MP_STATE`) for another process's child. */
  isAlive(): boolean {
    const state = open(this)
    if (state.role === 'self') return true
    if (state.role === 'made' && !isOurs(state)) throw new StateError('can only test a child process')
    if (state.role === 'other') throw new StateError('can only test a child process')
    return state.running?.pid !== undefined && !state.running.poll()
  }

  /**
   * Sends SIGTERM, and does not wait. Does nothing if the child has ended. Throws StateError (`ERR_MP_STATE`) if it was not
   * started, or not by this process.
   */
  terminate(): void {
    signalable(this, 'terminate').signal('SIGTERM')
  }
  /** Sends SIGKILL. Otherwise as terminate(). */
  kill(): void {
    signalable(this, 'kill').signal('SIGKILL')
  }
  /** Sends SIGINT. Otherwise as terminate(). Throws UnsupportedError (`ERR_MP_UNSUPPORTED`) on Windows. */
  interrupt(): void {
    if (process.platform === 'win32')
      throw new UnsupportedError('a process cannot be interrupted on Windows: use terminate()')
    signalable(this, 'interrupt').signal('SIGINT')
  }

  /** Gives back what this object holds; it cannot be used any more. Throws StateError (`ERR_MP_STATE`) while the child runs. */
  close(): void {
    const state = stateOf(this)
    if (state.closed) return
    if (state.running !== undefined && !state.running.poll())
      throw new StateError('cannot close a process while it is still running: call join() or terminate() first')
    state.closed = true
    state.target = undefined
    state.args = []
  }

  /** The running child keeps this process's event loop alive (the default, unless it is a daemon). */
  ref(): this {
    open(this).running?.setRef(true)
    return this
  }
  /** The running child does not keep the event loop alive; a non-daemon is still joined at the end of the program. */
  unref(): this {
    open(this).running?.setRef(false)
    return this
  }

  /** For messages. Can be set at any time; the child has the name of its start. */
  get name(): string {
    return stateOf(this).name
  }
  /** Throws TypeError (`ERR_INVALID_ARG_TYPE`). */
  set name(name: string) {
    checkString('name', name)
    stateOf(this).name = name
  }

  /** Can be set until the process is started; later: StateError (`ERR_MP_STATE`). */
  get daemon(): boolean {
    return stateOf(this).daemon
  }
  /** Throws TypeError (`ERR_INVALID_ARG_TYPE`), StateError (`ERR_MP_STATE`) after start(). */
  set daemon(daemon: boolean) {
    checkBoolean('daemon', daemon)
    const state = stateOf(this)
    if (state.role !== 'made' || state.running !== undefined) throw new StateError('process has already started')
    state.daemon = daemon
  }

  /** The key by which the processes of a program recognise each other. Can be set to bytes or a string. */
  get authKey(): Uint8Array {
    const own = stateOf(this).authKey
    if (own !== undefined) return own
    registry.authKey ??= randomAuthKey()
    return stateOf(registry.current).authKey ?? registry.authKey
  }
  /** Throws TypeError (`ERR_INVALID_ARG_TYPE`). */
  set authKey(key: Uint8Array | string) {
    stateOf(this).authKey = toAuthKey('authKey', key)
  }

  /** undefined before start(). */
  get pid(): number | undefined {
    return open(this).pid
  }
  /** null: it has not ended; −N: signal N ended it; 1: uncaught exception. Asks the system; does not block. */
  get exitCode(): number | null {
    return open(this).running?.status()?.exitCode ?? null
  }
  /** The signal that ended it, if one did. Does not block. */
  get exitSignal(): NodeJS.Signals | null {
    return open(this).running?.status()?.signal ?? null
  }
  /** For wait(): ready when the process has ended. Throws StateError (`ERR_MP_STATE`) before start(). */
  get sentinel(): Sentinel {
    const { running } = open(this)
    if (running?.pid === undefined) throw new StateError('process not started')
    let sentinel = SENTINELS.get(running)
    if (sentinel === undefined) {
      sentinel = new Sentinel(running)
      SENTINELS.set(running, sentinel)
    }
    return sentinel
  }
  /** What the child writes to its standard output, with `stdio: 'pipe'`; else, and before start(), null. */
  get stdout(): Readable | null {
    return open(this).running?.stdout ?? null
  }
  /** What the child writes to its standard error, as `stdout`. */
  get stderr(): Readable | null {
    return open(this).running?.stderr ?? null
  }

  /** Joins the child, if it was started: `await using child = …`. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { closed, running } = stateOf(this)
    if (closed || running === undefined) return
    await this.started
    await this.join()
  }

  [inspect.custom](): string {
    const state = STATES.get(this)
    if (state === undefined) return `[class ${this.constructor?.name ?? 'Process'}]`
    const ended = state.running?.status() ?? null
    const info = [this.constructor.name, `name='${state.name}'`]
    if (state.pid !== undefined && state.running !== undefined) info.push(`pid=${state.pid}`)
    info.push(`parent=${state.makerPid ?? null}`, statusWord(state))
    if (ended !== null) info.push(`exitcode=${ended.signal === null ? ended.exitCode : `-${ended.signal}`}`)
    if (state.daemon) info.push('daemon')
    return `<${info.join(' ')}>`
  }

  /** @internal Elsewhere it is only a name and a pid: nobody but its maker can start, join or test it. */
  [Symbol.for('multiproc.reduce')](): [typeof foreignProcess, [Known]] {
    const { name, identity, daemon, pid, makerPid } = stateOf(this)
    return [foreignProcess, [{ name, identity, daemon, pid, makerPid }]]
  }
}

type Known = Pick<ProcessState, 'name' | 'identity' | 'daemon' | 'pid' | 'makerPid'>

/** @internal A Process object that was sent to this process. */
export function foreignProcess(known: Known): Process {
  const process_ = Object.create(Process.prototype) as Process
  STATES.set(process_, newState({ role: 'other', ...known }))
  return process_
}

const SENTINELS = new WeakMap<Running, Sentinel>()

function launchOptions(options: ProcessOptions): LaunchOptions {
  const { env, execArgv, cwd } = options
  // A pool gives two: of the standard output, and of the standard error.
  const both: unknown = options.stdio ?? 'inherit'
  const [stdio, stderr] = Array.isArray(both) ? (both as [Stdio, Stdio]) : [both as Stdio, undefined]
  if (stdio !== 'inherit' && stdio !== 'pipe' && stdio !== 'ignore')
    throw invalidValue('options.stdio', "'inherit', 'pipe' or 'ignore'", stdio)
  checkOptions('options.env', env)
  if (execArgv !== undefined) checkFlags('options.execArgv', execArgv)
  if (cwd !== undefined) checkString('options.cwd', cwd)
  return {
    stdio,
    ...(stderr !== undefined && { stderr }),
    env: env && { ...env },
    execArgv: execArgv && [...execArgv],
    cwd,
  }
}

/** After a successful start: what this process keeps of the child. */
function started(process_: Process<any>, state: ProcessState, running: Running, method: StartMethodName): void {
  const { name } = state
  const tell = (): void => tellStart(process_, name, running.pid!, method)
  state.running = running
  if (running.ready === undefined) {
    born(state, running)
    tell()
  } else afterwards(process_, state, running, running.ready.then(tell))
  registry.children.add(process_)
  installExitHooks()
  running.setRef(!state.daemon)
  const { signal } = state
  const terminate = () => running.signal('SIGTERM')
  signal?.addEventListener('abort', terminate, { once: true })
  running.onEnd(() => {
    signal?.removeEventListener('abort', terminate)
    registry.children.delete(process_)
    const { exitCode, signal: ended } = running.status()!
    tellExit(process_, name, running.pid!, exitCode, ended)
  })
}

/** It has a pid. */
function born(state: ProcessState, running: Running): void {
  state.pid = running.pid
  // The target may hold this object, and much more: it has travelled, let it go.
  state.target = undefined
  state.args = []
  state.started?.resolve()
}

/** It is about to be forked. Nobody need ask for `started`: a failure is an unhandled rejection then. */
function afterwards(process_: Process<any>, state: ProcessState, running: Running, ready: Promise<void>): void {
  state.started ??= deferred()
  ready.then(
    () => born(state, running),
    (error) => {
      state.failed = true
      state.running = undefined // it may be started again
      registry.children.delete(process_)
      state.started!.reject(error)
    },
  )
}

function open(process_: Process<any>): ProcessState {
  const state = stateOf(process_)
  if (state.closed) throw new ClosedError('process object is closed')
  return state
}

function isOurs(state: ProcessState): boolean {
  return state.role === 'made' && state.makerPid === process.pid
}

function joinable(process_: Process<any>): Running {
  const state = open(process_)
  if (state.role === 'parent') return state.running!
  if (!isOurs(state)) throw new StateError('can only join a child process')
  return begun(state, 'join')
}

function signalable(process_: Process<any>, verb: string): Running {
  const state = open(process_)
  if (!isOurs(state)) throw new StateError(`can only ${verb} a child process`)
  return begun(state, verb)
}

function begun({ running }: ProcessState, verb: string): Running {
  if (running === undefined) throw new StateError(`can only ${verb} a started process`)
  if (running.pid === undefined)
    throw new StateError(`can only ${verb} a forked process when it is there: 'await process.started' first`)
  return running
}

function ended(running: Running, timeout: number, signal: AbortSignal | undefined): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const finish = () => {
      stop()
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
    const abort = () => {
      finish()
      reject(signal!.reason)
    }
    const stop = running.whenEnded(() => {
      finish()
      resolve(true)
    })
    const timer = setLongTimeout(() => {
      finish()
      resolve(running.poll())
    }, timeout)
    signal?.addEventListener('abort', abort, { once: true })
  })
}

// setTimeout takes at most 2^31 - 1 ms, and turns more into 1 ms. Longer waits count as for ever.
function setLongTimeout(callback: () => void, ms: number): NodeJS.Timeout | undefined {
  return ms > 2 ** 31 - 1 ? undefined : setTimeout(callback, ms)
}

function statusWord(state: ProcessState): string {
  if (state.role === 'self') return 'started'
  if (state.closed) return 'closed'
  if (state.role === 'other' || (state.role === 'made' && !isOurs(state))) return 'unknown'
  if (state.running?.pid === undefined) return 'initial'
  return state.running.poll() ? 'stopped' : 'started'
}

function deferred(): Deferred {
  let resolve!: () => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
