// `multiproc doctor`: can everything work here, and what to do about what cannot.
import { readFileSync, statfsSync } from 'node:fs'
import { availableParallelism, freemem, release, totalmem } from 'node:os'
import { addonPath, binding } from '../binding'
import type { Command } from './command'
import { bytes, type Output } from './output'
import { type Multiproc, multiproc } from './package'

type Verdict = 'ok' | 'note' | 'problem'
interface Finding {
  subject: string
  verdict: Verdict
  text: string
  advice?: string
}

const GIB = 1024 ** 3
const PATIENCE_MS = 20_000

export const doctor: Command = {
  name: 'doctor',
  summary: 'checks this machine: platform, addon, start methods, limits',
  usage: '[--json]',
  help: [
    'Options:',
    '  --json           for programs',
    '',
    'Says for each finding what to do. Exit code 1 if something cannot work.',
    '',
    'Example:',
    '  docker run --rm my-image npx multiproc doctor',
  ],
  options: { json: { type: 'boolean' } },
  async run({ values, out }) {
    const findings = await examine()
    const failed = findings.some(({ verdict }) => verdict === 'problem')
    if (values.json) out.json(findings)
    else show(out, findings)
    return failed ? 1 : 0
  },
}

function show(out: Output, findings: readonly Finding[]): void {
  const marks = {
    ok: out.style('green', 'ok'),
    note: out.style('yellow', 'note'),
    problem: out.style('red', 'PROBLEM'),
  }
  for (const { subject, verdict, text, advice } of findings) {
    out.table([[marks[verdict] + ' '.repeat(7 - verdict.length), out.style('bold', subject.padEnd(14)), text]])
    if (advice !== undefined) out.line(`           → ${advice}`)
  }
}

async function examine(): Promise<Finding[]> {
  const findings = [platform(), node(), kernel(), addon()].filter((finding) => finding !== undefined)
  if (findings.some(({ subject, verdict }) => subject === 'addon' && verdict === 'problem')) return findings
  const mp = multiproc()
  findings.push(...startMethods(mp), ...cpus(mp), memory(), ...sharedMemory(), ...limits(), await trial(mp))
  return findings
}

function platform(): Finding {
  const text = `${process.platform}-${process.arch}${libc()}`
  if (process.platform === 'linux') return { subject: 'platform', verdict: 'ok', text }
  const advice = 'Linux is what is tested; see docs/troubleshooting.md for what other systems can do'
  return { subject: 'platform', verdict: 'note', text, advice }
}
function libc(): string {
  if (process.platform !== 'linux') return ''
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime === undefined ? ' (musl)' : ` (glibc ${header.glibcVersionRuntime})`
}

function node(): Finding {
  const text = `${process.version}, ${process.execPath}`
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 17)) return { subject: 'node', verdict: 'ok', text }
  return { subject: 'node', verdict: 'problem', text, advice: 'Node 20.17 or later is needed' }
}

function kernel(): Finding | undefined {
  if (process.platform !== 'linux') return undefined
  const [major = 0, minor = 0] = release().split('.').map(Number)
  if (major > 5 || (major === 5 && minor >= 16)) return { subject: 'kernel', verdict: 'ok', text: release() }
  const text = `${release()}: no futex_waitv before 5.16`
  return {
    subject: 'kernel',
    verdict: 'note',
    text,
    advice: 'all works; that a lock owner was killed is seen up to 100 ms later',
  }
}

function addon(): Finding {
  try {
    binding()
    return { subject: 'addon', verdict: 'ok', text: addonPath() }
  } catch (error) {
    return { subject: 'addon', verdict: 'problem', text: (error as Error).message }
  }
}

function startMethods(mp: Multiproc): Finding[] {
  return (['spawn', 'forkserver', 'fork'] as const).map((method) => {
    const { available, reason } = mp.startMethodStatus(method)
    const is = method === mp.getStartMethod() ? ' (the default)' : ''
    if (available) return { subject: method, verdict: 'ok', text: `can be used${is}` }
    return { subject: method, verdict: method === 'spawn' ? 'problem' : 'note', text: `cannot be used: ${reason}` }
  })
}

function cpus(mp: Multiproc): Finding[] {
  const usable = mp.cpuCount()
  const all = availableParallelism()
  const text = `${usable}${usable < all ? ` of ${all}: the container's quota` : ''}`
  if (usable > 1) return [{ subject: 'cpus', verdict: 'ok', text }]
  return [{ subject: 'cpus', verdict: 'note', text, advice: 'with one CPU more processes do not make anything faster' }]
}

function memory(): Finding {
  const limit = process.constrainedMemory()
  const most = limit > 0 && limit < totalmem() ? limit : totalmem()
  const text = `${bytes(most)}${most < totalmem() ? " (the container's limit)" : ''}, ${bytes(freemem())} free`
  if (most >= GIB / 2) return { subject: 'memory', verdict: 'ok', text }
  return { subject: 'memory', verdict: 'note', text, advice: 'a Node process takes 40 MiB and more: few workers fit' }
}

/** Only SharedMemory lies there; everything else is anonymous, and bounded by the memory alone. */
function sharedMemory(): Finding[] {
  if (process.platform !== 'linux') return []
  try {
    const { bsize, blocks, bavail } = statfsSync('/dev/shm')
    const text = `${bytes(bavail * bsize)} of ${bytes(blocks * bsize)} free`
    if (bavail * bsize >= GIB / 4) return [{ subject: '/dev/shm', verdict: 'ok', text }]
    const advice =
      'SharedMemory throws ENOSPC beyond that: docker run --shm-size=1g, or mount -o remount,size=1g /dev/shm'
    return [{ subject: '/dev/shm', verdict: 'note', text, advice }]
  } catch (error) {
    const advice = 'SharedMemory needs a tmpfs at /dev/shm; all else works without'
    return [{ subject: '/dev/shm', verdict: 'note', text: (error as Error).message, advice }]
  }
}

function limits(): Finding[] {
  let table: string
  try {
    table = readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return []
  }
  const soft = (name: string): number => {
    const [, value] = new RegExp(`^${name}\\s+(\\S+)`, 'm').exec(table) ?? []
    return value === undefined || value === 'unlimited' ? Number.POSITIVE_INFINITY : Number(value)
  }
  const findings: Finding[] = []
  const check = (subject: string, value: number, least: number, verdict: Verdict, advice: string): void => {
    const text = Number.isFinite(value) ? String(value) : 'unlimited'
    findings.push(value >= least ? { subject, verdict: 'ok', text } : { subject, verdict, text, advice })
  }
  check('ulimit -n', soft('Max open files'), 1024, 'note', 'each child takes up to 8 descriptors: ulimit -n 4096')
  check(
    'ulimit -u',
    soft('Max processes'),
    512,
    'note',
    'each Node process has about 12 threads, which count: raise it',
  )
  check(
    'ulimit -f',
    soft('Max file size'),
    8 * GIB + 4 * 1024 ** 2,
    'problem',
    'shared memory is a sparse file: ulimit -f unlimited',
  )
  check('ulimit -v', soft('Max address space'), 16 * GIB, 'note', 'shared memory is mapped: ulimit -v unlimited')
  return findings
}

/** A child, a queue, a lock: does it really work? */
async function trial(mp: Multiproc): Promise<Finding> {
  const begun = performance.now()
  try {
    const queue = new mp.Queue<number>()
    const lock = new mp.Lock()
    const child = new mp.Process({
      target: (q: typeof queue, l: typeof lock) => l.withSync(() => q.putSync(process.pid)),
      args: [queue, lock],
      daemon: true,
    })
    child.start()
    const pid = await queue.get({ timeout: PATIENCE_MS })
    if (pid !== child.pid) throw new Error('a child sent what it should not')
    await child.join({ timeout: PATIENCE_MS })
    const text = `a child was started, took a lock and sent a message in ${Math.round(performance.now() - begun)} ms`
    return { subject: 'trial', verdict: 'ok', text }
  } catch (error) {
    const advice = 'see docs/troubleshooting.md; NODE_DEBUG=multiproc tells more'
    return { subject: 'trial', verdict: 'problem', text: (error as Error).message, advice }
  }
}
