// What a pool tells of itself by numbers.
import type { Engine } from './engine'
import type { Summary } from './histogram'

export interface PoolStats {
  /** Workers that run, and of them those that have a task. */
  processes: number
  busy: number
  /** Tasks (calls, or chunks) that wait for a worker. */
  queued: number
  completed: number
  failed: number
  cancelled: number
  timedOut: number
  retried: number
  /** Workers that ended without being told to. */
  lost: number
  /** ms from submission to start, and from start to end. */
  waitTime: Summary
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
