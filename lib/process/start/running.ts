// What the children of all start methods have in common: waiting for their end, with or without the event loop.
//
//   ask()    how it ended, if the system knows      sleep()    until it has ended or something can be read
import { readSync } from 'node:fs'
import type { Socket } from 'node:net'
import { constants } from 'node:os'
import type { Readable } from 'node:stream'
import { binding } from '../../binding'
import { StateError } from '../../errors'
import { letGo, type Seat } from '../parcel'
import type { EndingSignal, ExitStatus, Running } from './method'

/** A handle of a process that has not been reaped, or -1: it has. */
export function openProcess(pid: number): number {
  try {
    return binding().processOpen(pid)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    return -1
  }
}

const READ_BYTES = 65536

/** The child has ended, how is not known, or not yet. */
export const UNKNOWN: ExitStatus = Object.freeze({ exitCode: 255, signal: null })

// Of two names for one number (SIGABRT, SIGIOT) the first counts, as with node's own.
const SIGNAL_NAMES = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name as NodeJS.Signals]),
)

export function exitStatus({ exitCode, signal }: { exitCode: number; signal: number }): ExitStatus {
  return signal === 0 ? { exitCode, signal: null } : { exitCode: -signal, signal: SIGNAL_NAMES.get(signal) ?? null }
}

export abstract class RunningChild implements Running {
  /** undefined: it is to be forked, at the end of this turn of the event loop. */
  pid: number | undefined
  readonly stdout: Readable | null
  readonly stderr: Readable | null
  protected readonly seat: Seat
  /** A forked child inherits this object, and cannot ask about its siblings. */
  readonly #maker = process.pid
  #status: ExitStatus | null = null
  #listeners: (() => void)[] = []
  readonly #early: EndingSignal[] = []
  #wanted = true
  #waiting = 0

  constructor(seat: Seat, stdout: Socket | null, stderr: Socket | null) {
    this.seat = seat
    this.stdout = stdout
    this.stderr = stderr
  }

  get #ours(): boolean {
    return this.#maker === process.pid
  }

  /** Asks the system, or the template, how it ended. */
  protected abstract ask(): ExitStatus | null
  /** Blocks: 0: time is over, 1: it has ended, 2: one of the descriptors, or of our own, can be read. */
  protected abstract sleep(ms: number, fds: Int32Array): number
  /** It has ended, but ask() does not know how. */
  protected abstract endedUnseen(): void
  /** Does the event loop live as long as the child? */
  protected abstract keepAlive(alive: boolean): void
  protected abstract send(signal: NodeJS.Signals): void
  /** Called once, when the status is known. */
  protected abstract ended(): void

  status(): ExitStatus | null {
    if (this.#status === null && this.pid !== undefined && this.#ours) {
      const status = this.ask()
      if (status !== null) this.end(status)
    }
    return this.#status
  }
  poll(): boolean {
    return this.status() !== null
  }

  wait(timeout: number): boolean {
    const deadline = timeout === Number.POSITIVE_INFINITY ? timeout : performance.now() + timeout
    if (!this.#ours) throw new StateError('can only wait for a child of the current process')
    const pipes = this.#pipes()
    while (!this.poll()) {
      const woken = this.sleep(Math.max(0, deadline - performance.now()), Int32Array.from(pipes.keys()))
      if (woken === 0) return false
      // A child that fills a pipe which nobody reads would never end.
      if (woken === 2) for (const [fd, stream] of pipes) if (!drain(fd, stream)) pipes.delete(fd)
      if (woken === 1 && !this.poll()) this.endedUnseen()
    }
    return true
  }

  whenEnded(callback: () => void): () => void {
    if (!this.#ours) throw new StateError('can only wait for a child of the current process')
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

  signal(name: EndingSignal): void {
    if (!this.#ours) return
    if (this.pid === undefined) this.#early.push(name)
    else if (!this.poll()) this.send(name)
  }
  /** It has its pid: what it was sent before reaches it now. */
  protected born(): void {
    for (const name of this.#early.splice(0)) this.signal(name)
    this.applyRef()
  }

  setRef(alive: boolean): void {
    this.#wanted = alive
    this.applyRef()
  }

  letGo(timeout: number): void {
    // Until it has its parcel it cannot live without us.
    if (this.#ours && this.pid !== undefined && !this.poll()) letGo(this.seat, timeout)
  }

  drain(take: (chunk: Buffer) => void): void {
    for (const [fd, stream] of this.#pipes()) if (stream === this.stderr) readAll(fd, take)
  }

  #keepAlive(): () => void {
    this.#waiting++
    this.applyRef()
    let done = false
    return () => {
      if (done) return
      done = true
      this.#waiting--
      this.applyRef()
    }
  }
  protected applyRef(): void {
    if (this.pid !== undefined && this.#status === null) this.keepAlive(this.#wanted || this.#waiting > 0)
    for (const stream of [this.stdout, this.stderr] as (Socket | null)[])
      if (this.#wanted) stream?.ref()
      else stream?.unref()
  }

  protected end(status: ExitStatus): void {
    if (this.#status === UNKNOWN) this.#status = status
    if (this.#status !== null) return
    this.#status = status
    this.ended()
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
