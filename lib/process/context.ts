// Contexts: the whole API bound to one start method, as an object.
import { checkFunction, checkOptions, invalidType, invalidValue } from '../check'
import { StateError } from '../errors'
import { registerExports } from '../serialize'
import { cpuCount } from './cpu-count'
import { activeChildren, currentProcess, parentProcess } from './current'
import { isMain } from './is-main'
import { Process } from './process'
import type { StartMethodName } from './registry'
import { getStartMethod } from './start/default'
import { setExecutable } from './start/executable'
import { bootForkserver } from './start/forkserver'
import { checkStartMethod, getAllStartMethods, requireStartMethod, startMethodStatus } from './start/method'
import { setPreparation } from './start/template'
import { CONTEXT, type ContextSpec } from './state'

/** What a context offers; lib/index.ts adds each class and function of the package. Other parts declare more of it. */
export interface Context extends BaseContext {}

export interface BaseContext {
  /** As the package's Process, always with this context's start method. */
  readonly Process: typeof Process
  /** As the package's currentProcess(). */
  currentProcess: typeof currentProcess
  /** As the package's parentProcess(). */
  parentProcess: typeof parentProcess
  /** As the package's activeChildren(). */
  activeChildren: typeof activeChildren
  /** As the package's cpuCount(). */
  cpuCount: typeof cpuCount
  /** As the package's isMain(). */
  isMain: typeof isMain
  /** As the package's getContext(): another context. */
  getContext: typeof getContext
  /** The start method of this context. */
  getStartMethod(): StartMethodName
  /** Always throws StateError (`ERR_MP_STATE`): the start method of a context is fixed. */
  setStartMethod(method: StartMethodName, options?: { force?: boolean }): never
  /** As the package's getAllStartMethods(). */
  getAllStartMethods: typeof getAllStartMethods
  /** As the package's startMethodStatus(). */
  startMethodStatus: typeof startMethodStatus
  /** As the package's setExecutable(): for all contexts. */
  setExecutable: typeof setExecutable
  /** As the package's setForkserverPreload(). */
  setForkserverPreload: typeof setForkserverPreload
  /** As the package's ensureForkserver(). */
  ensureForkserver: typeof ensureForkserver
}

/** What getContext() takes. */
export interface ContextOptions {
  /** 'import': children import the main module, as Python's do, instead of getting its functions by value. */
  main?: 'import' | undefined
}

class StartContext implements BaseContext {
  readonly Process: typeof Process
  readonly #spec: ContextSpec & { method: StartMethodName }

  constructor(spec: ContextSpec & { method: StartMethodName }) {
    this.#spec = spec
    this.Process = boundProcess(spec)
  }
  currentProcess = currentProcess
  parentProcess = parentProcess
  activeChildren = activeChildren
  cpuCount = cpuCount
  isMain = isMain
  getAllStartMethods = getAllStartMethods
  startMethodStatus = startMethodStatus
  setExecutable = setExecutable
  setForkserverPreload = setForkserverPreload
  ensureForkserver = ensureForkserver
  getContext = (method?: StartMethodName, options?: ContextOptions): Context =>
    method === undefined && options === undefined
      ? (this as unknown as Context)
      : getContext(method ?? this.#spec.method, options)
  getStartMethod = (): StartMethodName => this.#spec.method
  setStartMethod = (): never => {
    throw new StateError('cannot set the start method of a context: call setStartMethod of the package')
  }
}

function boundProcess(spec: ContextSpec & { method: StartMethodName }): typeof Process {
  const name = `${spec.method[0]!.toUpperCase()}${spec.method.slice(1)}Process`
  const Bound = class extends Process {
    static override readonly [CONTEXT] = spec
  }
  Object.defineProperty(Bound, 'name', { value: name, configurable: true })
  return Bound as typeof Process
}

const contexts = new Map<string, Context>()
let members: object = {}

type Bind = (context: Context) => Record<string, unknown>
const binders: { names: readonly string[]; make: Bind }[] = []

/** @internal Adds classes that differ from context to context, made when one of them is first asked for. */
export function bindToContexts(names: readonly string[], make: Bind): void {
  binders.push({ names, make })
}
function addBound(context: Context, key: string): void {
  for (const { names, make } of binders) {
    const get = (name: string) => (): unknown => {
      for (const [each, value] of Object.entries(make(context))) {
        Object.defineProperty(context, each, { value, enumerable: true, configurable: true, writable: true })
        registerExports({ [`context ${key} ${each}`]: value })
      }
      return context[name as keyof Context]
    }
    for (const name of names)
      Object.defineProperty(context, name, { get: get(name), enumerable: true, configurable: true })
  }
}

/** @internal In a child, before it decodes what may refer to them. */
export function makeContexts(): void {
  for (const method of getAllStartMethods())
    for (const main of [undefined, 'import'] as const) {
      const context = getContext(method, { main })
      for (const { names } of binders) void context[names[0] as keyof Context]
    }
}

/** @internal Adds classes and functions of other parts of the package to every context. */
export function extendContexts(more: object): void {
  members = { ...members, ...more }
  for (const context of contexts.values()) Object.assign(context, more)
}

/**
 * The API bound to a start method (default: the default one). The same object for the same arguments.
 * @throws UnsupportedError ERR_MP_UNSUPPORTED: the start method cannot be used here, see startMethodStatus()
 * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
 */
export function getContext(method?: StartMethodName, options?: ContextOptions): Context {
  if (method !== undefined) checkStartMethod('method', method)
  checkOptions('options', options)
  const main = options?.main
  if (main !== undefined && main !== 'import') throw invalidValue('options.main', "'import' or absent", main)
  const spec = { method: method ?? getStartMethod(), main }
  requireStartMethod(spec.method)
  const key = `${spec.method}:${main ?? ''}`
  let context = contexts.get(key)
  if (context === undefined) {
    context = Object.assign(new StartContext(spec) as unknown as Context, members)
    addBound(context, key)
    contexts.set(key, context)
    // A function that uses a context finds the same one in the child.
    registerExports({ [`context ${key}`]: context, [`context ${key} Process`]: context.Process })
  }
  return context
}

/** What setForkserverPreload() takes. */
export interface PreloadOptions {
  /** When a module cannot be loaded ahead: say nothing, warn (the default), or let starts fall back to spawn. */
  onError?: 'ignore' | 'warn' | 'fail' | undefined
  /** Runs in the forkserver after the modules; what it leaves in memory each child has. May be async. */
  warmUp?: (() => unknown) | undefined
}

/**
 * The modules that the forkserver loads before it copies itself. Other start methods do not use it. A forkserver that runs
 * already is replaced at the next start. Bare names and relative paths are those of the main module.
 * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
 */
export function setForkserverPreload(modules: readonly (string | URL)[], options?: PreloadOptions): void {
  if (!Array.isArray(modules)) throw invalidType('modules', 'an array of strings and URLs', modules)
  for (const [index, module] of modules.entries())
    if (typeof module !== 'string' && !(module instanceof URL))
      throw invalidType(`modules[${index}]`, 'a string or a URL', module)
  checkOptions('options', options)
  const { onError = 'warn', warmUp } = options ?? {}
  if (onError !== 'ignore' && onError !== 'warn' && onError !== 'fail')
    throw invalidValue('options.onError', "'ignore', 'warn' or 'fail'", onError)
  if (warmUp !== undefined) checkFunction('options.warmUp', warmUp)
  setPreparation({ modules: modules.map(String), onError, warmUp })
}

/**
 * Boots the forkserver now instead of at its first use, and blocks until it is ready. The first child is made ahead, too.
 * @throws UnsupportedError ERR_MP_UNSUPPORTED: there is none here, see startMethodStatus()
 */
export function ensureForkserver(): void {
  bootForkserver(undefined)
}
