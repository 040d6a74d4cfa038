// The package: exports only.
export * from './errors'
export { Lock, RLock } from './sync'
export type { Held, Named } from './sync'
export type { WaitOptions, WaitSyncOptions } from './wait-options'
