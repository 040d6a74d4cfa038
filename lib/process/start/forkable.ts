// Can this process be forked, and by what it cannot: what startup needs of Node that Node does not promise.
import { binding } from '../../binding'
import { invalidValue } from '../../check'
import { systemErrorOf } from '../../system-error'
import type { Launch } from './method'

/** Node versions on which the whole matrix of test/process/fork-states.test.ts has passed: see docs/start-methods.md. */
const TESTED_MAJORS = [20, 22, 24, 26]
/** Set to a number, lets this Node version be forked, too: what is verified is verified all the same. */
const OVERRIDE = 'MULTIPROC_FORK_ANY_NODE'

/** Why no process on this machine, with this Node, can be forked; undefined: it can. Nothing is changed by asking. */
export function forkRefused(): string | undefined {
  const major = Number.parseInt(process.versions.node, 10)
  if (
    process.versions.bun !== undefined ||
    process.versions.deno !== undefined ||
    process.versions.electron !== undefined
  )
    return 'it was tested with Node.js only'
  if (!TESTED_MAJORS.includes(major) && process.env[OVERRIDE] === undefined)
    return `it was tested with Node ${TESTED_MAJORS.join(', ')}, and this is Node ${major} (${OVERRIDE}=1 tries it all the same)`
  if (process.env.UV_USE_IO_URING !== undefined && process.env.UV_USE_IO_URING !== '0')
    return 'UV_USE_IO_URING is set, and rings cannot be shared with a child'
  if (process.permission !== undefined) return 'the permission model is on'
  return binding().forkRefused() ?? undefined
}

/** The same for this very process, now. */
export function forkRefusedHere(): string | undefined {
  if (!process.getBuiltinModule('node:worker_threads').isMainThread) return 'only the main thread can fork'
  const why = forkRefused()
  if (why !== undefined) return why
  if (process.features.inspector && process.getBuiltinModule('node:inspector').url()) return 'the inspector is open'
  return undefined
}

/** Has this process loaded this module of node's? */
export function hasLoaded(module: string): boolean {
  return (process as unknown as { moduleLoadList: string[] }).moduleLoadList.includes(`NativeModule ${module}`)
}

let forked = false
/** This is a forked process: it has not all threads of a fresh one. */
export function weWereForked(): void {
  forked = true
}

/** Threads of node itself that only wait: for delayed tasks of V8, and for SIGUSR1 (which a fork does not have). */
export function waitingThreads(): number {
  const signal = process.features.inspector && !process.execArgv.includes('--disable-sigusr1')
  return 1 + (signal && !forked ? 1 : 0)
}

/** How long a start waits for a moment in which no worker thread of node is busy, ms. */
export const PATIENCE_MS = 5000

/** What a copy of a process cannot be given. */
export function checkLaunch(launch: Launch, method: string): void {
  const { execArgv, cwd } = launch.options
  if (execArgv !== undefined)
    throw invalidValue(
      'options.execArgv',
      `absent with start method '${method}', whose children share a node`,
      execArgv,
    )
  if (cwd === undefined) return
  const { statSync } = process.getBuiltinModule('node:fs')
  const { constants } = process.getBuiltinModule('node:os')
  let code: string | undefined
  try {
    if (!statSync(cwd).isDirectory()) code = 'ENOTDIR'
  } catch (error) {
    code = (error as NodeJS.ErrnoException).code ?? 'ENOENT'
  }
  if (code === undefined) return
  const errno = constants.errno[code as keyof typeof constants.errno] ?? constants.errno.ENOENT
  throw Object.assign(systemErrorOf(-errno, `chdir ${cwd}`), { path: cwd })
}
