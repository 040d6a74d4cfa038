// The guard against fork bombs: a program that starts processes while it is loaded, and is loaded again in each child.
//
//   1. While a child loads user code, start() throws. "While" is two things:
//        from the first line of the child until its target starts to run (`loading`, a plain flag), and
//        whatever that load left behind: a top-level await, a timer, an `async main()` that went on after the target
//        had started. An AsyncLocalStorage follows those.
//   2. A counter in the environment stops a chain of generations whatever else fails, also across child_process.
import { StateError } from '../errors'
import { CHILD_VARIABLE, DEPTH_VARIABLE, MAX_DEPTH_VARIABLE } from './environment'

const DEFAULT_MAX_DEPTH = 16
const MAX_DEPTH_CAP = 64

type AsyncHooks = typeof import('node:async_hooks')

// A preload (--require, NODE_OPTIONS) of a child runs before the child's entry: that is loading, too.
let loading = process.env[CHILD_VARIABLE] !== undefined
let load: { getStore(): true | undefined } | undefined

// Read once: user code may replace process.env, and must not reset the count by it.
let depth = Math.max(0, Number.parseInt(process.env[DEPTH_VARIABLE] ?? '0', 10) || 0)

function maxDepth(): number {
  const wished = Number.parseInt(process.env[MAX_DEPTH_VARIABLE] ?? '', 10)
  return Number.isNaN(wished) ? DEFAULT_MAX_DEPTH : Math.min(Math.max(wished, 0), MAX_DEPTH_CAP)
}

/** The generation that a process started from here belongs to. Throws StateError where starting one is refused. */
export function checkMayStart(): number {
  if (loading || load?.getStore())
    throw new StateError(
      `a process cannot be started while a child loads the program's modules: each child would start its own, without end. \
Start processes only in the program's main module, inside
  if (isMain(import.meta)) { … }      // CommonJS: if (isMain(module)) { … }
which is false in a child (isMain is exported by 'multiproc').`,
    )
  const limit = maxDepth()
  if (depth >= limit)
    throw new StateError(
      `a process cannot be started ${depth + 1} generations deep: the limit is ${limit}. If each process of this chain was \
meant, raise ${MAX_DEPTH_VARIABLE} (at most ${MAX_DEPTH_CAP}); else guard the start with isMain().`,
      'ERR_MP_TOO_DEEP',
    )
  return depth + 1
}

/** This process is a copy of one that was of another generation. */
export function becomeGeneration(n: number): void {
  depth = n
  process.env[DEPTH_VARIABLE] = String(n)
  loading = false
}

/** Runs what loads user code in a child; from its end on, code that it did not leave behind may start processes. */
export async function whileLoading<T>(loadUserCode: () => Promise<T>): Promise<T> {
  loading = true
  const hooks = process.getBuiltinModule('node:async_hooks')
  const storage = new hooks.AsyncLocalStorage<true>()
  const leftovers = trackLeftovers(hooks, storage)
  load = storage
  const value = await storage.run(true, loadUserCode)
  // What the load left in the microtask queue gets to run before anybody asks what is left.
  await new Promise((resolve) => setImmediate(resolve))
  if (leftovers?.stop() === 0) {
    storage.disable()
    load = undefined
  }
  return value
}

/** The target starts to run. */
export function doneLoading(): void {
  loading = false
}

/**
 * Counts what an ended load could still continue from: timers, servers, requests. Before Node 24 an AsyncLocalStorage
 * makes every await of the process three times as slow, so it is kept only for a load that left something.
 */
function trackLeftovers(hooks: AsyncHooks, storage: { getStore(): true | undefined }): { stop(): number } | undefined {
  if (Number.parseInt(process.versions.node, 10) >= 24) return undefined
  const alive = new Set<number>()
  const hook = hooks
    .createHook({
      init(id, type) {
        // A promise goes on only when something else wakes it; ticks and microtasks are over by the time of stop().
        if (type !== 'PROMISE' && type !== 'TickObject' && type !== 'Microtask' && storage.getStore()) alive.add(id)
      },
      destroy: (id) => void alive.delete(id),
    })
    .enable()
  return {
    stop() {
      hook.disable()
      return alive.size
    },
  }
}
