// The pools of contexts: `getContext('spawn').Pool` makes pools whose workers are processes of that context.
import type { Context } from '../process/context'
import { type ExecutorOptions, ProcessPoolExecutor } from './executor'
import { POOL_CONTEXT, Pool } from './pool'

declare module '../process/context' {
  interface Context {
    /** As the package's Pool, always with this context's processes. */
    readonly Pool: typeof Pool
    /** As the package's ProcessPoolExecutor, always with this context's processes. */
    readonly ProcessPoolExecutor: typeof ProcessPoolExecutor
  }
}

/** The classes that a context has of its own. */
export function poolsOf(context: Context): Record<string, unknown> {
  const Bound = class extends Pool {
    static override readonly [POOL_CONTEXT] = context
  }
  Object.defineProperty(Bound, 'name', { value: 'Pool', configurable: true })
  const BoundExecutor = class extends ProcessPoolExecutor {
    constructor(options?: number | ExecutorOptions) {
      super({ context, ...(typeof options === 'number' ? { maxWorkers: options } : options) })
    }
  }
  Object.defineProperty(BoundExecutor, 'name', { value: 'ProcessPoolExecutor', configurable: true })
  return { Pool: Bound, ProcessPoolExecutor: BoundExecutor }
}
