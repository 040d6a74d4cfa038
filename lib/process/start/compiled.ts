// The package compiled by V8, for children: they start several ms earlier with it. Made at the second start, while that
// child boots: a program that starts one child does not pay for it. V8 refuses it where flags or versions differ, and
// the child compiles for itself.
import { join } from 'node:path'
import { packageRoot } from '../../binding'
import { packageScript } from '../ticket'

const NONE = new Uint8Array(0)

let starts = 0
let code: Uint8Array | undefined

/** Will the next child find compiled code in its parcel? Decided before it is spawned. */
export function willCompile(): boolean {
  return starts++ > 0
}

export function compiledCode(wanted: boolean): Uint8Array {
  if (!wanted) return NONE
  code ??= packageScript(join(packageRoot, 'dist', 'index.cjs')).createCachedData()
  return code
}
