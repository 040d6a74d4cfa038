// The receiving side of `{ main: 'import' }`: imports the sender's main module as Python does, where `isMain` is false, and makes
// its unexported top-level functions and classes reachable, which no importer can see otherwise.
import { readFileSync } from 'node:fs'
import module, { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { UnsupportedError } from '../errors'
import { importerFrom } from './imports'
import { loadFunctions } from './lazy'

const PREFIX = 'mp:'
const TOP = Symbol.for('multiproc.top')

const done = new Map<string, Record<string, unknown>>()

function fileOf(url: string): string {
  return fileURLToPath(url.replace(/[?#].*$/, ''))
}
function isCommonjs(file: string): boolean {
  if (/\.c[jt]s$/.test(file)) return true
  if (/\.m[jt]s$/.test(file)) return false
  return (
    loadFunctions().topLevelNames(stripped(file, readFileSync(file, 'utf8')))?.isModule !== true &&
    !insideModulePackage(file)
  )
}
function insideModulePackage(file: string): boolean {
  for (let folder = file.replace(/[\\/][^\\/]*$/, ''); folder; folder = folder.replace(/[\\/]?[^\\/]*$/, '')) {
    try {
      return JSON.parse(readFileSync(`${folder}/package.json`, 'utf8')).type === 'module'
    } catch {
      // None here: the folder above decides.
    }
  }
  return false
}
function stripped(file: string, source: string): string {
  const strip = (module as any).stripTypeScriptTypes
  return /\.[mc]?ts$/.test(file) && strip ? strip(source, { mode: 'strip' }) : source
}

// CommonJS: the bindings are handed out by getters that are put in front of the text, on its first line.
function requireMain(file: string): Record<string, unknown> {
  let tops: Record<string, unknown> | undefined
  const Module = module as any
  const compile = Module.prototype._compile
  Module.prototype._compile = function (this: NodeModule, content: string, filename: string, ...rest: unknown[]) {
    if (filename !== file) return compile.call(this, content, filename, ...rest)
    Module.prototype._compile = compile
    const body = content.replace(/^#!.*/, '')
    const names = loadFunctions().topLevelNames(body)?.names ?? []
    const directive = /^\s*(['"])use strict\1/.test(body) ? "'use strict';" : ''
    const getters = `${directive}process[Symbol.for('multiproc.top')]({${names.map((n) => `get ${n}(){return ${n}}`).join(',')}});`
    ;(process as any)[TOP] = (object: Record<string, unknown>) => {
      tops = object
      delete (process as any)[TOP]
    }
    return compile.call(this, getters + body, filename, ...rest)
  }
  try {
    const exported = createRequire(file)(file)
    return Object.assign(
      Object.create(tops ?? null),
      { default: exported },
      typeof exported === 'object' ? exported : {},
    )
  } finally {
    Module.prototype._compile = compile
  }
}

// ES modules: an export clause at the end exports each binding a second time under a name that no source can write by accident.
function withHook<T>(url: string, load: () => T): T {
  const registerHooks = (module as any).registerHooks
  if (!registerHooks) return load()
  const hook = registerHooks({
    load(at: string, context: unknown, next: (url: string, context: unknown) => any) {
      const result = next(at, context)
      if (at.replace(/[?#].*$/, '') !== url || result.source == null || !/^module/.test(result.format ?? ''))
        return result
      let source = typeof result.source === 'string' ? result.source : Buffer.from(result.source).toString()
      let format = result.format
      if (/typescript/.test(format)) {
        source = (module as any).stripTypeScriptTypes(source, { mode: 'strip' })
        format = format.replace('-typescript', '')
      }
      const names = loadFunctions().topLevelNames(source)?.names ?? []
      return {
        ...result,
        format,
        source: `${source}\nexport {${names.map((n) => `${n} as ${JSON.stringify(PREFIX + n)}`).join(',')}}`,
      }
    },
  })
  try {
    const result = load()
    if (result instanceof Promise) return result.finally(() => hook.deregister()) as T
    hook.deregister()
    return result
  } catch (error) {
    hook.deregister()
    throw error
  }
}

/** The module's exports first, its other top-level bindings behind them. */
function view(url: string, namespace: Record<string, unknown>): Record<string, unknown> {
  return new Proxy(namespace, {
    has: (_, key) =>
      key in namespace || (typeof key === 'string' && PREFIX + key in namespace) || missing(url, namespace, key),
    get: (_, key) =>
      typeof key === 'string' && !(key in namespace) ? namespace[PREFIX + key] : (namespace as any)[key],
  })
}
function missing(url: string, namespace: object, key: string | symbol): false {
  if (!(module as any).registerHooks && !('default' in namespace && key in Object(namespace.default)))
    throw new UnsupportedError(
      `'${String(key)}' of the main module ${url} is not exported, and this Node (${process.version}) cannot import it; export it, or leave out { main: 'import' }`,
    )
  return false
}

export async function importMain(url: string): Promise<object> {
  const plain = url.replace(/[?#].*$/, '')
  const known = done.get(plain)
  if (known) return known
  const file = fileOf(url)
  const found = isCommonjs(file)
    ? requireMain(file)
    : view(plain, await withHook(plain, () => importerFrom(plain)(plain)))
  done.set(plain, found)
  return found
}
export function importMainSync(url: string): object {
  const plain = url.replace(/[?#].*$/, '')
  const known = done.get(plain)
  if (known) return known
  const file = fileOf(url)
  const found = isCommonjs(file)
    ? requireMain(file)
    : view(
        plain,
        withHook(plain, () => createRequire(file)(file)),
      )
  done.set(plain, found)
  return found
}
