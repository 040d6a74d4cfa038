// The managers of contexts: `getContext('spawn').Manager()` starts a server by that method.
import type { Context } from '../process/context'
import { Manager, type ManagerOptions, SyncManager } from './manager'

declare module '../process/context' {
  interface Context {
    /** As the package's Manager, always with this context's processes. */
    readonly Manager: typeof Manager
    /** As the package's SyncManager, always with this context's processes. */
    readonly SyncManager: typeof SyncManager
  }
}

/** What a context has of its own. */
export function managersOf(context: Context): Record<string, unknown> {
  const Bound = class extends SyncManager {
    constructor(options?: ManagerOptions) {
      super({ context, ...options })
    }
  }
  Object.defineProperty(Bound, 'name', { value: 'SyncManager', configurable: true })
  return { Manager: (options?: ManagerOptions) => Manager({ context, ...options }), SyncManager: Bound }
}
