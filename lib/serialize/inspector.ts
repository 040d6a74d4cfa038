// What only V8's inspector knows about a function: where it was written, the variables it captured (as live values), the parts of
// a bound function, the private fields of an instance. An in-process session is connected for the duration of one use and leaves
// nothing enabled; a debugger of the user's own has its own session and sees nothing of ours.
//
//   box (on `process` for the one evaluation that fetches its remote id) <- the object in question -> remote id -> properties
//   live values come back by passing their remote ids as arguments of a function that puts them into the box
import type { Session } from 'node:inspector'
import { UnsupportedError } from '../errors'

const BOX = Symbol.for('multiproc.inspected')
const GROUP = 'multiproc'

export interface Scope {
  description: string
  object: Record<string, unknown> | undefined
}
export interface Location {
  scriptId: string
  lineNumber: number
  columnNumber: number
}
export interface ParsedScript {
  scriptId: string
  url: string
  sourceMapURL?: string
}

let box: { value: unknown; out: any } | undefined
let session: Session | undefined
let boxId = ''
let depth = 0

function post(method: string, params?: object): any {
  let failure: unknown
  let result: any
  ;(session as any).post(method, params, (error: unknown, value: unknown) => {
    failure = error
    result = value
  })
  if (failure) throw new Error(`${method}: ${(failure as Error).message}`)
  if (result?.exceptionDetails) throw new Error(`${method}: ${result.exceptionDetails.exception?.description}`)
  return result
}

/** Runs `work` with a connected session. Throws UnsupportedError where this process may not or cannot use the inspector. */
export function withInspector<T>(work: () => T): T {
  if (depth === 0) connect()
  depth++
  try {
    return work()
  } finally {
    if (--depth === 0) {
      session!.disconnect()
      session = undefined
    }
  }
}
function connect(): void {
  try {
    const inspector =
      process.getBuiltinModule?.('node:inspector') ?? (require('node:inspector') as typeof import('node:inspector'))
    session = new inspector.Session()
    session.connect()
    box ??= { value: undefined, out: undefined }
    // Through `process` and not `globalThis`: the session speaks to the main context, this code may run in another one.
    Object.defineProperty(process, BOX, { value: box, configurable: true })
    try {
      boxId = post('Runtime.evaluate', {
        expression: `process[Symbol.for('multiproc.inspected')]`,
        silent: true,
        objectGroup: GROUP,
      }).result.objectId
    } finally {
      delete (process as any)[BOX]
    }
  } catch (error) {
    session = undefined
    throw new UnsupportedError(
      `the inspector, which reads functions, is not available in this process (${(error as Error).message}); export the function from a module and name it with fnRef(import.meta.url, 'name')`,
      'ERR_MP_UNSUPPORTED',
      { cause: error },
    )
  }
}

function remote(value: unknown): string {
  box!.value = value
  try {
    return post('Runtime.callFunctionOn', {
      objectId: boxId,
      functionDeclaration: 'function(){return this.value}',
      silent: true,
      objectGroup: `${GROUP}.use`,
    }).result.objectId
  } finally {
    box!.value = undefined
  }
}
const argument = (v: any): object =>
  v === undefined
    ? {}
    : v.objectId
      ? { objectId: v.objectId }
      : v.unserializableValue
        ? { unserializableValue: v.unserializableValue }
        : { value: v.value }

function local(...remotes: any[]): any[] {
  post('Runtime.callFunctionOn', {
    objectId: boxId,
    functionDeclaration: 'function(...all){this.out=all}',
    arguments: remotes.map(argument),
    silent: true,
  })
  const out = box!.out
  box!.out = undefined
  return out
}

export interface Inspected {
  location: Location | undefined
  /** Innermost first. */
  scopes(): Scope[]
  bound: { target: object; self: unknown; args: unknown[] } | undefined
}
export function inspectFunction(f: object): Inspected {
  const properties = (): Map<string, any> =>
    new Map(
      post('Runtime.getProperties', { objectId: remote(f), ownProperties: true }).internalProperties.map((p: any) => [
        p.name,
        p.value,
      ]),
    )
  const release = (): void => post('Runtime.releaseObjectGroup', { objectGroup: `${GROUP}.use` })
  const internal = properties()
  let bound: Inspected['bound']
  if (internal.has('[[TargetFunction]]')) {
    const [target, self, args] = local(
      internal.get('[[TargetFunction]]'),
      internal.get('[[BoundThis]]'),
      internal.get('[[BoundArgs]]'),
    )
    bound = { target, self, args: Array.from(args) }
  }
  release()
  return {
    location: internal.get('[[FunctionLocation]]')?.value,
    bound,
    scopes() {
      const list = properties().get('[[Scopes]]')
      const [found] = list ? local(list) : [[]]
      release()
      return Array.from({ length: found.length }, (_, k) => found[k])
    },
  }
}

/** The names of an instance's private fields and methods (`#x`). */
export function privateMembers(instance: object): string[] {
  const found =
    post('Runtime.getProperties', { objectId: remote(instance), ownProperties: true }).privateProperties ?? []
  post('Runtime.releaseObjectGroup', { objectGroup: `${GROUP}.use` })
  return found.map((p: { name: string }) => p.name)
}

/** All scripts of this process, and the source of one of them as V8 runs it (after every loader and transform). */
export function readScripts(scriptId: string): { scripts: ParsedScript[]; source: string } {
  const scripts: ParsedScript[] = []
  const listen = (message: { params: ParsedScript }): void => void scripts.push(message.params)
  session!.on('Debugger.scriptParsed' as any, listen as any)
  try {
    post('Debugger.enable')
    return { scripts, source: post('Debugger.getScriptSource', { scriptId }).scriptSource }
  } finally {
    session!.off('Debugger.scriptParsed', listen as any)
    post('Debugger.disable')
  }
}
