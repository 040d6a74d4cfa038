// What lib/pool offers.
import { ProcessPoolExecutor, ThreadPoolExecutor } from './executor'
import { asCompleted, Future, waitFutures } from './future'
import { Pool } from './pool'
import { Task } from './task'
import { ThreadPool } from './thread-pool'
import { taskContext } from './worker/task-context'

export { poolsOf as __poolsOf } from './contexts'
export type { ExecutorMapOptions, ExecutorOptions } from './executor'
export type { ReturnWhen } from './future'
export type { Summary } from './histogram'
export { ImapIterator, ImapSyncIterator } from './imap'
export * as __inside from './inside'
export type { ImapOptions, MapOptions, PoolOptions, ResourceLimits, TaskOptions } from './options'
export type { PoolStats } from './pool'
export { threadWorker as __threadWorker } from './thread-host'
export type { TaskContext } from './worker/task-context'
export { poolWorker as __poolWorker } from './worker/worker'
export {
  asCompleted,
  Future,
  Pool,
  ProcessPoolExecutor,
  Task,
  ThreadPool,
  ThreadPoolExecutor,
  taskContext,
  waitFutures,
}
