// What a pool tells of itself by numbers.
import type { Engine } from './engine'
import type { Summary } from './histogram'

/** What `stats()` of a pool gives. Counts are of the whole life of the pool. */
export interface PoolStats {
  /** Workers that run. */
  processes: number
  /** Workers that have a task. */
  busy: number
  /** Tasks (calls, or chunks) that wait for a worker. */
  queued: number
  /** Tasks that ended with a result. */
  completed: number
  /** Tasks that ended with an error. */
  failed: number
  /** Tasks that were cancelled. */
  cancelled: number
  /** Tasks whose time was over. */
  timedOut: number
  /** How often a task was run again after its worker was lost. */
  retried: number
  /** Workers that ended without being told to. */
  lost: number
  /** From submission to start, in ms. */
  waitTime: Summary
  /** From start to end, in ms. */
  runTime: Summary
}

export function statsOf(engine: Engine): PoolStats {
  engine.weedQueue()
  return {
    processes: engine.crew.all.length,
    busy: engine.running,
    queued: engine.queued,
    ...engine.counts,
    waitTime: engine.waitTimes.summary(),
    runTime: engine.runTimes.summary(),
  }
}
