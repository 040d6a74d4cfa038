// The first moments of a copied process: it becomes an owner of its own in shared memory, gives up what is its parent's,
// and runs its target. A mistake before that ends it at once: it must never go on as if it were the parent.
import { inspect } from 'node:util'
import { binding } from '../../binding'
import { rejoin } from '../../memory'
import { becomeChild } from '../current'
import { resetExitHooks } from '../exit'
import { becomeGeneration } from '../guard'
import { mainUrl } from '../is-main'
import type { Seat } from '../parcel'
import type { Process } from '../process'
import { registry } from '../registry'
import { inheritStartMethod } from '../start/default'
import type { Launch } from '../start/method'
import { closePendingOutputs } from '../start/pipes'
import { closeTemplates } from '../start/template'
import { STATES, stateOf } from '../state'
import { ORPHAN_GRACE_MS } from '../ticket'
import { type Header, introduce, selfState, travelling } from '../travel'
import { leaveBehind } from './copy'
import { raiseLater, runToItsEnd } from './life'
import { watchParent } from './parent-watch'
import { reportUncaught } from './report'
import { redirectOutputs, renewOutputs } from './stdio'

/** What makes any copy a child; `ppid`: of the process that counts as its parent, where that has not forked it. */
export function becomeCopy(
  seat: Pick<Seat, 'slot' | 'generation'>,
  daemon: boolean,
  depth: number,
  ppid?: number,
): void {
  leaveBehind(ppid)
  rejoin(seat.slot, seat.generation, daemon, ORPHAN_GRACE_MS)
  becomeGeneration(depth)
  resetExitHooks()
}

/** The second half, when its standard streams are right. */
export function settle(header: Header): void {
  introduce(header)
  becomeChild(header)
  inheritStartMethod(header.method)
  watchParent()
  reportUncaught()
}

/** In the child of a fork: the whole of its life. */
export function runCopy(process_: Process, launch: Launch, seat: Seat, outputs: readonly [number, number]): void {
  orEnd(() => {
    const { header } = travelling(process_, launch, mainUrl())
    stateOf(registry.current).role = 'other'
    becomeCopy(seat, launch.daemon, launch.depth)
    closeTemplates()
    redirectOutputs(outputs)
    closePendingOutputs()
    renewOutputs()
    setEnvironment(launch.options.env)
    if (launch.options.cwd !== undefined) process.chdir(launch.options.cwd)
    settle(header)
    STATES.set(process_, selfState(header, launch.target, launch.args))
    registry.current = process_
  })
  raiseLater(runToItsEnd(process_))
}

export function setEnvironment(env: NodeJS.ProcessEnv | undefined): void {
  for (const [name, value] of Object.entries(env ?? {}))
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
}

/** Runs what must not fail. */
export function orEnd(work: () => void): void {
  try {
    work()
  } catch (error) {
    try {
      process
        .getBuiltinModule('node:fs')
        .writeSync(2, `multiproc: a copied process could not begin:\n${inspect(error)}\n`)
    } finally {
      binding().exitNow(1)
    }
  }
}
