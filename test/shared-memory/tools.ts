// What the tests of shared memory by name have in common.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
let made = 0

/** A name that no other test has. */
export function newName(prefix: string): string {
  return `${prefix}_${process.pid}_${made++}`
}
export function exists(name: string): boolean {
  return existsSync(`/dev/shm/${name}`)
}
/** What of this process is left: names, and descriptors of segments (those on their way are closed a moment later). */
export function left(): string[] {
  const names = readdirSync('/dev/shm').filter((name) => name.includes(`_${process.pid}_`))
  const open = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return [] // that of the listing itself
    }
  })
  return [...names, ...open.filter((target) => target.startsWith('/dev/shm/'))]
}
export function codeOf(call: () => unknown): string | undefined {
  try {
    call()
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
  return undefined
}

export interface Program {
  child: ChildProcess
  /** The next line that it says. */
  next(): Promise<string>
  ended: Promise<unknown>
}
/** A Node program of its own, with nothing of ours but the package as `mp`; it lives until its standard input ends. */
export function program(code: string, shell?: string): Program {
  const whole = `const mp = require(${JSON.stringify(root)}); process.stdin.on('end', () => process.exit()).resume(); ${code}`
  const command = [process.execPath, '-e', whole] as const
  const child =
    shell === undefined
      ? spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
      : spawn('/bin/sh', ['-c', `${shell}; exec "$@"`, 'sh', ...command], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface(child.stdout!)[Symbol.asyncIterator]()
  return { child, next: async () => (await lines.next()).value ?? '(it has ended)', ended: once(child, 'close') }
}

/** CPython 3.13 or later of this machine, which knows `track`; undefined: there is none. */
export function python(): string | undefined {
  const versions = join(homedir(), '.pyenv/versions')
  const candidates = existsSync(versions)
    ? readdirSync(versions).map((name) => join(versions, name, 'bin/python3'))
    : []
  for (const path of [...candidates, 'python3'])
    try {
      const check = 'import sys; assert sys.version_info >= (3, 13); import multiprocessing.shared_memory'
      execFileSync(path, ['-c', check], { stdio: 'ignore' })
      return path
    } catch {
      // Not there, or too old.
    }
  return undefined
}
