// What lib/manager offers.
export { managersOf as __managersOf } from './contexts'
export type { Limits } from './handle'
export { BaseManager, Manager, type ManagerOptions, type RegisterOptions, SyncManager } from './manager'
export { ManagerServer } from './manager-server'
/** @internal */
export { managerServer as __managerServer } from './process'
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
export { tlsThread as __tlsThread } from './tls'
