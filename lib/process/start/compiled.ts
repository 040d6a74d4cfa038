// The package as V8 has compiled it, for children: they start several ms earlier with it. V8 refuses it where flags or
// versions differ, and the child compiles for itself.
import type { Script } from 'node:vm'
import { decodeAtOnce, encode } from '../../serialize'

/** The script that this very code runs from: lib/load.ts and child/entry.ts pass it in. */
declare const multiprocScript: Script

let starts = 0
let code: Uint8Array | undefined

export function compiledCode(): Uint8Array {
  // Compiled code has only those functions in it that ran here. From the second child on it pays to run also what only
  // children do otherwise.
  if (starts === 1) decodeAtOnce(encode([undefined, {}, () => {}, [{}]], { name: 'rehearsal' }))
  if (starts < 2) code = multiprocScript.createCachedData()
  starts++
  return code!
}
