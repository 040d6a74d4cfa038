// Pools in the workers of pools: allowed, to a depth. A bug that makes a pool in each task would else be a fork bomb of n to the
// power of its depth.
import { StateError } from '../errors'

export const POOL_DEPTH_VARIABLE = 'MULTIPROC_POOL_DEPTH'
export const MAX_POOL_DEPTH_VARIABLE = 'MULTIPROC_MAX_POOL_DEPTH'
const DEFAULT_MAX = 2
const CAP = 8

// Read once: user code may replace process.env, and must not reset the count by it.
let depth = Math.max(0, Number.parseInt(process.env[POOL_DEPTH_VARIABLE] ?? '0', 10) || 0)

/** How many pools this process works for, one inside the other. */
export function poolDepth(): number {
  return depth
}

/** A worker thread has the environment of its process: it is told. */
export function setPoolDepth(pools: number): void {
  depth = pools
}

/** Throws StateError (`ERR_MP_TOO_DEEP`) where another pool would be one too many. */
export function checkPoolDepth(): void {
  const wished = Number.parseInt(process.env[MAX_POOL_DEPTH_VARIABLE] ?? '', 10)
  const limit = Number.isNaN(wished) ? DEFAULT_MAX : Math.min(Math.max(wished, 0), CAP)
  if (depth > limit)
    throw new StateError(
      `a pool cannot be made in a worker of a pool ${depth} deep: the limit is ${limit}. If each of these pools was meant, \
raise ${MAX_POOL_DEPTH_VARIABLE} (at most ${CAP})`,
      'ERR_MP_TOO_DEEP',
    )
}
