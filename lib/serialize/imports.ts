// Modules that a graph needs, on the receiving side: all of them are loaded before anything is built, so that building is
// synchronous. The two loaders differ only here.
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { types } from 'node:util'
import vm from 'node:vm'
import { SerializationError } from '../errors'
import { builtin, isBuiltin, setReference } from './references'

const LOADER = (vm.constants as any)?.USE_MAIN_CONTEXT_DEFAULT_LOADER

/** One import: `specifier` as the module at `from` wrote it. */
export interface Wanted {
  from: string
  specifier: string
  attributes?: Record<string, string>
  /** The sender's main module, all its top-level bindings wanted. */
  main?: boolean
}
export type Loaded = Map<string, any>
export const keyOf = (w: Wanted): string => JSON.stringify([w.from, w.specifier, w.main ?? false])

/** A URL to resolve from, also for scripts that are no file (`node -e`, eval). */
export function baseUrl(url: string): string {
  return /^file:/.test(url) ? url : pathToFileURL(`${process.cwd()}/`).href
}
export function requireFrom(url: string): NodeJS.Require {
  return createRequire(baseUrl(url).replace(/[?#].*$/, ''))
}

/** `import()` as the module at `url` would do it. */
export function importerFrom(url: string): (specifier: string, options?: object) => Promise<any> {
  return new vm.Script('((s, o) => o ? import(s, o) : import(s))', {
    filename: baseUrl(url),
    importModuleDynamically: LOADER,
  }).runInThisContext()
}

function failed(w: Wanted, error: unknown): SerializationError {
  return new SerializationError(
    `cannot import '${w.specifier}' here, which the received function needs (from ${w.from}): ${(error as Error)?.message ?? error}`,
    '',
    undefined,
    { cause: error },
  )
}
function builtinNamespace(name: string): object {
  const exported = builtin(name)
  const namespace = Object.assign(Object.create(null), exported, { default: exported })
  setReference(namespace, { t: 'namespace', from: '', specifier: name })
  return namespace
}
function remember(namespace: any, w: Wanted): any {
  if (types.isModuleNamespaceObject(namespace))
    setReference(namespace, { t: 'namespace', from: w.from, specifier: w.specifier })
  return namespace
}

export async function loadAll(wanted: Wanted[], importMain: (url: string) => Promise<object>): Promise<Loaded> {
  const loaded: Loaded = new Map()
  await Promise.all(
    wanted.map(async (w) => {
      try {
        if (w.main) loaded.set(keyOf(w), await importMain(w.specifier))
        else if (isBuiltin(w.specifier)) loaded.set(keyOf(w), builtinNamespace(w.specifier))
        else
          loaded.set(
            keyOf(w),
            remember(await importerFrom(w.from)(w.specifier, w.attributes && { with: w.attributes }), w),
          )
      } catch (error) {
        throw error instanceof SerializationError || (error as any)?.code === 'ERR_MP_UNSUPPORTED'
          ? error
          : failed(w, error)
      }
    }),
  )
  return loaded
}

export function loadAllSync(wanted: Wanted[], importMain: (url: string) => object): Loaded {
  const loaded: Loaded = new Map()
  for (const w of wanted) {
    try {
      if (w.main) loaded.set(keyOf(w), importMain(w.specifier))
      else if (isBuiltin(w.specifier)) loaded.set(keyOf(w), builtinNamespace(w.specifier))
      else {
        const exported = requireFrom(w.from)(
          /^file:/.test(w.specifier) ? fileURLToPath(w.specifier.replace(/[?#].*$/, '')) : w.specifier,
        )
        if (types.isModuleNamespaceObject(exported)) loaded.set(keyOf(w), remember(exported, w))
        else
          loaded.set(
            keyOf(w),
            Object.assign(Object.create(null), exported, {
              default: exported?.__esModule ? (exported.default ?? exported) : exported,
            }),
          )
      }
    } catch (error) {
      const code = (error as any)?.code
      if (error instanceof SerializationError || code === 'ERR_MP_UNSUPPORTED') throw error
      if (
        code === 'ERR_REQUIRE_ESM' ||
        code === 'ERR_REQUIRE_ASYNC_MODULE' ||
        (error instanceof SyntaxError && /import|export/.test(error.message))
      )
        throw new SerializationError(
          `cannot import the ES module '${w.specifier}' in a synchronous call (from ${w.from}); use the asynchronous form`,
          '',
          undefined,
          { cause: error },
        )
      throw failed(w, error)
    }
  }
  return loaded
}
