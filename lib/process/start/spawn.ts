// Start method "spawn": a fresh node, which gets what it is to run through shared memory.
//
//   parent                                              child (child/entry.ts, child/bootstrap.ts)
//   reserve a slot
//   child_process.spawn ──── fd 3: root ───────────────▶ boots (20 ms and more) …
//   encode target and arguments meanwhile
//   deliver ─────────────── slot ──────────────────────▶ … takes the delivery, decodes, runs
//   life word of its slot ─────────────────────────────▶ its helper thread sees the parent's end (child/parent-watch.ts)
import type { ChildProcess } from 'node:child_process'
import { accessSync, constants, readSync, statSync } from 'node:fs'
import type { Socket } from 'node:net'
import { constants as osConstants } from 'node:os'
import type { Readable } from 'node:stream'
import { binding } from '../../binding'
import { encode } from '../../serialize'
import { systemErrorOf } from '../../system-error'
import { CHILD_VARIABLE, DEPTH_VARIABLE } from '../environment'
import { mainUrl } from '../is-main'
import { giveBack, holdFor, letGo, ownerOf, reserve, rootFd, type Seat, send, ticketOf } from '../parcel'
import type { Process } from '../process'
import { travelling } from '../travel'
import { compiledCode } from './compiled'
import { getExecutable, inheritedExecArgv, inheritedNodeOptions } from './executable'
import type { ExitStatus, Launch, Running, StartMethod } from './method'

const READ_BYTES = 65536
/** The child has ended, how is not known yet. */
const UNKNOWN_EXIT = 255

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
  const { stdio, stderr = stdio, cwd, env, execArgv } = launch.options
  const executable = getExecutable()
  const { spawn } = process.getBuiltinModule('node:child_process')
  const child = spawn(
    executable,
    [...(execArgv ?? inheritedExecArgv()), `${__dirname}/child.cjs`, ...process.argv.slice(2)],
    {
      // As in Python, children do not share the parent's standard input.
      stdio: ['ignore', stdio, stderr, rootFd()],
      env: environment(seat, launch, env),
      windowsHide: true,
      ...(cwd === undefined ? {} : { cwd }),
    },
  )
  child.on('error', () => {}) // reported below, or known as an end
  if (child.pid === undefined) throw spawnError(executable, cwd)
  return child
}

function environment(seat: Seat, launch: Launch, own: NodeJS.ProcessEnv | undefined): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env }
  if (env.NODE_OPTIONS !== undefined) env.NODE_OPTIONS = inheritedNodeOptions(env.NODE_OPTIONS)
  Object.assign(env, own)
  env[DEPTH_VARIABLE] = String(launch.depth)
  env[CHILD_VARIABLE] = ticketOf(seat, launch.daemon)
  return env
}

function pack(process_: Process, launch: Launch, seat: Seat): { header: Uint8Array; body: Uint8Array } {
  const { header, body } = travelling(process_, launch, mainUrl())
  return {
    header: Buffer.from(JSON.stringify(header), 'utf8'),
    body: encode(body, {
      name: '',
      items: ['class', 'this', 'target', 'args'],
      ...(launch.main === undefined ? {} : { main: launch.main }),
      hold: (offset: number) => holdFor(seat, offset),
    }),
  }
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
function discard(child: ChildProcess): void {
  child.kill('SIGKILL')
  child.unref()
  for (const stream of child.stdio) stream?.destroy()
}

const SIGNAL_NAMES = new Map(
  Object.entries(osConstants.signals).map(([name, number]) => [number, name as NodeJS.Signals]),
)

/** A child started by spawn. Learns its end from the event loop, or, when asked before that turns, from the system. */
class SpawnedProcess implements Running {
  readonly pid: number
  readonly stdout: Readable | null
  readonly stderr: Readable | null
  readonly #child: ChildProcess
  readonly #seat: Seat
  #handle: number | undefined
  #status: ExitStatus | null = null
  #listeners: (() => void)[] = []
  #wanted = true
  #waiting = 0

  constructor(child: ChildProcess, seat: Seat) {
    this.#child = child
    this.pid = child.pid!
    this.stdout = child.stdout
    this.stderr = child.stderr
    this.#seat = seat
    child.once('exit', (code, signal) => {
      this.#end(code ?? -osConstants.signals[signal!], signal)
      giveBack(seat)
    })
  }

  status(): ExitStatus | null {
    if (this.#status === null) {
      const handle = this.#open()
      const ended = handle === undefined ? null : binding().processStatus(handle)
      if (ended !== null) this.#endAs(ended)
    }
    return this.#status
  }
  poll(): boolean {
    return this.status() !== null
  }

  wait(timeout: number): boolean {
    const deadline = timeout === Number.POSITIVE_INFINITY ? timeout : performance.now() + timeout
    const pipes = this.#pipes()
    while (!this.poll()) {
      const left = Math.max(0, deadline - performance.now())
      const handle = this.#open()
      const woken =
        handle === undefined
          ? 1
          : binding().processWait(handle, left, Int32Array.from(pipes.keys()), ownerOf(this.#seat))
      if (woken === 0) return false
      // A child that fills a pipe which nobody reads would never end.
      if (woken === 2) for (const [fd, stream] of pipes) if (!drain(fd, stream)) pipes.delete(fd)
      // libuv has reaped it together with the child whose end is being told just now: its own 'exit' comes next, and
      // corrects what cannot be known here.
      if (woken === 1 && !this.poll()) this.#end(UNKNOWN_EXIT, null)
    }
    return true
  }

  whenEnded(callback: () => void): () => void {
    const stop = this.#keepAlive()
    let wanted = true
    this.onEnd(() => {
      stop()
      if (wanted) callback()
    })
    return () => {
      wanted = false
      stop()
    }
  }

  onEnd(callback: () => void): void {
    if (this.#status === null) this.#listeners.push(callback)
    else callback()
  }

  signal(name: 'SIGTERM' | 'SIGKILL' | 'SIGINT'): void {
    if (!this.poll()) this.#child.kill(name)
  }

  setRef(alive: boolean): void {
    this.#wanted = alive
    this.#applyRef()
  }

  drain(take: (chunk: Buffer) => void): void {
    for (const [fd, stream] of this.#pipes()) if (stream === this.stderr) readAll(fd, take)
  }

  letGo(timeout: number): void {
    // Until it has its parcel it cannot live without us.
    if (!this.poll()) letGo(this.#seat, timeout)
  }

  #keepAlive(): () => void {
    this.#waiting++
    this.#applyRef()
    let done = false
    return () => {
      if (done) return
      done = true
      this.#waiting--
      this.#applyRef()
    }
  }
  #applyRef(): void {
    const alive = this.#wanted || this.#waiting > 0
    if (alive) this.#child.ref()
    else this.#child.unref()
    for (const stream of [this.stdout, this.stderr] as (Socket | null)[])
      if (this.#wanted) stream?.ref()
      else stream?.unref()
  }

  // Until libuv has reaped the child its pid cannot name another process, so opening it late is safe. undefined: it has,
  // and will tell us as soon as this call is over.
  #open(): number | undefined {
    try {
      this.#handle ??= binding().processOpen(this.pid)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
    return this.#handle
  }

  #endAs(ended: { exitCode: number; signal: number }): void {
    if (ended.signal === 0) this.#end(ended.exitCode, null)
    else this.#end(-ended.signal, SIGNAL_NAMES.get(ended.signal) ?? null)
  }
  #end(exitCode: number, signal: NodeJS.Signals | null): void {
    if (this.#status?.exitCode === UNKNOWN_EXIT) this.#status = { exitCode, signal }
    if (this.#status !== null) return
    this.#status = { exitCode, signal }
    if (this.#handle !== undefined) binding().processClose(this.#handle)
    this.#handle = undefined
    for (const listener of this.#listeners.splice(0)) listener()
  }

  #pipes(): Map<number, Readable> {
    const pipes = new Map<number, Readable>()
    for (const stream of [this.stdout, this.stderr]) {
      const fd = (stream as unknown as { _handle?: { fd?: number } } | null)?._handle?.fd
      if (stream !== null && !stream.readableEnded && fd !== undefined && fd >= 0) pipes.set(fd, stream)
    }
    return pipes
  }
}

/** Moves what a pipe holds into its stream. false: the pipe has ended, which the event loop will find again. */
function drain(fd: number, stream: Readable): boolean {
  return readAll(fd, (chunk) => stream.push(chunk))
}
/** false: the pipe has ended. */
function readAll(fd: number, take: (chunk: Buffer) => void): boolean {
  for (;;) {
    const chunk = Buffer.allocUnsafe(READ_BYTES)
    let length: number
    try {
      length = readSync(fd, chunk, 0, READ_BYTES, null)
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EAGAIN'
    }
    if (length === 0) return false
    take(chunk.subarray(0, length))
    if (length < READ_BYTES) return true
  }
}
