// The command line of a child: which node, and with which of our own flags.
import { fileURLToPath } from 'node:url'
import { invalidType } from '../../check'

let executable: string | undefined

/**
 * The node binary that children run, from the next start on. `path`: a string, a file URL or the bytes of a path. It is not
 * looked at before a start, which throws ENOENT or EACCES if it cannot be run. Throws TypeError (`ERR_INVALID_ARG_TYPE`).
 */
export function setExecutable(path: string | URL | Uint8Array): void {
  if (typeof path === 'string' && path !== '') executable = path
  else if (path instanceof URL) executable = fileURLToPath(path)
  else if (path instanceof Uint8Array) executable = Buffer.from(path).toString('utf8')
  else throw invalidType('path', 'a non-empty string, a file URL or a Uint8Array', path)
}

export function getExecutable(): string {
  return executable ?? process.execPath
}

// Flags that say what to run, or that hold a resource which two processes cannot share: not for a child.
const OWN_FLAGS =
  /^(--eval|--print|--check|--interactive|--input-type|--run|--test|--test-.*|--watch|--watch-.*|--build-snapshot.*|--build-sea|--inspect|--inspect-.*|--debug-port|-e|-p|-pe|-c|-i)(=|$)/s
// Those of them whose value is the next argument, where it is not written with "=".
const WITH_VALUE =
  /^(--eval|--print|--input-type|--run|--test-.*|--watch-path|--inspect-port|--inspect-publish-uid|--debug-port|-e|-p|-pe)$/
const WITHOUT_VALUE = /^(--test-only|--test-force-exit|--test-update-snapshots|--watch-preserve-output)$/

/** This process's own flags (loaders, --conditions, --max-old-space-size …) as a child should have them. */
export function inheritedExecArgv(execArgv: readonly string[] = process.execArgv): string[] {
  const kept: string[] = []
  for (let i = 0; i < execArgv.length; i++) {
    const flag = execArgv[i]!
    if (!OWN_FLAGS.test(flag)) {
      kept.push(flag)
      continue
    }
    const next = execArgv[i + 1]
    if (WITH_VALUE.test(flag) && !WITHOUT_VALUE.test(flag) && next !== undefined && !next.startsWith('--')) i++
  }
  return kept
}

/** NODE_OPTIONS without the inspector's port, which this process has taken. */
export function inheritedNodeOptions(options: string): string {
  return options.replace(/(^|\s)--(inspect(-[a-z-]+)?|debug-port)(=\S*)?(?=\s|$)/g, '$1').trim()
}
