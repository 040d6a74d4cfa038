// What lib/manager offers.
export { managersOf as __managersOf } from './contexts'
export type { Limits } from './handle'
export {
  BaseManager,
  type Constructors,
  type Factories,
  Manager,
  type ManagerClass,
  type ManagerOptions,
  type RegisterOptions,
  SyncManager,
} from './manager'
export { ManagerServer } from './manager-server'
/** @internal */
export { managerServer as __managerServer } from './process'
export { BaseProxy, withOptions } from './proxies/base'
export type {
  ArrayProxy,
  ArraySync,
  BarrierProxy,
  BarrierSync,
  ConditionProxy,
  ConditionSync,
  DictMore,
  DictProxy,
  EventProxy,
  EventSync,
  JoinableQueueProxy,
  ListMore,
  ListProxy,
  Lockable,
  LockProxy,
  LockSync,
  NamespaceProxy,
  PoolProxy,
  QueueProxy,
  QueueSync,
  Remote,
  SemaphoreProxy,
  SemaphoreSync,
  SetMore,
  SetProxy,
  SyncBatch,
  Twin,
  ValueProxy,
  ValueSync,
} from './proxy-types'
export { tlsThread as __tlsThread } from './tls'
