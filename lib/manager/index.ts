// What lib/manager offers.
import { registerExports } from '../serialize'
import { managerServer } from './process'

// The server's process finds it by its name.
registerExports({ managerServer })

export { managersOf as __managersOf } from './contexts'
export type { Limits } from './handle'
export { BaseManager, Manager, type ManagerOptions, type RegisterOptions, SyncManager } from './manager'
export { BaseProxy, withOptions } from './proxies/base'
export type {
  ArrayProxy,
  BarrierProxy,
  ConditionProxy,
  DictProxy,
  EventProxy,
  JoinableQueueProxy,
  ListProxy,
  LockProxy,
  NamespaceProxy,
  PoolProxy,
  QueueProxy,
  Remote,
  SemaphoreProxy,
  SetProxy,
  ValueProxy,
} from './proxy-types'
