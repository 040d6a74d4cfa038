// How every figure is taken: ours and the peer's in turn, each in a process of its own, and the medians compared.
//
//   run.mjs ── settings, onProgress ──▶ pairs, alone ──▶ a program of bench/cases or bench/peers, in a process group of its
//   own with a temporary folder of its own: whatever it leaves behind is ended and removed after it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const TIME_LIMIT_MS = 120_000
const here = fileURLToPath(new URL('.', import.meta.url))

/** What `run.mjs` was asked for: at most so many rounds, and whom to tell of each. */
export const settings = { rounds: Number.POSITIVE_INFINITY, onRound: (_round, _rounds) => {} }

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

/** The groups of processes that run now. */
const groups = new Set()

function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if (error.code !== 'ESRCH') throw error // nobody is left in it
  }
}

/** Ends what runs, and lets nothing more begin. */
export function stop() {
  stop.called = true
  for (const pid of groups) endGroup(pid)
}
stop.called = false

/** Why a program failed, in one line of what it wrote. */
function reason(stderr) {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '')
  return (lines.find((line) => /^\S*(Error|Exception)\b.*: /.test(line)) ?? lines.pop() ?? 'no message').trim()
}

/** What a program prints. */
export async function outputOf(command, args) {
  if (stop.called) throw new Error('stopped')
  // Short, since sockets are made in it.
  const folder = mkdtempSync(join(tmpdir(), 'mpb-'))
  // Node 20 reads the file of NODE_EXTRA_CA_CERTS at each start, 36 ms on some machines: not what is measured here.
  const { NODE_EXTRA_CA_CERTS: _, ...env } = { ...process.env, TMPDIR: folder }
  const child = spawn(command, args, { env, cwd: here, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  let late = false
  const timer = setTimeout(() => {
    late = true
    endGroup(child.pid)
  }, TIME_LIMIT_MS)
  try {
    if (child.pid !== undefined) groups.add(child.pid)
    child.once('exit', () => endGroup(child.pid)) // so that nobody is left who would keep the pipes open
    const [code, signal] = await once(child, 'close')
    if (stop.called) throw new Error('stopped')
    if (late) throw new Error(`not done after ${TIME_LIMIT_MS / 1000} s`)
    if (code !== 0) throw new Error(signal === null ? reason(stderr) : `ended by ${signal}`)
    return stdout
  } catch (error) {
    throw error.code === 'ENOENT' ? new Error(`${command} is not installed`) : error
  } finally {
    clearTimeout(timer)
    groups.delete(child.pid)
    rmSync(folder, { recursive: true, force: true })
  }
}

async function numberOf(command, args) {
  const stdout = await outputOf(command, args)
  const value = Number(stdout.trim().split('\n').pop())
  if (stdout.trim() === '' || !Number.isFinite(value))
    throw new Error(`${command} ${args.join(' ')} printed no number: ${stdout}`)
  return value
}

export const programOf = (file) =>
  file.endsWith('.py') ? [python, join(here, 'peers', file)] : [process.execPath, join(here, 'cases', file)]
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

/** The best of several peers, each named with how it is measured. One that is not there is left out, and named. */
export const best = (choose, measures) => async () => {
  const values = []
  const absent = []
  for (const [who, measure] of Object.entries(measures)) {
    try {
      values.push({ who, value: await measure() })
    } catch (error) {
      if (stop.called) throw error
      absent.push(`${who}: ${error.message}`)
    }
  }
  if (values.length === 0) throw new Error(absent.join('; '))
  const value = choose(...values.map((each) => each.value))
  return { value, who: values.find((each) => each.value === value).who, absent }
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted.length % 2
    ? sorted[sorted.length >> 1]
    : (sorted[sorted.length / 2 - 1] + sorted[sorted.length / 2]) / 2
}

/** Median, range and what was measured. */
export const summary = (samples) => ({
  median: median(samples),
  low: Math.min(...samples),
  high: Math.max(...samples),
  samples,
})

/** Runs both in turn, `rounds` times. Without the peer it goes on, and says why there is none. */
export async function pairs(rounds, ours, peer) {
  rounds = Math.min(rounds, settings.rounds)
  const [a, b] = [[], []]
  const notes = new Set()
  const winners = new Set()
  let missing
  for (let round = 0; round < rounds; round++) {
    settings.onRound(round, rounds)
    a.push(await ours())
    if (missing !== undefined) continue
    try {
      const found = await peer()
      if (typeof found === 'number') b.push(found)
      else {
        b.push(found.value)
        winners.add(found.who)
        for (const absent of found.absent) notes.add(absent)
      }
    } catch (error) {
      if (stop.called) throw error
      missing = error.message
      notes.add(missing)
    }
  }
  return {
    ours: summary(a),
    peer: missing === undefined ? { ...summary(b), winners: [...winners] } : null,
    notes: [...notes],
  }
}

/** Without a peer: the bar is a number of its own. */
export async function alone(rounds, ours) {
  rounds = Math.min(rounds, settings.rounds)
  const a = []
  for (let round = 0; round < rounds; round++) {
    settings.onRound(round, rounds)
    a.push(await ours())
  }
  return { ours: summary(a), peer: null, notes: [] }
}
