// `multiproc ps`: what the live programs of this user do.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Call, type Command, numberOption, pidOption } from './command'
import { circles } from './deadlocks'
import { type NamedSegmentInfo, namedSegments } from './named'
import { bytes, count, type Output } from './output'
import { checkCanFindRoots, findRoots } from './roots'
import { type LockInfo, type ProcessInfo, type QueueInfo, Reading, type Tree, treeOf } from './tree'

const RATE_MS = 200

export const ps: Command = {
  name: 'ps',
  summary: 'live programs: processes and what they wait for, locks, queues, shared memory',
  usage: '[--pid PID] [--watch [--interval S]] [--rates] [--all] [--json]',
  help: [
    'Options:',
    '  --pid PID        only the program that this process belongs to',
    '  --watch          again and again, until Ctrl-C',
    '  --interval S     with --watch: every S seconds (default 1)',
    '  --json           for programs: one JSON array (with --watch: one a line)',
    '  --all            free locks, empty queues and inner channels, too',
    '  --rates          look twice, to tell how many messages a second go through each queue (always so with --watch)',
    '',
    'Examples:',
    '  multiproc ps                     what runs, and who waits for what',
    '  multiproc ps --watch             the same, live',
    "  multiproc ps --json | jq '.[].queues[] | select(.depth > 1000)'",
    '',
    'It reads the memory of other programs of this user, and cannot change or delay them. Linux only.',
  ],
  options: {
    pid: { type: 'string' },
    watch: { type: 'boolean', short: 'w' },
    interval: { type: 'string' },
    json: { type: 'boolean' },
    all: { type: 'boolean', short: 'a' },
    rates: { type: 'boolean' },
  },
  async run(call) {
    checkCanFindRoots()
    const pid = pidOption(call.values.pid)
    const interval = numberOption('interval', call.values.interval, 0.1, 1) * 1000
    const { watch, rates } = call.values
    let last = look(pid)
    if (!watch) {
      if (rates) {
        await sleep(RATE_MS)
        last = withRates(last, look(pid))
      }
      show(call, last, false)
      return 0
    }
    for (;;) {
      show(call, last, true)
      await sleep(interval)
      last = withRates(last, look(pid))
    }
  },
}

interface Look {
  time: number
  trees: Tree[]
  named: NamedSegmentInfo[]
  /** Programs with threads that seem to wait for each other. */
  stuck: Set<string>
}

function look(pid: number | undefined): Look {
  const roots = findRoots().filter(({ pids }) => pid === undefined || pids.includes(pid))
  const stuck = new Set<string>()
  for (const { seen } of roots) if (seen !== undefined && circles(new Reading(seen)).length > 0) stuck.add(seen.id)
  return { time: performance.now(), trees: roots.map(treeOf), named: namedSegments(), stuck }
}

/** Adds what two looks tell together: messages a second. */
function withRates(before: Look, now: Look): Look {
  const seconds = (now.time - before.time) / 1000
  for (const tree of now.trees) {
    const old = before.trees.find(({ id }) => id === tree.id)
    for (const queue of tree.queues) {
      const known = old?.queues.find(({ offset }) => offset === queue.offset)
      if (known === undefined) continue
      queue.putRate = Math.round(((queue.put - known.put) >>> 0) / seconds)
      queue.takenRate = Math.round(((queue.taken - known.taken) >>> 0) / seconds)
    }
  }
  return now
}

function show({ values, out }: Call, { trees, named, stuck }: Look, again: boolean): void {
  if (values.json) {
    const list = trees.map((tree) => ({ ...tree, named: namedOf(tree, named) }))
    if (again) out.line(JSON.stringify(list))
    else out.json(list)
    return
  }
  if (again) out.clear()
  if (trees.length === 0)
    out.line(
      `No program of this user runs with multiproc${values.pid === undefined ? '' : ` and has process ${values.pid}`}.`,
    )
  for (const [i, tree] of trees.entries()) {
    if (i > 0) out.line()
    showTree(out, tree, values.all === true, namedOf(tree, named))
    if (stuck.has(tree.id))
      out.line(out.style('red', '\n  Some seem to wait for each other: see multiproc locks --deadlocks'))
  }
}

/** Segments with a name that processes of the tree have open. */
function namedOf(tree: Tree, named: NamedSegmentInfo[]): NamedSegmentInfo[] {
  return named.filter(({ holders }) => holders.some((pid) => tree.pids.includes(pid)))
}

function showTree(out: Output, tree: Tree, all: boolean, named: NamedSegmentInfo[]): void {
  const size = `${count(tree.processes.length, 'process', 'processes')}, ${count(tree.blocks, 'object')}, ${bytes(tree.bytes)}`
  out.heading(`Program ${tree.id.slice(0, 8) || `of process ${tree.pids[0]}`}: ${tree.refusal ?? size}`)
  if (tree.truncated) out.line(out.style('yellow', '  (there is more than can be shown)'))
  if (tree.processes.length > 0) processTable(out, tree.processes)
  const locks = tree.locks.filter((lock) => all || lock.owners.length + lock.waiters.length > 0 || lock.abandoned)
  if (locks.length > 0) lockTable(out, locks)
  const queues = tree.queues.filter(
    (q) => all || (!q.object.startsWith('Pool') && q.depth + q.waiters.length > 0) || busy(q),
  )
  if (queues.length > 0) queueTable(out, queues)
  const memory = [
    ...tree.segments.map((s) => [s.object, bytes(s.bytes), holdersText(s.holders)]),
    ...named.map((s) => [`SharedMemory '${s.name}'`, bytes(s.bytes), holdersText(s.holders)]),
  ]
  if (memory.length > 0) {
    out.line()
    out.headed([['MEMORY', 'SIZE', 'HELD BY'], ...memory])
  }
}
const busy = (queue: QueueInfo): boolean => (queue.putRate ?? 0) + (queue.takenRate ?? 0) > 0
const holdersText = (pids: readonly number[]): string =>
  pids.length === 0
    ? 'a message'
    : pids.slice(0, 12).join(' ') + (pids.length > 12 ? ` and ${pids.length - 12} more` : '')

/** Children below their parents. */
function processTable(out: Output, processes: readonly ProcessInfo[]): void {
  const rows: string[][] = [['PID', 'NAME', 'STARTED BY', 'WAITS FOR']]
  const met = new Set<ProcessInfo>()
  const add = (process_: ProcessInfo, depth: number): void => {
    if (met.has(process_)) return
    met.add(process_)
    const name = `${'  '.repeat(depth)}${process_.name}`
    const method = process_.startMethod ?? (process_.state === 'starting' ? '' : '–')
    if (process_.state !== 'running')
      rows.push([String(process_.pid || ''), name, method, out.style('yellow', process_.state)])
    for (const [i, thread] of process_.threads.entries()) {
      const waits = thread.waits.map(({ what, blocking }) => (blocking ? what : `${what} (promise)`)).join(', ')
      const head =
        i === 0 ? [String(process_.pid), name, method] : ['', `${'  '.repeat(depth)}  thread ${thread.threadId}`, '']
      if (process_.state === 'running') rows.push([...head, waits === '' ? out.style('dim', 'nothing') : waits])
    }
    for (const child of processes)
      if (child.startedBy === process_.pid && child.pid !== process_.pid) add(child, depth + 1)
  }
  const pids = new Set(processes.map(({ pid }) => pid))
  for (const process_ of processes) if (process_.startedBy === null || !pids.has(process_.startedBy)) add(process_, 0)
  for (const process_ of processes) add(process_, 0)
  out.headed(rows)
  for (const main of processes.filter(({ startMethod, command }) => startMethod === null && command !== ''))
    out.line(out.style('dim', `  ${main.pid}: ${main.command}`))
}

export function lockTable(out: Output, locks: readonly LockInfo[]): void {
  out.line()
  const who = (list: LockInfo['owners']): string =>
    list
      .map(({ pid, threadId, name }) => `${name} (${pid}${threadId === 0 ? '' : ` thread ${threadId}`})`)
      .join(', ') || '–'
  out.headed([
    ['LOCK', 'HELD BY', 'STATE', 'WAITING'],
    ...locks.map((lock) => [
      lock.object,
      who(lock.owners),
      lock.abandoned
        ? out.style('yellow', 'abandoned')
        : (lock.state ?? (lock.value === undefined ? '' : String(lock.value))),
      who(lock.waiters),
    ]),
  ])
}

function queueTable(out: Output, queues: readonly QueueInfo[]): void {
  out.line()
  const limit = (queue: QueueInfo): string => (queue.maxSize > 0 ? ` of ${queue.maxSize}` : '')
  const rate = (queue: QueueInfo): string =>
    queue.putRate === undefined ? '' : `${queue.putRate}/s in, ${queue.takenRate}/s out`
  const waiting = (queue: QueueInfo): string =>
    queue.waiters.map(({ pid, name, for: what }) => `${name} (${pid}) for ${what}`).join(', ') || '–'
  out.headed([
    ['QUEUE', 'MESSAGES', 'BYTES', 'RATE', 'WAITING'],
    ...queues.map((q) => [
      q.object,
      `${q.depth}${limit(q)}${q.shutDown ? ' shut down' : ''}${q.unfinished === undefined ? '' : `, ${q.unfinished} not done`}`,
      bytes(q.bytes),
      rate(q),
      waiting(q),
    ]),
  ])
}
