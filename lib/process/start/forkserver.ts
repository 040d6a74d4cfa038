// Start method "forkserver": children are copied from a template, a process that has booted and loaded everything already.
// Where no template can be had children are spawned instead, and one warning says why.
import { UnsupportedError } from '../../errors'
import { log } from '../../log/log'
import { giveBack, reserve, send } from '../parcel'
import { checkLaunch, forkRefused } from './forkable'
import type { Launch, Running, StartMethod } from './method'
import { pack } from './pack'
import { type Outputs, openOutputs } from './pipes'
import { spawnMethod } from './spawn'
import { TemplateChild, TemplateFailure, templateFor } from './template'

/** A template that is killed is replaced; one that is killed again and again is given up. */
const ATTEMPTS = 3

let failure: string | undefined
/** Why the last template refused a child, where another one may not. */
let passing: string | undefined
let warned = false

/** Why there is no forkserver here; undefined: there is. */
export function forkserverRefused(): string | undefined {
  return failure ?? forkRefused()
}

export const forkserverMethod: StartMethod = {
  name: 'forkserver',
  start(process_, launch) {
    checkLaunch(launch, 'forkserver')
    for (let attempt = 0; attempt < ATTEMPTS && forkserverRefused() === undefined; attempt++) {
      const running = tryOnce(process_, launch)
      if (running !== undefined) return running
    }
    failure ??= forkRefused() ?? passing ?? 'its template was killed again and again'
    warn(failure)
    return spawnMethod.start(process_, launch)
  },
}

/** undefined: not by this template, or not at all (then `failure` says why). */
function tryOnce(process_: Parameters<StartMethod['start']>[0], launch: Launch): Running | undefined {
  const seat = reserve()
  let outputs: Outputs | undefined
  try {
    const template = templateFor(launch.main)
    outputs = openOutputs(launch.options)
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
    giveBack(seat)
    if (!(error instanceof TemplateFailure)) throw error
    if (error.passing) passing = error.message
    else failure = error.message
    return undefined
  } finally {
    outputs?.close()
  }
  outputs.stdout?.destroy()
  outputs.stderr?.destroy()
  giveBack(seat)
  return undefined
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
  const why = forkserverRefused()
  if (why === undefined)
    try {
      templateFor(main)
      return
    } catch (error) {
      if (!(error instanceof TemplateFailure)) throw error
      failure = error.message
    }
  throw new UnsupportedError(`start method 'forkserver' cannot be used: ${failure ?? why}`)
}
