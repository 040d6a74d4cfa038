// The process that we are in, its parent and its children, as Process objects.

import { state as logState } from '../log/log'
import { forgetParent, ParentRunning } from './parent'
import { Process } from './process'
import { registry } from './registry'
import type { Running } from './start/method'
import { newState, STATES, stateOf } from './state'
import { type Header, selfState } from './travel'

class MainProcess extends Process {}
class ParentProcess extends Process {}

registry.current = make(MainProcess, { role: 'self', name: 'MainProcess', pid: process.pid })
logState.speaker = () => registry.current

/** The Process object of the process (and thread) that this code runs in. */
export function currentProcess(): Process {
  return registry.current
}

/** The process that started this one: its name, its pid and whether it is still alive. null in the main process. */
export function parentProcess(): Process | null {
  return registry.parent
}

/** The children of this process that are alive. Asks the system; does not block. */
export function activeChildren(): Process[] {
  return [...registry.children].filter((child) => isRunning(stateOf(child).running))
}

function isRunning(running: Running | undefined): boolean {
  return running?.pid !== undefined && !running.poll()
}

/** In a child, before it loads user code: who it is. */
export function becomeChild(header: Header): void {
  registry.isChild = true
  registry.identity = header.identity
  registry.made = 0
  registry.children.clear()
  registry.mainUrl = header.mainUrl
  registry.current = Object.create(Process.prototype)
  STATES.set(registry.current, selfState(header, undefined, []))
  forgetParent()
  const running = new ParentRunning(header.parentPid)
  registry.parent = make(ParentProcess, { role: 'parent', name: header.parentName, pid: header.parentPid, running })
}

function make(Class: typeof MainProcess, known: Parameters<typeof newState>[0]): Process {
  const process_ = Object.create(Class.prototype) as Process
  STATES.set(process_, newState(known))
  return process_
}
