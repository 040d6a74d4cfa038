// Evaluates carried functions: one environment a module, in which its variables and imports are real bindings and each function
// is evaluated by a direct eval, so that functions of a module share its variables and run at full speed. The text is padded so
// that stack traces show the original file, line and column.
//
//   module script (its file name = the module's URL: dynamic import() resolves there)
//     └ function scope: module-level variables and imports
//         └ function scope a function: variables captured from enclosing functions
//             └ the function
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import vm from 'node:vm'
import { baseUrl, importerFrom, requireFrom } from './imports'
import { builtin } from './references'
import type { Binding, FunctionNode } from './wire'

const LOADER = (vm.constants as any)?.USE_MAIN_CONTEXT_DEFAULT_LOADER
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u

export interface Environment {
  evaluate(code: string): any
  set: Record<string, (value: unknown) => void>
}

function variables(names: string[], strict: boolean): string {
  for (const name of names)
    if (!IDENTIFIER.test(name)) throw new TypeError(`${JSON.stringify(name)} is not the name of a variable`)
  const setters = names.map((name) => `${JSON.stringify(name)}(mp$value){${name}=mp$value}`)
  return `(function(){${strict ? "'use strict';" : ''}${names.length ? `let ${names.join(',')};` : ''}return{evaluate(mp$code){return eval(mp$code)},set:{${setters.join(',')}}}})()`
}

export function moduleEnvironment(url: string, names: string[], strict: boolean): Environment {
  return new vm.Script(variables(names, strict), {
    filename: baseUrl(url),
    importModuleDynamically: LOADER,
  }).runInThisContext()
}

/** The function or class, and setters of its captured variables (which a class needs to have been called before: `prepare`). */
export function evaluateFunction(
  node: FunctionNode,
  module: Environment,
  prepare: (set: Environment['set']) => void,
): any {
  const names = node.captured.map(([name]) => name)
  // Names that strict code forbids as variables can only come from sloppy functions, whose environment is sloppy too.
  const own = names.length ? (module.evaluate(variables(names, node.strict)) as Environment) : module
  prepare(own.set)
  const open = node.form === 'method' ? '({' : '('
  const close = node.form === 'method' ? '})' : ')'
  const { line, column, url } = node.at
  const pad = '\n'.repeat(line) + (column >= open.length ? ' '.repeat(column - open.length) : '')
  const value = own.evaluate(
    `${pad}${open}${node.text}${close}${url ? `\n//# sourceURL=${url.replace(/\s/g, '%20')}` : ''}`,
  )
  if (node.form === 'expression') return value
  const [key] = Reflect.ownKeys(value)
  const d = Object.getOwnPropertyDescriptor(value, key!)!
  return d.value ?? d.get ?? d.set
}

/** What a module has of its own, as it is for the original file. */
export function ownValue(kind: Exclude<Binding['b'], 'value' | 'import' | 'module'>, url: string): unknown {
  const file = /^file:/.test(url) ? fileURLToPath(url.replace(/[?#].*$/, '')) : ''
  switch (kind) {
    case 'require':
      return requireFrom(url)
    case '__filename':
      return file || url
    case '__dirname':
      return file ? path.dirname(file) : '.'
    case 'dynamic': {
      const load = importerFrom(url)
      return (specifier: string) => load(specifier)
    }
    case 'meta':
      return importMeta(url, file)
  }
}
function importMeta(url: string, file: string): object {
  const meta = Object.create(null)
  meta.url = url
  if (file) {
    meta.filename = file
    meta.dirname = path.dirname(file)
  }
  meta.main = false
  meta.resolve = (specifier: string): string => {
    if (/^(node|data|https?):/.test(specifier)) return specifier
    if (builtin('node:module').isBuiltin(specifier)) return `node:${specifier}`
    if (/^(\.{0,2}\/|file:)/.test(specifier)) return new URL(specifier, baseUrl(url)).href
    return pathToFileURL(requireFrom(url).resolve(specifier)).href
  }
  return meta
}

export function moduleObject(url: string, exports: unknown): object {
  const filename = ownValue('__filename', url) as string
  return {
    id: filename,
    filename,
    path: path.dirname(filename),
    exports,
    loaded: true,
    children: [],
    paths: [],
    require: requireFrom(url),
  }
}
