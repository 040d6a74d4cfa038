// What happens to processes, on Node's diagnostics_channel, for tools that measure and trace.
import { channel } from 'node:diagnostics_channel'
import type { Process } from '../process/process'
import { log } from './log'

// Node only keeps a channel that somebody keeps.
const started = channel('multiproc:process:start')
const exited = channel('multiproc:process:exit')

/** In the process that has started it: `multiproc:process:start`. */
export function tellStart(process_: Process, name: string, pid: number, startMethod: string): void {
  log('info', () => `started '${name}' (pid ${pid}, ${startMethod})`)
  if (started.hasSubscribers) started.publish({ process: process_, name, pid, startMethod })
}

/** In the process that has started it: `multiproc:process:exit`, when it is known how it ended. */
export function tellExit(
  process_: Process,
  name: string,
  pid: number,
  exitCode: number,
  signal: NodeJS.Signals | null,
): void {
  const how = signal === null ? `exit code ${exitCode}` : `signal ${signal}`
  log('info', () => `'${name}' (pid ${pid}) has ended: ${how}`)
  if (exited.hasSubscribers) exited.publish({ process: process_, name, pid, exitCode, exitSignal: signal })
}
