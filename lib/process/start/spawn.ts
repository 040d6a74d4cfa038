// Start method "spawn": a fresh node, which gets what it is to run through shared memory.
//
//   parent                                              child (child/entry.ts, child/bootstrap.ts)
//   reserve a slot
//   child_process.spawn ──── fd 3: root ───────────────▶ boots (20 ms and more) …
//   encode target and arguments meanwhile
//   deliver ─────────────── slot ──────────────────────▶ … takes the delivery, decodes, runs
//   life word of its slot ─────────────────────────────▶ its helper thread sees the parent's end (child/parent-watch.ts)
import type { ChildProcess } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import type { Socket } from 'node:net'
import { constants as osConstants } from 'node:os'
import { binding } from '../../binding'
import { systemErrorOf } from '../../system-error'
import { CHILD_VARIABLE, DEPTH_VARIABLE } from '../environment'
import { giveBack, inherited, ownerOf, reserve, type Seat, send, ticketOf } from '../parcel'
import { compiledCode } from './compiled'
import { getExecutable, inheritedExecArgv, inheritedNodeOptions } from './executable'
import type { ExitStatus, Launch, StartMethod } from './method'
import { pack } from './pack'
import { exitStatus, RunningChild, UNKNOWN } from './running'

export const spawnMethod: StartMethod = {
  name: 'spawn',
  start(process_, launch) {
    const seat = reserve()
    let child: ChildProcess | undefined
    try {
      child = boot(seat, launch)
      const { header, body } = pack(process_, launch, seat)
      send(seat, [header, compiledCode(), body])
      return new SpawnedProcess(child, seat)
    } catch (error) {
      if (child !== undefined) discard(child)
      giveBack(seat)
      throw error
    }
  },
}

function boot(seat: Seat, launch: Launch): ChildProcess {
  const { stdio, stderr = stdio } = launch.options
  // As in Python, children do not share the parent's standard input.
  return bootNode(seat, launch, ['ignore', stdio, stderr, ...inherited()])
}

/** Starts node with our entry. Throws what the system refuses. */
export function bootNode(
  seat: Seat,
  launch: Pick<Launch, 'options' | 'depth' | 'daemon'>,
  stdio: import('node:child_process').StdioOptions,
): ChildProcess {
  const { cwd, env, execArgv } = launch.options
  const executable = getExecutable()
  const { spawn } = process.getBuiltinModule('node:child_process')
  const child = spawn(
    executable,
    [...(execArgv ?? inheritedExecArgv()), `${__dirname}/child.cjs`, ...process.argv.slice(2)],
    {
      stdio,
      env: { ...childEnvironment(launch.depth, env), [CHILD_VARIABLE]: ticketOf(seat, launch.daemon) },
      windowsHide: true,
      ...(cwd === undefined ? {} : { cwd }),
    },
  )
  child.on('error', () => {}) // reported below, or known as an end
  if (child.pid === undefined) throw spawnError(executable, cwd)
  return child
}

/** This process's environment with what the user adds for a child. */
export function childEnvironment(depth: number, own: NodeJS.ProcessEnv | undefined): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env }
  if (env.NODE_OPTIONS !== undefined) env.NODE_OPTIONS = inheritedNodeOptions(env.NODE_OPTIONS)
  Object.assign(env, own)
  env[DEPTH_VARIABLE] = String(depth)
  return env
}

/** Node reports these failures only on a later tick, without a pid: which one it was has to be found out. */
function spawnError(executable: string, cwd: string | undefined): NodeJS.ErrnoException {
  let code = 'EAGAIN'
  try {
    if (cwd !== undefined && !statSync(cwd).isDirectory()) code = 'ENOTDIR'
    if (/[\\/]/.test(executable)) accessSync(executable, constants.X_OK)
    else code = 'ENOENT'
  } catch (error) {
    code = (error as NodeJS.ErrnoException).code ?? code
  }
  const errno = osConstants.errno[code as keyof typeof osConstants.errno] ?? osConstants.errno.EAGAIN
  return Object.assign(systemErrorOf(-errno, `spawn ${executable}`), { path: executable })
}

/** Ends a child that got nothing to run. Nobody sees it. */
export function discard(child: ChildProcess): void {
  child.kill('SIGKILL')
  child.unref()
  for (const stream of child.stdio) stream?.destroy()
}

/** Windows has no signals: these exit codes stand for them (native/platform/win32/process.cc). */
const ENDED_BY_SIGNAL = 0x10000

function endOf(code: number | null, signal: NodeJS.Signals | null): ExitStatus {
  if (code === null) return { exitCode: -osConstants.signals[signal!], signal }
  const number = code - ENDED_BY_SIGNAL
  if (process.platform !== 'win32' || number < 0 || number >= 32) return { exitCode: code, signal: null }
  return exitStatus({ exitCode: 0, signal: number || osConstants.signals.SIGTERM })
}

/** A child started by spawn. Learns its end from the event loop, or, when asked before that turns, from the system. */
class SpawnedProcess extends RunningChild {
  readonly #child: ChildProcess
  #handle: number | undefined

  constructor(child: ChildProcess, seat: Seat) {
    super(seat, child.stdout as Socket | null, child.stderr as Socket | null)
    this.pid = child.pid!
    this.#child = child
    child.once('exit', (code, signal) => {
      this.end(endOf(code, signal))
      giveBack(seat)
    })
  }

  protected ask(): ExitStatus | null {
    const handle = this.#open()
    const ended = handle === undefined ? null : binding().processStatus(handle)
    return ended === null ? null : exitStatus(ended)
  }
  protected sleep(ms: number, fds: Int32Array): number {
    const handle = this.#open()
    return handle === undefined ? 1 : binding().processWait(handle, ms, fds, ownerOf(this.seat))
  }
  // libuv has reaped it together with the child whose end is being told just now: its own 'exit' comes next, and corrects
  // what cannot be known here.
  protected endedUnseen(): void {
    this.end(UNKNOWN)
  }
  protected keepAlive(alive: boolean): void {
    if (alive) this.#child.ref()
    else this.#child.unref()
  }
  protected send(signal: NodeJS.Signals): void {
    // On Windows node's own kill() would leave exit code 1, as an error does.
    const handle = process.platform === 'win32' ? this.#open() : undefined
    if (handle === undefined) this.#child.kill(signal)
    else binding().processSignal(handle, osConstants.signals[signal])
  }
  protected ended(): void {
    if (this.#handle !== undefined) binding().processClose(this.#handle)
    this.#handle = undefined
  }

  // Until libuv has reaped the child its pid cannot name another process, so opening it late is safe. undefined: it has,
  // and will tell us as soon as this call is over.
  #open(): number | undefined {
    try {
      this.#handle ??= binding().processOpen(this.pid!)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
    return this.#handle
  }
}
