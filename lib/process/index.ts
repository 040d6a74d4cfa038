// What lib/process offers: the public names, and (with underscores) what the child's entry needs.
import { registerExports } from '../serialize'
import { getContext } from './context'
import { cpuCount } from './cpu-count'
import { activeChildren, currentProcess, parentProcess } from './current'
import { isMain } from './is-main'
import { foreignProcess, Process } from './process'
import { Sentinel } from './sentinel'
import { getStartMethod, setStartMethod } from './start/default'
import { setExecutable } from './start/executable'
import { getAllStartMethods, startMethodStatus } from './start/method'

// A function that uses one of these finds it by its name in the child.
registerExports({
  Process,
  Sentinel,
  activeChildren,
  cpuCount,
  currentProcess,
  foreignProcess,
  getAllStartMethods,
  getContext,
  getStartMethod,
  isMain,
  parentProcess,
  setExecutable,
  setStartMethod,
  startMethodStatus,
})

/** @internal */
export { runChild as __runChild } from './child/bootstrap'
export type { Context, ContextOptions, PreloadOptions } from './context'
export { ensureForkserver, setForkserverPreload } from './context'
export type { ArgsOption, ProcessOptions, Target } from './process'
export type { StartMethodName } from './registry'
export type { StartMethodStatus } from './start/method'
export {
  activeChildren,
  cpuCount,
  currentProcess,
  getAllStartMethods,
  getContext,
  getStartMethod,
  isMain,
  Process,
  parentProcess,
  Sentinel,
  setExecutable,
  setStartMethod,
  startMethodStatus,
}
