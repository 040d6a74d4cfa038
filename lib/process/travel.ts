// What of a Process travels to its child, and how it becomes `this` there.
//
//   header  JSON: what must be known before any user code is loaded (names, keys, the main module)
//   body    through lib/serialize: the class (if the user wrote one) and the user's own properties, target, arguments

import { binding } from '../binding'
import { inheritance } from '../log/log'
import { AuthKey } from './auth-key'
import type { Process } from './process'
import { registry, type StartMethodName } from './registry'
import type { Launch } from './start/method'
import { CONTEXT, newState, type ProcessState, STATES } from './state'

export interface Header {
  name: string
  identity: readonly number[]
  daemon: boolean
  authKey: string
  parentPid: number
  parentName: string
  method: StartMethodName
  main: 'import' | undefined
  mainUrl: string | undefined
  /** How it logs, if it does. */
  log?: ReturnType<typeof inheritance>
  /** It is not to run anything itself: children are copied from it. */
  template?: boolean
}

export type Body = [
  Class: (new () => Process) | undefined,
  properties: Record<string, unknown>,
  target: Launch['target'],
  args: readonly unknown[],
]

export function travelling(
  process_: Process,
  launch: Launch,
  mainUrl: string | undefined,
): { header: Header; body: Body } {
  const Class = process_.constructor as new () => Process
  return {
    header: {
      name: launch.name,
      identity: launch.identity,
      daemon: launch.daemon,
      authKey: Buffer.from(launch.authKey).toString('base64'),
      parentPid: process.pid,
      parentName: registry.current.name,
      method: launch.method,
      main: launch.main,
      mainUrl,
      log: inheritance(),
    },
    body: [Object.hasOwn(Class, CONTEXT) ? undefined : Class, { ...process_ }, launch.target, launch.args],
  }
}

/** Makes the object that runs in the child: of the user's class, without running its constructor again. */
export function arrive(header: Header, [Class, properties, target, args]: Body, Default: new () => Process): Process {
  const process_ = Object.create((Class ?? Default).prototype) as Process
  STATES.set(process_, selfState(header, target, args))
  return Object.assign(process_, properties)
}

/** The state of the object for the process that we are in. */
export function selfState(header: Header, target: Launch['target'], args: readonly unknown[]): ProcessState {
  return newState({
    role: 'self',
    name: header.name,
    identity: header.identity,
    daemon: header.daemon,
    authKey: new AuthKey(Buffer.from(header.authKey, 'base64')),
    pid: process.pid,
    makerPid: header.parentPid,
    target,
    args,
  })
}

const METHOD_CODES = { spawn: 1, forkserver: 2, fork: 3 } as const

/** Says in shared memory who this process is: for messages of others, and for `npx multiproc ps`. */
export function introduce({ name, parentPid, method, template }: Header): void {
  binding().setName(name, parentPid, template ? 4 : METHOD_CODES[method])
}
