// How every figure is taken: ours and the peer's in turn, each in a process of its own, and the medians compared.
import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const here = fileURLToPath(new URL('.', import.meta.url))

/** CPython 3.13 where pyenv has it, else the system's python3. */
export const python = (() => {
  const versions = join(homedir(), '.pyenv/versions')
  const found = existsSync(versions)
    ? readdirSync(versions)
        .filter((v) => v.startsWith('3.13'))
        .sort()
        .pop()
    : undefined
  return found === undefined ? 'python3' : join(versions, found, 'bin/python3')
})()

// Node 20 reads the whole file at each start, 36 ms on some machines: not what is measured here.
const env = { ...process.env }
delete env.NODE_EXTRA_CA_CERTS

async function numberOf(command, args) {
  const { stdout } = await run(command, args, { env, cwd: here, timeout: 300_000 })
  const value = Number(stdout.trim().split('\n').pop())
  if (!Number.isFinite(value)) throw new Error(`${command} ${args.join(' ')} printed no number: ${stdout}`)
  return value
}

/** The number that a program of bench/cases prints last. */
export const nodeSays = (file, ...args) => numberOf(process.execPath, [join(here, 'cases', file), ...args.map(String)])
/** The number that a program of bench/peers prints last. */
export const pythonSays = (file, ...args) => numberOf(python, [join(here, 'peers', file), ...args.map(String)])
/** The same with one CPU only: ours and the peer's processes take turns on it. */
export const onOneCpu = {
  nodeSays: (file, ...args) =>
    numberOf('taskset', ['-c', '0', process.execPath, join(here, 'cases', file), ...args.map(String)]),
  pythonSays: (file, ...args) =>
    numberOf('taskset', ['-c', '0', python, join(here, 'peers', file), ...args.map(String)]),
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted.length % 2
    ? sorted[sorted.length >> 1]
    : (sorted[sorted.length / 2 - 1] + sorted[sorted.length / 2]) / 2
}

/** Runs both in turn, `rounds` times. */
export async function pairs(rounds, ours, peer) {
  const a = []
  const b = []
  for (let i = 0; i < rounds; i++) {
    a.push(await ours())
    b.push(await peer())
  }
  return {
    ours: median(a),
    peer: median(b),
    spread: { ours: [Math.min(...a), Math.max(...a)], peer: [Math.min(...b), Math.max(...b)] },
  }
}

/** Without a peer: the bar is a number of its own. */
export async function alone(rounds, ours) {
  const a = []
  for (let i = 0; i < rounds; i++) a.push(await ours())
  return { ours: median(a), spread: { ours: [Math.min(...a), Math.max(...a)] } }
}
