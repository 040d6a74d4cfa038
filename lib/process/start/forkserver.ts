// Start method "forkserver": children are copied from a template, a process that has booted and loaded everything already.
// Where no template can be had children are spawned instead, and one warning says why.
import { UnsupportedError } from '../../errors'
import { log } from '../../log/log'
import { giveBack, reserve, type Seat, send } from '../parcel'
import { checkLaunch, forkRefused } from './forkable'
import type { Launch, Running, StartMethod } from './method'
import { pack } from './pack'
import { type Outputs, openOutputs } from './pipes'
import type { Spare } from './spare'
import { spawnMethod } from './spawn'
import { preparationEdition, type Template, TemplateChild, TemplateFailure, templateFor } from './template'

/** A template that is killed is replaced; one that is killed again and again is given up. */
const ATTEMPTS = 3

/** Why no template can be had. What is to be preloaded may have been the reason: it holds for that only. */
let failed: { why: string; edition: number } | undefined
/** Why the last template refused a child, where another one may not. */
let passing: string | undefined
let warned = false

/** Why there is no forkserver here; undefined: there is. */
export function forkserverRefused(): string | undefined {
  return (failed?.edition === preparationEdition() ? failed.why : undefined) ?? forkRefused()
}
function fail(why: string): void {
  failed = { why, edition: preparationEdition() }
}

export const forkserverMethod: StartMethod = {
  name: 'forkserver',
  start(process_, launch) {
    checkLaunch(launch, 'forkserver')
    for (let attempt = 0; attempt < ATTEMPTS && forkserverRefused() === undefined; attempt++) {
      const running = tryOnce(process_, launch)
      if (running !== undefined) return running
    }
    if (forkserverRefused() === undefined) fail(passing ?? 'its template was killed again and again')
    warn(forkserverRefused()!)
    return spawnMethod.start(process_, launch)
  },
}

/** undefined: not by this template, or not at all (then forkserverRefused() says why). */
function tryOnce(process_: Parameters<StartMethod['start']>[0], launch: Launch): Running | undefined {
  let seat: Seat | undefined
  let outputs: Outputs | undefined
  try {
    const template = templateFor(launch.main)
    outputs = openOutputs(launch.options)
    // On a later turn: the next child is made while this one runs.
    setImmediate(() => template.askForSpare())
    const spare = bySpare(template, process_, launch, outputs)
    if (spare !== undefined) return new TemplateChild(template, spare.pid!, spare.seat, outputs)
    seat = reserve()
    const asked = template.ask(seat, launch, outputs)
    // The child is made while its parcel is.
    try {
      const { header, body } = pack(process_, launch, seat)
      send(seat, [header, body])
    } catch (error) {
      template.discard(asked)
      throw error
    }
    const pid = template.answerTo(asked)
    if (pid !== undefined) return new TemplateChild(template, pid, seat, outputs)
  } catch (error) {
    outputs?.stdout?.destroy()
    outputs?.stderr?.destroy()
    if (seat !== undefined) giveBack(seat)
    if (!(error instanceof TemplateFailure)) throw error
    if (error.passing) passing = error.message
    else fail(error.message)
    return undefined
  } finally {
    outputs?.close()
  }
  outputs.stdout?.destroy()
  outputs.stderr?.destroy()
  giveBack(seat)
  return undefined
}

/** By the child that was made ahead of need. undefined: there is none, or it was killed. */
function bySpare(
  template: Template,
  process_: Parameters<StartMethod['start']>[0],
  launch: Launch,
  outputs: Outputs,
): Spare | undefined {
  const spare = template.takeSpare(launch, outputs)
  if (spare === undefined) return undefined
  try {
    const { header, body } = pack(process_, launch, spare.seat)
    send(spare.seat, [header, body])
  } catch (error) {
    template.discardSpare(spare)
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MP_GONE') throw error
    return undefined // another child will do, unless it is something else that is gone
  }
  return template.confirm(spare) ? spare : undefined
}

function warn(why: string): void {
  if (warned) return
  warned = true
  log('warn', () => `children are spawned, not copied by a forkserver: ${why}`)
  process.emitWarning(`start method 'forkserver' cannot be used, children are spawned instead: ${why}`, {
    type: 'MultiprocWarning',
    code: 'MULTIPROC_FORKSERVER',
  })
}

/** Boots the template now, and blocks until it is ready. Throws UnsupportedError. */
export function bootForkserver(main: 'import' | undefined): void {
  if (forkserverRefused() === undefined)
    try {
      templateFor(main).askForSpare()
      return
    } catch (error) {
      if (!(error instanceof TemplateFailure)) throw error
      fail(error.message)
    }
  throw new UnsupportedError(`start method 'forkserver' cannot be used: ${forkserverRefused()}`)
}
