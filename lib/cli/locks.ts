// `multiproc locks`: who has which lock, who waits for it, and who waits for each other.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Call, type Command, pidOption, UsageError } from './command'
import { type Circle, circles, sameCircles } from './deadlocks'
import { lockTable } from './ps'
import { type FoundRoot, findRoots } from './roots'
import { Reading, treeOf } from './tree'

/** What is the same this long later is no accident of when one looked. */
const AGAIN_MS = 100

export const locks: Command = {
  name: 'locks',
  summary: 'locks of live programs: owners, waiters, deadlocks',
  usage: '[--deadlocks] [--pid PID] [--json] [--all]',
  help: [
    'Options:',
    '  --deadlocks      only threads that wait for each other in a circle; exit code 1 if there are any',
    '  --pid PID        only the program that this process belongs to',
    '  --json           for programs',
    '  --all            free locks, too',
    '',
    'Examples:',
    '  multiproc locks                      who holds what, and who waits',
    '  multiproc locks --deadlocks || echo stuck',
    '',
    'A circle is certain if all in it are blocked and nobody else could release what they wait for; the program itself',
    'throws DeadlockError then. Others may still be broken: by a time-out, by a promise that is given up, or by a third',
    'process, since any process that has a plain Lock may release it.',
  ],
  options: {
    deadlocks: { type: 'boolean' },
    pid: { type: 'string' },
    json: { type: 'boolean' },
    all: { type: 'boolean', short: 'a' },
  },
  async run(call) {
    const pid = pidOption(call.values.pid)
    const wanted = (root: FoundRoot): boolean => pid === undefined || root.pids.includes(pid)
    // A check of a mistyped pid must not be green.
    if (pid !== undefined && !findRoots().some(wanted))
      throw new UsageError(`no program of this user runs with multiproc and has process ${pid}`)
    if (call.values.deadlocks) return deadlocks(call, wanted)
    const trees = findRoots().filter(wanted).map(treeOf)
    const { out, values } = call
    const of = (tree: (typeof trees)[number]): typeof tree.locks =>
      tree.locks.filter((lock) => values.all || lock.owners.length + lock.waiters.length > 0 || lock.abandoned)
    if (values.json) {
      out.json(trees.map((tree) => ({ id: tree.id, pids: tree.pids, locks: of(tree) })))
      return 0
    }
    const busy = trees.filter((tree) => of(tree).length > 0)
    if (busy.length === 0) out.line('No lock is held.')
    for (const tree of busy) {
      out.heading(`Program ${tree.id.slice(0, 8)}: processes ${tree.pids.join(' ')}`)
      lockTable(out, of(tree))
    }
    return 0
  },
}

async function deadlocks({ out, values }: Call, wanted: (root: FoundRoot) => boolean): Promise<number> {
  const look = (): Map<string, Circle[]> =>
    new Map(
      findRoots()
        .filter(wanted)
        .flatMap(({ seen }) => (seen === undefined ? [] : [[seen.id, circles(new Reading(seen))] as const])),
    )
  const before = look()
  if ([...before.values()].some((list) => list.length > 0)) await sleep(AGAIN_MS)
  const found = [...look()].flatMap(([program, list]) =>
    sameCircles(before.get(program) ?? [], list).map((circle) => ({ program, ...circle })),
  )
  if (values.json) out.json(found)
  else {
    if (found.length === 0) out.line('No threads wait for each other.')
    for (const { program, certain, members } of found) {
      const kind = certain ? 'Deadlock' : 'They wait for each other (something else may still end it)'
      out.heading(out.style('red', `${kind}, program ${program.slice(0, 8)}:`))
      for (const { pid, threadId, name, waitsFor, blocking, held } of members) {
        const who = `${name} (${pid}${threadId === 0 ? '' : ` thread ${threadId}`})`
        const verb =
          waitsFor === 'its end' ? `waits for the end of ${held}` : `waits for ${waitsFor}, which ${held} holds`
        out.line(`  ${who} ${verb}${blocking ? '' : ' (a promise)'}`)
      }
    }
  }
  return found.length > 0 ? 1 : 0
}
