// The package's errors: one base class, a stable `code` each, and `instanceof` that works across two loaded copies
// of the package (a brand on the prototype, not class identity).
const BRAND = Symbol.for('multiproc.error')

/** Base of every error of this package. `code` starts with `ERR_MP_` and does not change between versions. */
export class MultiprocError extends Error {
  /** What to test for: stable between versions. Each is explained in the guide "Troubleshooting by error code". */
  readonly code: string
  constructor(message: string, code = 'ERR_MP', options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

Object.defineProperty(MultiprocError, Symbol.hasInstance, {
  value(this: { readonly prototype: object }, value: unknown): boolean {
    // A user's own subclass has no brand: it is itself.
    if (!Object.hasOwn(this.prototype, BRAND))
      return Object.prototype.isPrototypeOf.call(this.prototype, value as object)
    const wanted = (this.prototype as { [BRAND]?: string })[BRAND]
    for (let o = value; o !== null && (typeof o === 'object' || typeof o === 'function'); o = Object.getPrototypeOf(o))
      if (Object.hasOwn(o, BRAND) && (o as { [BRAND]?: string })[BRAND] === wanted) return true
    return false
  },
})

function brand(C: { readonly name: string; readonly prototype: object }): void {
  Object.defineProperty(C.prototype, BRAND, { value: C.name })
  Object.defineProperty(C.prototype, 'name', { value: C.name, configurable: true, writable: true })
}

/** A wait that throws on time-out ran out of time (`ERR_MP_TIMEOUT`). */
export class TimeoutError extends MultiprocError {
  constructor(message = 'timed out', code = 'ERR_MP_TIMEOUT', options?: ErrorOptions) {
    super(message, code, options)
  }
}
/** A `get` found the queue empty until its time-out (`ERR_MP_QUEUE_EMPTY`). */
export class QueueEmptyError extends MultiprocError {
  constructor(message = 'the queue is empty', code = 'ERR_MP_QUEUE_EMPTY', options?: ErrorOptions) {
    super(message, code, options)
  }
}
/** A `put` found the queue full until its time-out (`ERR_MP_QUEUE_FULL`). */
export class QueueFullError extends MultiprocError {
  constructor(message = 'the queue is full', code = 'ERR_MP_QUEUE_FULL', options?: ErrorOptions) {
    super(message, code, options)
  }
}
/** The queue was shut down (`ERR_MP_SHUT_DOWN`). */
export class ShutDownError extends MultiprocError {
  constructor(message = 'shut down', code = 'ERR_MP_SHUT_DOWN', options?: ErrorOptions) {
    super(message, code, options)
  }
}
/** The object was closed before (`ERR_MP_CLOSED`). */
export class ClosedError extends MultiprocError {
  constructor(message = 'closed', code = 'ERR_MP_CLOSED', options?: ErrorOptions) {
    super(message, code, options)
  }
}
/** The other end is closed, or its last holder is gone (`ERR_MP_EOF`). */
export class EOFError extends MultiprocError {
  constructor(message = 'the other end is closed', code = 'ERR_MP_EOF', options?: ErrorOptions) {
    super(message, code, options)
  }
}
/** A message is longer than the buffer given for it, or than `maxLength` (`ERR_MP_BUFFER_TOO_SHORT`). `bytes`: the message. */
export class BufferTooShortError extends MultiprocError {
  /** The whole message. */
  readonly bytes: Uint8Array
  constructor(message: string, bytes: Uint8Array, code = 'ERR_MP_BUFFER_TOO_SHORT', options?: ErrorOptions) {
    super(message, code, options)
    this.bytes = bytes
  }
}
/** A value or function cannot travel to another process (`ERR_MP_SERIALIZATION`). `path` says where in the value the culprit is. */
export class SerializationError extends MultiprocError {
  /** Where the culprit is, as `target → captured.db.socket`; empty: the value itself. */
  readonly path: string
  constructor(message: string, path = '', code = 'ERR_MP_SERIALIZATION', options?: ErrorOptions) {
    super(message, code, options)
    this.path = path
  }
}
/** An error from another process that could not be rebuilt as its own class (`ERR_MP_REMOTE`). */
export class RemoteError extends MultiprocError {
  /** The name of the error over there. */
  declare remoteName?: string
  /** Its stack over there. */
  declare remoteStack?: string
  /** Its `code`, if it had one. */
  declare remoteCode?: unknown
  constructor(message: string, code = 'ERR_MP_REMOTE', options?: ErrorOptions) {
    super(message, code, options)
  }
}
/** The object is not in a state that allows the call (`ERR_MP_STATE`, `ERR_MP_NOT_OWNER`, `ERR_MP_RELEASED_TOO_OFTEN`, …). */
export class StateError extends MultiprocError {
  constructor(message: string, code = 'ERR_MP_STATE', options?: ErrorOptions) {
    super(message, code, options)
  }
}
/** This system, runtime or start method cannot do what was asked (`ERR_MP_UNSUPPORTED`, `ERR_MP_NO_ADDON`). */
export class UnsupportedError extends MultiprocError {
  constructor(message: string, code = 'ERR_MP_UNSUPPORTED', options?: ErrorOptions) {
    super(message, code, options)
  }
}

/** The barrier is broken: somebody who was to come died, gave up or aborted it. */
export class BrokenBarrierError extends MultiprocError {
  constructor(message = 'the barrier is broken', code = 'ERR_MP_BROKEN_BARRIER', options?: ErrorOptions) {
    super(message, code, options)
  }
}
/** Threads wait for each other in a circle, for ever. */
export class DeadlockError extends MultiprocError {
  constructor(message: string, code = 'ERR_MP_DEADLOCK', options?: ErrorOptions) {
    super(message, code, options)
  }
}
/** The other end of a connection does not have the key, or does not prove it in time (`ERR_MP_AUTHENTICATION`). */
export class AuthenticationError extends MultiprocError {
  constructor(message: string, code = 'ERR_MP_AUTHENTICATION', options?: ErrorOptions) {
    super(message, code, options)
  }
}

/** How a worker ended. */
export interface WorkerLoss {
  /** Its process. */
  pid: number
  /** As of Process: 0–255, or −N: ended by signal N. */
  exitCode: number | null
  /** The signal that ended it, if one did. */
  signal: NodeJS.Signals | null
  /** The last lines that it wrote to its standard error. */
  stderr: string
  /** Do V8 or the kernel seem to have ended it for want of memory? */
  likelyOutOfMemory: boolean
}
/** The worker that ran the task is gone (`ERR_MP_WORKER_LOST`): killed, crashed, or ended by the task itself. */
export class WorkerLostError extends MultiprocError {
  /** The process that is gone. */
  readonly pid!: number
  /** As of Process: 0–255, or −N: ended by signal N. */
  readonly exitCode!: number | null
  /** The signal that ended it, if one did. */
  readonly signal!: NodeJS.Signals | null
  /** The last lines that it wrote to its standard error. */
  readonly stderr!: string
  /** Do V8 or the kernel seem to have ended it for want of memory? */
  readonly likelyOutOfMemory!: boolean
  constructor(message: string, loss: WorkerLoss, code = 'ERR_MP_WORKER_LOST', options?: ErrorOptions) {
    super(message, code, options)
    const { pid, exitCode, signal, stderr, likelyOutOfMemory } = loss
    Object.assign(this, { pid, exitCode, signal, stderr, likelyOutOfMemory })
  }
}
/** The pool has lost too many workers in a row, or its initializer has failed (`ERR_MP_POOL_BROKEN`). */
export class PoolBrokenError extends MultiprocError {
  constructor(message = 'the pool is broken', code = 'ERR_MP_POOL_BROKEN', options?: ErrorOptions) {
    super(message, code, options)
  }
}
/** The task was cancelled, or its pool terminated, before it had ended (`ERR_MP_CANCELLED`). `cause`: the reason given. */
export class CancelledError extends MultiprocError {
  constructor(message = 'cancelled', code = 'ERR_MP_CANCELLED', options?: ErrorOptions) {
    super(message, code, options)
  }
}

for (const C of [
  MultiprocError,
  TimeoutError,
  QueueEmptyError,
  QueueFullError,
  ShutDownError,
  ClosedError,
  EOFError,
  BufferTooShortError,
  SerializationError,
  RemoteError,
  StateError,
  UnsupportedError,
  BrokenBarrierError,
  DeadlockError,
  WorkerLostError,
  PoolBrokenError,
  CancelledError,
  AuthenticationError,
])
  brand(C)
