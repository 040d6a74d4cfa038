// The package itself, for those subcommands that use it: loaded only then.
import { join } from 'node:path'

export type Multiproc = typeof import('../index')

export function multiproc(): Multiproc {
  return require(join(__dirname, 'index.cjs'))
}
