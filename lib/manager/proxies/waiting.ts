// Proxies of locks, semaphores, conditions, events, barriers, queues and pools: what they wait for takes { timeout, signal } last, as
// the package's own classes do. The time is the server's to watch; a signal cancels the call there, and if that was too late the
// answer counts.
import { checkFunction } from '../../check'
import { ShutDownError } from '../../errors'
import { type Held, runHeld, runHeldSync } from '../../sync/held'
import { asyncWait, syncTimeout, type WaitOptions } from '../../wait-options'
import { handleOf, type Limits } from '../handle'
import { Op } from '../wire'
import { after, BaseProxy, MODE, send } from './base'

/** Calls a method whose last argument is a time-out. */
function wait(proxy: BaseProxy, name: string, args: readonly unknown[], options: WaitOptions | undefined): any {
  let timeout: number
  let limits: Limits | undefined
  if (proxy[MODE].kind === 'async') {
    const checked = asyncWait(options)
    timeout = checked.timeout
    if (checked.signal !== undefined) limits = { signal: checked.signal }
  } else timeout = syncTimeout(options)
  return send(proxy, Op.call, name, timeout === Number.POSITIVE_INFINITY ? args : [...args, timeout], limits)
}
function isSync(proxy: BaseProxy): boolean {
  return proxy[MODE].kind === 'sync'
}

/** An acquisition, to be released once. */
class HeldThere implements Held {
  #release: (() => unknown) | undefined
  readonly abandoned: boolean
  constructor(release: () => unknown, abandoned: boolean) {
    this.#release = release
    this.abandoned = abandoned
  }
  /** In order with what this thread calls next. From an asynchronous acquire() it gives a promise. */
  release(): any {
    const release = this.#release
    this.#release = undefined
    const released = release?.()
    if (!(released instanceof Promise)) return
    released.catch(() => {}) // the server is gone, and the lock with it
    return released
  }
  [Symbol.dispose](): void {
    this.release()
  }
}

class Acquirer extends BaseProxy {
  acquire(options?: WaitOptions): any {
    return after(wait(this, 'acquire', [], options), (acquired) => this.held(acquired))
  }
  tryAcquire(): any {
    return after(send(this, Op.call, 'acquire', [0]), (acquired) => this.held(acquired))
  }
  /** Runs `fn` with it, and releases it however `fn` ends. */
  with(fn: (held: Held) => unknown, options?: WaitOptions): any {
    checkFunction('fn', fn)
    const late = 'a lock of a manager was not acquired in time'
    if (isSync(this)) return runHeldSync(this.acquire(options), late, fn)
    return (this.acquire(options) as Promise<Held | null>).then((held) => runHeld(held, late, fn))
  }
  /** @internal */
  held(acquired: unknown): Held | null {
    if (acquired === null) return null
    const [number, abandoned] = acquired as [number, boolean]
    return new HeldThere(() => send(this, Op.call, 'releaseHeld', [number]), abandoned)
  }
}

export class LockBase extends Acquirer {}

/** No permit differs from another. */
export class SemaphoreBase extends Acquirer {
  override held(acquired: unknown): Held | null {
    return acquired === null ? null : new HeldThere(() => send(this, Op.call, 'release', []), false)
  }
}

export class ConditionBase extends Acquirer {
  wait(options?: WaitOptions): any {
    return wait(this, 'wait', [], options)
  }
  /** Waits until `predicate`, which runs here with the lock held, is true. false: timed out. */
  waitFor(predicate: () => unknown, options?: WaitOptions): any {
    checkFunction('predicate', predicate)
    const { timeout = Number.POSITIVE_INFINITY } = options ?? {}
    const deadline = performance.now() + timeout
    const left = (): WaitOptions => ({ ...options, timeout: Math.max(0, deadline - performance.now()) })
    if (isSync(this)) {
      while (!predicate()) if (!this.wait(left()) && performance.now() >= deadline) return Boolean(predicate())
      return true
    }
    return (async () => {
      while (!(await predicate()))
        if (!(await this.wait(left())) && performance.now() >= deadline) return Boolean(await predicate())
      return true
    })()
  }
}

export class EventBase extends BaseProxy {
  wait(options?: WaitOptions): any {
    return wait(this, 'wait', [], options)
  }
}
export class BarrierBase extends EventBase {}

export class QueueBase extends BaseProxy {
  put(value: unknown, options?: WaitOptions): any {
    return wait(this, 'put', [value], options)
  }
  putMany(values: Iterable<unknown>, options?: WaitOptions): any {
    return wait(this, 'putMany', [[...values]], options)
  }
  get(options?: WaitOptions): any {
    return wait(this, 'get', [], options)
  }
  getMany(most = 2 ** 31 - 1, options?: WaitOptions): any {
    return wait(this, 'getMany', [most], options)
  }
  /** One message a step, until the queue is shut down and empty. */
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    for (;;) {
      let value: unknown
      try {
        value = await handleOf(this)!.call(Op.call, 'get', [])
      } catch (error) {
        if (error instanceof ShutDownError) return
        throw error
      }
      yield value
    }
  }
}
export class JoinableQueueBase extends QueueBase {
  join(options?: WaitOptions): any {
    return wait(this, 'join', [], options)
  }
}
export class PoolBase extends BaseProxy {
  join(options?: WaitOptions): any {
    return wait(this, 'join', [], options)
  }
}
