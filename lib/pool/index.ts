// What lib/pool offers.
import { ProcessPoolExecutor, ThreadPoolExecutor } from './executor'
import { asCompleted, Future, waitFutures } from './future'
import { Pool } from './pool'
import { progressBar } from './progress-bar'
import { Task } from './task'
import { ThreadPool } from './thread-pool'
import { taskContext } from './worker/task-context'

export { poolsOf as __poolsOf } from './contexts'
export type { Executor, ExecutorMapOptions, ExecutorOptions, IterablesOf } from './executor'
export type { ReturnWhen, WaitedFutures } from './future'
export type { Summary } from './histogram'
export { ImapIterator, ImapSyncIterator } from './imap'
export * as __inside from './inside'
export type { ImapOptions, MapOptions, PoolOptions, ResourceLimits, TaskOptions } from './options'
export type { ProgressBar, ProgressBarOptions } from './progress-bar'
export type { PoolStats } from './stats'
export { threadWorker as __threadWorker } from './thread-host'
export type { TaskTrace } from './tracing'
export type { TaskContext } from './worker/task-context'
export { poolWorker as __poolWorker } from './worker/worker'
export {
  asCompleted,
  Future,
  Pool,
  ProcessPoolExecutor,
  progressBar,
  Task,
  ThreadPool,
  ThreadPoolExecutor,
  taskContext,
  waitFutures,
}
