// Runs a program of test/fixtures/process in a process group of its own, and checks that it leaves no process behind.
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { getAllStartMethods, type StartMethodName } from 'multiproc'

/** The start methods that can be used here: most tests run with each. MULTIPROC_TEST_METHODS names fewer. */
export const METHODS: StartMethodName[] =
  (process.env.MULTIPROC_TEST_METHODS?.split(',') as StartMethodName[] | undefined) ?? getAllStartMethods()

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  lines: string[]
  /** How long it took, ms. */
  elapsed: number
}

export interface ProgramOptions {
  node?: string
  method?: StartMethodName
  flags?: readonly string[]
  env?: NodeJS.ProcessEnv
  timeout?: number
  /** Called with each line of standard output as it comes. */
  onLine?: (line: string, pid: number) => void
}

export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/process/${name}`, import.meta.url))
}

export async function program(
  name: string,
  args: readonly string[] = [],
  options: ProgramOptions = {},
): Promise<Ended> {
  const {
    node = process.env.MULTIPROC_TEST_NODE ?? process.execPath,
    method = 'spawn',
    flags = [],
    env = {},
    timeout = 30_000,
    onLine,
  } = options
  const begun = performance.now()
  // A limit for the whole user: a fork bomb in a test ends itself, not the machine.
  const command = [
    'ulimit -u 2000 2>/dev/null || ulimit -p 2000; exec "$@"',
    'sh',
    node,
    ...flags,
    fixture(name),
    ...args,
  ]
  const child = spawn('/bin/sh', ['-c', ...command], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      NODE_EXTRA_CA_CERTS: undefined,
      NODE_OPTIONS: undefined,
      MULTIPROC_TEST_METHOD: method,
      ...env,
    },
  })
  const pid = child.pid!
  let stdout = ''
  let stderr = ''
  let seen = 0
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
    for (let end = stdout.indexOf('\n', seen); end >= 0; end = stdout.indexOf('\n', seen)) {
      const line = stdout.slice(seen, end)
      seen = end + 1
      onLine?.(line, pid)
    }
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  const closed = new Promise((resolve) => child.once('close', resolve))
  const killer = setTimeout(() => killGroup(pid), timeout)
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (...how) => resolve(how))
  })
  const elapsed = performance.now() - begun
  await groupGone(pid, name, args)
  await closed
  clearTimeout(killer)
  return { code, signal, stdout, stderr, lines: stdout.split('\n').filter((line) => line !== ''), elapsed }
}

/** Waits until no process of the group is left. Node has no event for the end of another's children. */
async function groupGone(group: number, name: string, args: readonly string[]): Promise<void> {
  const deadline = performance.now() + 8000
  while (livingIn(group).length > 0) {
    if (performance.now() > deadline) {
      killGroup(group)
      throw new Error(`${name} ${args.join(' ')} left processes behind`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Pids of the group. A zombie counts as gone: who reaps orphans, and when, is the machine's business. */
function livingIn(group: number): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && statOf(entry)?.group === group && statOf(entry)?.state !== 'Z')
    .map(Number)
}

function statOf(pid: string | number): { state: string; group: number } | undefined {
  try {
    const [state, , group] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return { state: state!, group: Number(group) }
  } catch {
    return undefined
  }
}

/** Does it run (a zombie does not)? */
export function isThere(pid: number): boolean {
  const stat = statOf(pid)
  return stat !== undefined && stat.state !== 'Z'
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // all gone
  }
}
