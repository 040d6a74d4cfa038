// Shared memory with a name, as seen from outside: who has which segment of /dev/shm open, and what nobody has any more.
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { openFiles, ownProcesses } from './roots'

const FOLDER = '/dev/shm'
const STICKY = 0o1000

export interface NamedSegmentInfo {
  name: string
  bytes: number
  /** The last of its holders removes it. */
  tracked: boolean
  /** Processes of this user that have it open, or mapped. */
  holders: number[]
}

/** The segments of this user. */
export function namedSegments(): NamedSegmentInfo[] {
  const found = new Map<string, NamedSegmentInfo>()
  for (const name of list()) {
    const stat = statOf(name)
    if (stat === undefined || !stat.isFile() || stat.uid !== process.geteuid!()) continue
    const segment = { name, bytes: stat.size, tracked: (stat.mode & STICKY) !== 0, holders: [] }
    found.set(`${FOLDER}/${name}`, segment)
    // Who made it has opened it before it had a name: to the system that is another path.
    found.set(`${FOLDER}/#${stat.ino} (deleted)`, segment)
  }
  if (found.size === 0) return []
  for (const pid of ownProcesses())
    for (const segment of new Set([...openFiles(pid).values(), ...mappings(pid)].map((path) => found.get(path))))
      segment?.holders.push(pid)
  return [...new Set(found.values())]
}

/** Tracked segments that no process has open: what namedSweep() would remove, as far as can be seen. */
export function orphans(): NamedSegmentInfo[] {
  return namedSegments().filter(({ tracked, holders }) => tracked && holders.length === 0)
}

function list(): string[] {
  try {
    return readdirSync(FOLDER)
  } catch {
    return []
  }
}
function statOf(name: string): import('node:fs').Stats | undefined {
  try {
    return lstatSync(`${FOLDER}/${name}`)
  } catch {
    return undefined
  }
}
/** CPython keeps no descriptor of what it has mapped. */
function mappings(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/maps`, 'utf8').match(/\/dev\/shm\/.+$/gm) ?? []
  } catch {
    return []
  }
}
