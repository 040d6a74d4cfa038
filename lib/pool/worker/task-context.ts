// What a running task knows of itself: taskContext(), and the signal by which the pool asks it to stop.
import { checkInteger } from '../../check'
import { CancelledError, StateError, TimeoutError } from '../../errors'
import { TIMED_OUT } from '../protocol'

/** What taskContext() gives inside a task. */
export interface TaskContext {
  /** Aborts when the task is cancelled, or its time is over. `aborted` and `throwIfAborted()` are right in a synchronous loop, too. */
  readonly signal: AbortSignal
  /** Tells the pool's `onProgress`. Does not block. */
  progress(done: number, total: number): void
  /** The number of this worker in its pool; a replacement has a new one. */
  readonly workerId: number
  /** 1, and one more for each time that the task is run again. */
  readonly attempt: number
}

/** What the worker's loop tells of the task that runs. */
export interface Running {
  readonly workerId: number
  readonly attempt: number
  /** 0, or why it is to be aborted. */
  aborted(): number
  progress(done: number, total: number): void
}

let running: Running | undefined // the task
let current: Context | undefined

class Context implements TaskContext {
  readonly workerId: number
  readonly attempt: number
  declare readonly signal: AbortSignal
  readonly #running: Running
  #controller: AbortController | undefined
  #over = false

  constructor(running: Running) {
    this.#running = running
    this.workerId = running.workerId
    this.attempt = running.attempt
    Object.defineProperty(this, 'signal', { enumerable: true, get: () => this.#signal() })
  }
  /** Bound: `const { progress } = taskContext()`. */
  readonly progress = (done: number, total: number): void => {
    checkNumber('done', done)
    checkNumber('total', total)
    if (!this.#over) this.#running.progress(done, total)
  }
  #signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      const { signal } = this.#controller
      const aborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')!.get!
      Object.defineProperties(signal, {
        aborted: {
          configurable: true,
          get: () => {
            this.look()
            return aborted.call(signal)
          },
        },
        throwIfAborted: {
          configurable: true,
          writable: true,
          value: () => {
            this.look()
            AbortSignal.prototype.throwIfAborted.call(signal)
          },
        },
      })
      this.look()
    }
    return this.#controller.signal
  }
  /** Aborts the signal if the pool has said so. */
  look(): void {
    if (this.#over || this.#controller === undefined) return
    const why = this.#running.aborted()
    if (why === 0) return
    this.#over = true
    this.#controller.abort(
      why === TIMED_OUT
        ? new TimeoutError('the task has run out of time')
        : new CancelledError('the task was cancelled'),
    )
  }
  end(): void {
    this.#over = true
  }
}

function checkNumber(name: string, value: unknown): void {
  if (typeof value === 'number' && !Number.isInteger(value) && Number.isFinite(value)) return
  checkInteger(name, value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
}

export function beginTask(task: Running): void {
  running = task
}
export function endTask(): void {
  current?.end()
  running = current = undefined
}
/** The pool has sent word that a task is to abort. */
export function lookForAbort(): void {
  current?.look()
}

/**
 * Of the task that this worker runs: its signal, its progress, which attempt it is. Does not block.
 * @throws StateError ERR_MP_STATE: no task of a pool runs in this process
 */
export function taskContext(): TaskContext {
  if (running === undefined) throw new StateError('taskContext() is for functions that a Pool runs: no task runs here')
  current ??= new Context(running)
  return current
}
