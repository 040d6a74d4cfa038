// What lib/process offers: the public names, and (with an underscore) what the child's entry needs.
export { runChild as _runChild } from './child/bootstrap'
export {
  type Context,
  ensureForkserver,
  extendContexts,
  getContext,
  setForkserverPreload,
} from './context'
export { cpuCount } from './cpu-count'
export { activeChildren, currentProcess, parentProcess } from './current'
export { isMain } from './is-main'
export { type ArgsOption, Process, type ProcessOptions } from './process'
export type { StartMethodName } from './registry'
export { Sentinel } from './sentinel'
export { getStartMethod, setStartMethod } from './start/default'
export { setExecutable } from './start/executable'
export { getAllStartMethods, startMethodStatus } from './start/method'
