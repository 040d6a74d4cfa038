// The package: exports only. Names with underscores are the package's own: the ES module does not have them.
import * as errors from './errors'
import { __extendContexts } from './process'
import { fnRef } from './serialize'
import { registerExports } from './serialize/shared'
import * as shared from './shared'
import { Lock, RLock } from './sync'

export * from './errors'
export * from './process'
export { fnRef } from './serialize'
export * from './shared'
export { type Held, Lock, type Named, RLock } from './sync'
export type { WaitOptions, WaitSyncOptions } from './wait-options'

const ours = { Lock, RLock, fnRef, ...shared }
registerExports({ ...errors, ...ours })
__extendContexts(ours)
