// What lib/pool offers.
import { registerExports } from '../serialize'
import { Pool } from './pool'
import { Task } from './task'
import { taskContext } from './worker/task-context'
import { poolWorker } from './worker/worker'

// Workers find these by their names.
registerExports({ Pool, Task, poolWorker, taskContext })

export { poolsOf as __poolsOf } from './contexts'
export type { Summary } from './histogram'
export { ImapIterator, ImapSyncIterator } from './imap'
export type { ImapOptions, MapOptions, PoolOptions, ResourceLimits, TaskOptions } from './options'
export type { PoolStats } from './pool'
export type { TaskContext } from './worker/task-context'
export { Pool, Task, taskContext }
