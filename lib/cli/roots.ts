// Finds the roots of other programs: each is an anonymous piece of memory that the processes of one program have open.
//
//   /proc/PID/fd/N ──▶ "/memfd:multiproc (deleted)" ──▶ opened for reading, once for each ──▶ inspectRoot()
//
// Whatever is found there is another program's: it may end at any moment, and may be made to deceive.
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import type { SeenRoot } from '../../binding'
import { binding } from '../binding'
import { CommandError } from './command'

const MEMORY = '/memfd:multiproc (deleted)'

export interface FoundRoot {
  /** Processes that have it open. */
  pids: number[]
  seen: SeenRoot | undefined
  /** Why it cannot be read. */
  refusal: string | undefined
}

/** Throws CommandError where roots cannot be found. */
export function checkCanFindRoots(): void {
  if (process.platform !== 'linux')
    throw new CommandError(
      'other programs can be looked into on Linux only: elsewhere their shared memory cannot be found from outside',
    )
}

/** Pids of the processes of this user. */
export function ownProcesses(): number[] {
  const user = process.geteuid!()
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => attempt(() => statSync(`/proc/${pid}`).uid === user) === true)
}

/** Names of what a process has open: descriptor → what /proc says of it. */
export function openFiles(pid: number): Map<string, string> {
  const found = new Map<string, string>()
  for (const fd of attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
    const link = attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`))
    if (link !== undefined) found.set(fd, link)
  }
  return found
}

/** All roots that processes of this user have open, each looked at once. */
export function findRoots(): FoundRoot[] {
  checkCanFindRoots()
  const roots = new Map<string, FoundRoot>()
  for (const pid of ownProcesses()) {
    for (const [fd, link] of openFiles(pid)) {
      if (link !== MEMORY) continue
      // Should it be something else by now, opening it must not wait for anybody.
      const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY
      const mine = attempt(() => openSync(`/proc/${pid}/fd/${fd}`, flags))
      if (mine === undefined) continue
      try {
        const { dev, ino } = fstatSync(mine, { bigint: true })
        const known = roots.get(`${dev}:${ino}`)
        if (known !== undefined) {
          if (!known.pids.includes(pid)) known.pids.push(pid)
          continue
        }
        roots.set(`${dev}:${ino}`, { pids: [pid], ...look(mine) })
      } finally {
        closeSync(mine)
      }
    }
  }
  return [...roots.values()].sort((a, b) => a.pids[0]! - b.pids[0]!)
}

function look(fd: number): Pick<FoundRoot, 'seen' | 'refusal'> {
  try {
    return { seen: binding().inspectRoot(fd), refusal: undefined }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MP_NO_ADDON') throw error
    return { seen: undefined, refusal: (error as Error).message }
  }
}

/** What was started, as one line; empty: it is gone. */
export function commandLine(pid: number): string {
  const text = attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')) ?? ''
  return text.split('\0').filter(Boolean).join(' ')
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
