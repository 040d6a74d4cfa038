// The start method of processes whose context says none.
import { checkBoolean, checkOptions } from '../../check'
import { StateError } from '../../errors'
import type { StartMethodName } from '../registry'
import { forkMethod } from './fork'
import { forkRefusedHere } from './forkable'
import { forkserverMethod, forkserverRefused } from './forkserver'
import { checkStartMethod, provideStartMethod, requireStartMethod } from './method'
import { spawnMethod } from './spawn'

provideStartMethod(spawnMethod)
provideStartMethod(forkserverMethod, forkserverRefused, true)
provideStartMethod(forkMethod, forkRefusedHere)

let chosen: StartMethodName | undefined

export function defaultStartMethod(): StartMethodName {
  return chosen ?? 'spawn'
}

/** The start method of processes that do not come from a context of their own. */
export function getStartMethod(): StartMethodName {
  return defaultStartMethod()
}

/**
 * Sets the default start method, once in a program; `force` sets it again.
 * @throws StateError ERR_MP_STATE: it was set before
 * @throws UnsupportedError ERR_MP_UNSUPPORTED: it cannot be used here, see startMethodStatus()
 * @throws TypeError ERR_INVALID_ARG_TYPE; ERR_INVALID_ARG_VALUE: there is no such method
 */
export function setStartMethod(method: StartMethodName, options?: { force?: boolean }): void {
  checkStartMethod('method', method)
  checkOptions('options', options)
  if (options?.force !== undefined) checkBoolean('options.force', options.force)
  if (chosen !== undefined && !options?.force)
    throw new StateError('the start method has already been set: pass { force: true } to change it')
  requireStartMethod(method)
  chosen = method
}

/** In a child: it starts its own children as it was started. A program may still set another method. */
export function inheritStartMethod(method: StartMethodName): void {
  chosen = method
}
