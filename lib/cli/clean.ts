// `multiproc clean`: removes what killed programs have left: segments of SharedMemory, sockets of Listeners. All else that
// the package uses vanishes with its last user by itself.
import { type Dirent, lstatSync, readdirSync, readFileSync, rmdirSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { binding } from '../binding'
import type { Command } from './command'
import { namedSegments, orphans } from './named'
import { bytes, count } from './output'

export const clean: Command = {
  name: 'clean',
  summary: 'removes what killed programs have left',
  usage: '[--dry-run] [--json]',
  help: [
    'Options:',
    '  --dry-run        only say what would be removed',
    '  --json           for programs',
    '',
    'Removed are segments of SharedMemory that nobody holds any more (the system knows that, by a lock that it drops when a',
    'process ends), and sockets in folders that Listeners without a path have made. Segments made with { track: false }, or by',
    'CPython, are never touched. Queues, locks, arrays and pools leave nothing.',
    '',
    'Example:',
    '  multiproc clean --dry-run',
  ],
  options: { 'dry-run': { type: 'boolean', short: 'n' }, json: { type: 'boolean' } },
  async run({ values, out }) {
    const dry = values['dry-run'] === true
    const linux = process.platform === 'linux'
    const before = linux ? (dry ? orphans() : namedSegments()) : []
    let segments = before.map(({ name, bytes }) => ({ name, bytes }))
    if (!dry) {
      // The sweep itself asks the system's locks; the list only says what is gone now.
      const removed = binding().namedSweep()
      const left = new Set(linux ? namedSegments().map(({ name }) => name) : [])
      segments = removed === 0 ? [] : segments.filter(({ name }) => !left.has(name))
    }
    const sockets = await deadSockets()
    if (!dry) for (const path of sockets) remove(path)
    if (values.json) {
      out.json({ dryRun: dry, segments, sockets })
      return 0
    }
    const verb = dry ? 'would remove' : 'removed'
    for (const segment of segments) out.line(`${verb} SharedMemory '${segment.name}' (${bytes(segment.bytes)})`)
    for (const path of sockets) out.line(`${verb} socket ${path}`)
    if (segments.length + sockets.length === 0) out.line('Nothing was left behind.')
    else if (!dry) out.line(`${count(segments.length + sockets.length, 'thing')} removed.`)
    return 0
  },
}

/** Sockets in folders of ours that nobody listens at. */
async function deadSockets(): Promise<string[]> {
  if (process.platform === 'win32') return []
  const alive = listening()
  const dead: string[] = []
  for (const folder of new Set([tmpdir(), '/tmp']))
    for (const entry of entries(folder)) {
      const path = join(folder, entry.name)
      if (!entry.isDirectory() || !/^multiproc-\w{6}$/.test(entry.name) || !isPrivate(path)) continue
      const inside = entries(path)
      if (inside.length !== 1 || !inside[0]!.isSocket()) continue
      const socket = join(path, inside[0]!.name)
      if (!alive.has(socket) && (await refuses(socket))) dead.push(socket)
    }
  return dead
}

function entries(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch {
    return []
  }
}
function isPrivate(folder: string): boolean {
  try {
    const { uid, mode } = lstatSync(folder)
    return uid === process.geteuid!() && (mode & 0o077) === 0
  } catch {
    return false
  }
}
/** Paths that somebody listens at, so that nobody who lives is disturbed. */
function listening(): Set<string> {
  try {
    return new Set(readFileSync('/proc/net/unix', 'utf8').match(/(?<= )\/.*$/gm) ?? [])
  } catch {
    return new Set()
  }
}
/** What the system says of a socket that nobody listens at, in whatever container. */
function refuses(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(false)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
  })
}
function remove(socket: string): void {
  try {
    unlinkSync(socket)
    rmdirSync(join(socket, '..'))
  } catch {
    // Somebody was faster.
  }
}
