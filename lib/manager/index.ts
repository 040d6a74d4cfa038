// What lib/manager offers.
import { registerExports } from '../serialize'
import { managerServer } from './process'

// The server's process finds it by its name.
registerExports({ managerServer })

export type { Limits } from './handle'
export {
  BaseManager,
  type DictProxy,
  type ListProxy,
  Manager,
  type ManagerOptions,
  type NamespaceProxy,
  type RegisterOptions,
  type Remote,
  type SetProxy,
  SyncManager,
} from './manager'
export { BaseProxy, withOptions } from './proxies/base'
