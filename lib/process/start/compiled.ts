// The package as V8 has compiled it, for children: they start several ms earlier with it. V8 refuses it where flags or
// versions differ, and the child compiles for itself.
import type { Script } from 'node:vm'
import { chunkScripts } from '../../chunks'
import { rehearseDecoding } from '../../serialize/rehearsal'
import { joinParts } from '../ticket'

/** The script that this very code runs from: lib/load.ts and child/entry.ts pass it in. */
declare const multiprocScript: Script

/** What each script's compiled code was when it went along for the first time, then for the second. */
const codes = new Map<Script, { times: number; code: Uint8Array }>()
let joined: Uint8Array = new Uint8Array(0)

/** Of this file, then of each chunk; empty where a chunk is not loaded. */
export function compiledCode(): Uint8Array {
  // Compiled code has only those functions in it that ran here. From the second child on it pays to run also what only
  // children do otherwise.
  if (codes.get(multiprocScript)?.times === 1) rehearseDecoding()
  let changed = false
  const parts = [multiprocScript, ...chunkScripts()].map((script) => {
    if (script === undefined) return new Uint8Array(0)
    const known = codes.get(script)
    if (known !== undefined && known.times > 1) return known.code
    changed = true
    const code = script.createCachedData()
    codes.set(script, { times: (known?.times ?? 0) + 1, code })
    return code
  })
  if (changed) joined = joinParts(parts)
  return joined
}
