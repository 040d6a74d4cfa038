// What this process knows of itself and of its children: one record, no behaviour. process.ts, current.ts, exit.ts and
// the child's bootstrap share it, so that none of them has to import the others.
import type { AuthKey } from './auth-key'
import type { Process } from './process'

/** The start methods. `spawn` is there on every system; see startMethodStatus(). */
export type StartMethodName = 'spawn' | 'forkserver' | 'fork'

export interface Registry {
  /** Was this process started by this package? */
  isChild: boolean
  /** Main module of the process at the root of the tree; only in a child. */
  mainUrl: string | undefined
  current: Process
  parent: Process | null
  /** Position in the tree of processes: [2, 1] is the first child of the second child. */
  identity: readonly number[]
  /** How many Process objects this process has made: numbers their default names. */
  made: number
  /** Although this process is a daemon: it works for a pool. Its own children are daemons, too, unless they say otherwise. */
  mayHaveChildren: boolean
  /** Made at first use: `node:crypto` is slow to load. */
  authKey: AuthKey | undefined
  /** Started, and not known to have ended. */
  readonly children: Set<Process>
}

export const registry: Registry = {
  isChild: false,
  mainUrl: undefined,
  current: undefined as unknown as Process, // current.ts sets it while the package loads
  parent: null,
  identity: [],
  made: 0,
  mayHaveChildren: false,
  authKey: undefined,
  children: new Set(),
}
