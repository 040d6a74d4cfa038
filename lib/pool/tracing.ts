// diagnostics_channel: the tracing channel `multiproc:task`. Nobody pays for it who has no subscriber but for one look.
//
//   call ─▶ start · submitted · end        … settled ─▶ [error] · asyncStart · the promise settles · asyncEnd
//   Sync call ─▶ start · all of it · [error] · end
import type { TracingChannel } from 'node:diagnostics_channel'

/** The message of all events of one call of a pool (`apply`, `map`, `imap` …). */
export interface TaskTrace {
  /** Counts the calls of this process. */
  readonly id: number
  /** The name of the function. */
  readonly name: string
  /** The worker that ran it, of several the last one; undefined: none has so far. */
  pid: number | undefined
  /** The number of that worker in its pool. */
  workerId: number | undefined
  /** What the task gave, in `asyncEnd` and `end`. */
  result?: unknown
  /** What the task threw, in `error`. */
  error?: unknown
}

let channel: TracingChannel<string, TaskTrace> | undefined
let count = 0

/** One call that somebody follows, in the AsyncLocalStorage context of the caller. */
export class Trace {
  readonly #message: TaskTrace
  readonly #scope: { runInAsyncScope(run: () => void): void }

  constructor(name: string) {
    this.#message = { id: ++count, name, pid: undefined, workerId: undefined }
    const { AsyncResource } = process.getBuiltinModule('node:async_hooks')
    this.#scope = new AsyncResource('multiproc:task')
    channel!.start.publish(this.#message)
  }
  /** It has been submitted; of a Sync call: it is over. */
  end(): void {
    channel!.end.publish(this.#message)
  }
  ranIn(pid: number, workerId: number): void {
    this.#message.pid = pid
    this.#message.workerId = workerId
  }
  settle(ok: boolean, value: unknown, sync: boolean, settle: () => void): void {
    const message = this.#message
    this.#scope.runInAsyncScope(() => {
      if (ok) message.result = value
      else {
        message.error = value
        channel!.error.publish(message)
      }
      if (!sync) channel!.asyncStart.publish(message)
      settle()
      if (!sync) channel!.asyncEnd.publish(message)
    })
  }
}

/** Follows a call of this function, if anybody wants to know. */
export function traceOf(name: string): Trace | undefined {
  channel ??= process.getBuiltinModule('node:diagnostics_channel').tracingChannel<string, TaskTrace>('multiproc:task')
  return channel.hasSubscribers ? new Trace(name) : undefined
}
