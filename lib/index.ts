// The package: exports only. Names with underscores are the package's own: the ES module does not have them.
import * as channel from './channel'
import * as collections from './collections'
import * as errors from './errors'
import { fromHandle, toHandle } from './handle'
import * as log from './log'
import * as manager from './manager'
import * as pool from './pool'
import { bindToContexts, extendContexts } from './process/context'
import { fnRef, setSerializer } from './serialize'
import { registerExports } from './serialize/shared'
import * as shared from './shared'
import * as sharedMemory from './shared-memory'
import * as socket from './socket'
import * as sync from './sync'

export * from './channel'
export { loadedChunks as __loadedChunks } from './chunks'
export * from './collections'
export * from './errors'
export { fromHandle, toHandle } from './handle'
export * from './log'
export * from './manager'
export { memoryStats as __memoryStats } from './memory'
export * from './pool'
export * from './process'
export { fnRef, type Serializer, setSerializer } from './serialize'
export * from './shared'
// Python's name. Here, since one class has one stand-in (chunks.ts).
export { SharedArray as Array } from './shared'
export * from './shared-memory'
export * from './socket'
export * from './sync'
export type { WaitOptions, WaitSyncOptions } from './wait-options'

const ours = {
  ...log,
  fnRef,
  setSerializer,
  toHandle,
  fromHandle,
  ...sync,
  ...shared,
  Array: shared.SharedArray,
  ...collections,
  ...channel,
  ...socket,
  ...sharedMemory,
}
type Members = typeof ours & Omit<typeof pool, 'Pool' | 'ProcessPoolExecutor' | `__${string}`>
declare module './process/context' {
  interface Context extends Members {}
}

registerExports({ ...errors, ...ours, ...pool, ...manager })
extendContexts(ours)
extendContexts(pool)
bindToContexts(['Pool', 'ProcessPoolExecutor'], (context) => pool.__poolsOf(context))
bindToContexts(['Manager', 'SyncManager'], (context) => manager.__managersOf(context))
