// Locks, shared by processes and threads.
export type { Held } from './held'
export { Lock } from './lock'
export { RLock } from './rlock'
export type { Named } from './robust-lock'
