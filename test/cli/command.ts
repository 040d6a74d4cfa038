// Runs `multiproc` as a user does, and programs for it to look into.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export const cli = fileURLToPath(new URL('../../dist/cli.cjs', import.meta.url))
const fixtures = fileURLToPath(new URL('../fixtures/cli/', import.meta.url))
const env = {
  ...process.env,
  NODE_OPTIONS: undefined,
  NODE_EXTRA_CA_CERTS: undefined,
  NO_COLOR: undefined,
  FORCE_COLOR: undefined,
}

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

/** Never on a terminal: standard output and error are pipes. */
export async function multiproc(
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; shell?: string } = {},
): Promise<Ended> {
  const command = [process.execPath, cli, ...args]
  const child =
    options.shell === undefined
      ? spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], env: { ...env, ...options.env } })
      : spawn('/bin/sh', ['-c', `${options.shell}; exec "$@"`, 'sh', ...command], {
          stdio: ['ignore', 'pipe', 'pipe'],
          env,
        })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  const [code] = await once(child, 'close')
  return { code, stdout, stderr }
}

export interface Program {
  pid: number
  /** What it printed first. */
  line: string
  end(): Promise<void>
}

/** A program of test/fixtures/cli that has said that it is ready. It ends with its children. */
export async function program(which: string, method = 'spawn'): Promise<Program> {
  const child = spawn(process.execPath, [`${fixtures}tree.mjs`, which], {
    stdio: ['ignore', 'pipe', 'ignore'], // when it is killed its children may have something to say
    env: { ...env, MULTIPROC_TEST_METHOD: method },
  })
  const ended = once(child, 'close')
  let text = ''
  for await (const chunk of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    text += chunk
    if (text.includes('\n')) break
  }
  child.stdout.resume()
  if (!text.includes('\n')) throw new Error(`tree.mjs ${which} ended before it was ready`)
  return {
    pid: child.pid!,
    line: text.split('\n')[0]!,
    async end() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Looks until it is so: what others are about to do has no event here. */
export async function until<T>(look: () => Promise<T>, so: (seen: T) => boolean): Promise<T> {
  const deadline = performance.now() + 30_000
  for (;;) {
    const seen = await look()
    if (so(seen) || performance.now() > deadline) return seen
  }
}
