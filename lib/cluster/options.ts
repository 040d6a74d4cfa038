// What a ClusterPool takes, checked at once.
import { checkBoolean, checkInteger, checkOptions, invalidType } from '../check'
import type { ImapOptions, MapOptions, PoolOptions, TaskOptions } from '../pool/options'
import { fileOf } from './functions'
import { checkName } from './names'
import { checkServerOptions, checkStreamOptions, type ServerOptions, type StreamOptions } from './nats'

export interface ClusterPoolOptions extends ServerOptions, StreamOptions {
  /** The pool's name: nodes that were started with the same one work for it. Default: 'default'. */
  pool?: string | undefined
  /** The name of this submitter, for attach(). Default: a random one. Task ids are unique under it. */
  id?: string | undefined
  /** Functions may go by value, and arguments and results may hold functions and class instances. Nodes must allow it, too. */
  allowFunctions?: boolean | undefined
  /** What modules are called, by their file, where name and path in the nearest package.json are not the same on the nodes. */
  modules?: Readonly<Record<string, string | URL>> | undefined
  /** Without `servers`: run on this machine, in a Pool. */
  local?: boolean | undefined
  /** Of the local pool. */
  processes?: number | undefined
  /** The `timeout` of all tasks that do not say another, ms. Default: none. */
  taskTimeout?: number | undefined
  /** The `retries` of all tasks that do not say others. Default: 0: a task runs at most once. */
  retries?: number | undefined
  /** When so many tasks are under way, more are refused with QueueFullError. Default: no limit. */
  maxQueue?: number | undefined
}

/** As of Pool, without `transfer`. `priority`: above 0, 0 and below 0 are the three levels among nodes. */
export interface ClusterTaskOptions<R = any> extends Omit<TaskOptions<R>, 'transfer'> {
  /** The task's own name: what was submitted under it before, by whoever has the same pool id, does not run again. */
  id?: string | undefined
}
/** Options of map() and starmap() of a ClusterPool. */
export interface ClusterMapOptions<R = any> extends ClusterTaskOptions<R>, Pick<MapOptions, 'chunkSize'> {}
/** Options of imap() and imapUnordered() of a ClusterPool. */
export interface ClusterImapOptions<R = any>
  extends Omit<ClusterMapOptions<R>, 'id'>,
    Pick<ImapOptions, 'settle' | 'chunkSize'> {}

export interface CheckedOptions {
  pool: string
  id: string | undefined
  free: boolean
  named: ReadonlyMap<string, string>
  maxQueue: number
  settings: { priority: number; timeout: number; retries: number; grace: number }
  given: ClusterPoolOptions
  /** For a local pool. */
  local: PoolOptions | undefined
}

const GRACE_MS = 500

export function checkClusterOptions(options: ClusterPoolOptions | undefined): CheckedOptions {
  checkOptions('options', options)
  const o = options ?? {}
  const { pool = 'default', id, allowFunctions = false, local = false, retries = 0, processes } = o
  checkName('options.pool', pool)
  if (id !== undefined) checkName('options.id', id)
  checkBoolean('options.allowFunctions', allowFunctions)
  checkBoolean('options.local', local)
  checkOptions('options.modules', o.modules)
  checkServerOptions(o)
  checkStreamOptions(o)
  checkInteger('options.retries', retries, 0, Number.MAX_SAFE_INTEGER)
  if (o.maxQueue !== undefined) checkInteger('options.maxQueue', o.maxQueue, 1, Number.MAX_SAFE_INTEGER)
  const { taskTimeout = Number.POSITIVE_INFINITY } = o
  if (typeof taskTimeout !== 'number' || Number.isNaN(taskTimeout))
    throw invalidType('options.taskTimeout', 'a number of milliseconds', taskTimeout)
  const { servers } = o
  const none = servers === undefined || servers.length === 0
  if (none && !local)
    throw invalidType('options.servers', 'the address of a NATS server (or options.local true)', servers)
  return {
    pool,
    id,
    free: allowFunctions,
    named: new Map(Object.entries(o.modules ?? {}).map(([name, file]) => [fileOf(file), name])),
    maxQueue: o.maxQueue ?? Number.POSITIVE_INFINITY,
    settings: { priority: 0, timeout: Math.max(0, taskTimeout), retries, grace: GRACE_MS },
    given: o,
    local: none
      ? { processes, retries, taskTimeout: o.taskTimeout, ...(o.maxQueue !== undefined && { maxQueue: o.maxQueue }) }
      : undefined,
  }
}
