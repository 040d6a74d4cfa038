// What a function is made of: the entry of the lazily loaded chunk (parser, inspector). Given a function it says whether it travels
// by reference, and if not, its text, where it was written, and which variables and imports it needs.
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { types } from 'node:util'
import { type FunctionSource, META, readFunction, SUPER, THIS } from './function-source'
import { type Inspected, inspectFunction, privateMembers, type Scope, withInspector } from './inspector'
import { Refusal } from './refusal'
import { patternNames } from './scope'
import { find, isMainModule, parseProgram, positionOf, type Script, scriptOf } from './scripts'
import type { Binding, Place, ReferenceNode } from './wire'

export { isMainModule, privateMembers, withInspector }

export type Description =
  | { kind: 'bound'; target: object; self: unknown; args: unknown[] }
  | { kind: 'reference'; node: ReferenceNode }
  | {
      kind: 'value'
      source: FunctionSource
      text: string
      url: string
      strict: boolean
      at: Place
      captured: [name: string, value: unknown][]
      moduleValues: [name: string, value: unknown][]
      bindings: [name: string, binding: Exclude<Binding, { b: 'value' | 'module' }>][]
      /** The CommonJS `module` is used: its exports. */
      moduleExports?: { value: unknown }
    }

const IMPORT_META = /^__(vi|vite_ssr)_import_meta__$/
const DYNAMIC_IMPORT = /^__(vi|vite_ssr)_dynamic_import__$/

/** Describes `f`, which is no global, builtin, export of this package or of a CommonJS module. Needs the inspector. */
export function describeFunction(f: (...args: any[]) => unknown, main: 'value' | 'import'): Description {
  const text = Function.prototype.toString.call(f)
  const inspected = inspectFunction(f)
  if (inspected.bound) return { kind: 'bound', ...inspected.bound }
  const location = inspected.location
  if (!location) throw new Refusal('is a native function', 'wrap it in a function of your own that calls it')
  const isGlobal = (name: string): boolean => name in globalThis || name === 'arguments'

  // The common case, cheap: nothing captured, and the text stands in the main script where V8 says it does.
  let source: FunctionSource | undefined
  if (main === 'value') {
    const quick = placeInMain(text, location)
    if (quick) {
      source = readFunction(text, f.name)
      if (
        !source.usesMeta &&
        !source.usesOuterThis &&
        !source.hasSuperClass &&
        [...source.names.keys()].every((n) => isGlobal(n) && !quick.declares(n))
      )
        return {
          kind: 'value',
          source,
          text: source.text,
          url: quick.at.url,
          strict: quick.strict,
          at: quick.at,
          captured: [],
          moduleValues: [],
          bindings: [],
        }
    }
  }

  const script = scriptOf(location.scriptId)
  if (/^node:/.test(script.url))
    throw new Refusal(`is a function inside Node (${script.url})`, 'create what it belongs to in the child')
  const written = find(script, text, location)
  const isMain = isMainModule(script.url)
  if (/^file:/.test(script.url) && written?.path && (isMain ? main === 'import' : script.isModule)) {
    const [head, ...rest] = written.path
    const exported = script.exports.get(head!)
    if (isMain)
      return {
        kind: 'reference',
        node: { t: 'export', url: script.url, path: exported ? [exported, ...rest] : [head!, ...rest], main: 1 },
      }
    if (exported) return { kind: 'reference', node: { t: 'export', url: script.url, path: [exported, ...rest] } }
  }
  source ??= readFunction(text, f.name)
  const start =
    written?.start ??
    Math.max(0, script.source.lastIndexOf(text, (script.lineStarts[location.lineNumber] ?? 0) + location.columnNumber))
  const description: Extract<Description, { kind: 'value' }> = {
    kind: 'value',
    source,
    ...layOut(source, text, script, start, location.lineNumber),
    url: script.url,
    strict: written?.strict ?? script.isModule,
    captured: [],
    moduleValues: [],
    bindings: [],
  }
  readVariables(f, source, script, inspected, description)
  return description
}

function readVariables(
  f: object,
  source: FunctionSource,
  script: Script,
  inspected: Inspected,
  into: Extract<Description, { kind: 'value' }>,
): void {
  if (source.usesMeta) into.bindings.push([META, { b: 'meta' }])
  if (source.hasSuperClass)
    into.captured.push([SUPER, Object.getPrototypeOf(f) === Function.prototype ? null : Object.getPrototypeOf(f)])
  if (source.names.size === 0 && !source.usesOuterThis) return
  const scopes = inspected.scopes().filter((s) => !/^Global/.test(s.description) && s.object)
  if (source.usesOuterThis) {
    const holder = scopes.find((s) => Object.hasOwn(s.object!, 'this'))
    into.captured.push([THIS, holder ? holder.object!.this : undefined])
  }
  for (const [name, members] of source.names) {
    const index = scopes.findIndex((s) => Object.hasOwn(s.object!, name))
    const imported = script.imports.get(name)
    if (imported && (index < 0 || /^Module/.test(scopes[index]!.description))) {
      into.bindings.push([name, imported as any])
      continue
    }
    if (index < 0) continue // A global, or undeclared: a ReferenceError there as here.
    const scope = scopes[index]!
    let value: unknown
    try {
      value = scope.object![name]
    } catch {
      throw new Refusal(
        'is not initialised yet (temporal dead zone)',
        'start the process after the line that declares it',
        ` → captured.${name}`,
      )
    }
    const own = ownBinding(name, value)
    if (own) into.bindings.push([name, own])
    else if (name === 'module' && isCommonjsModule(value)) into.moduleExports = { value: value.exports }
    else {
      if (members && isNamespaceLike(value, members)) value = pick(value, members, name)
      ;(isModuleLevel(scope, index, scopes) ? into.moduleValues : into.captured).push([name, value])
    }
  }
}

// Names that each module has of its own: CommonJS's, those of vite's wrapper, and the one that carried functions use.
function ownBinding(name: string, value: unknown): Exclude<Binding, { b: 'value' | 'module' }> | undefined {
  if (name === 'require' && typeof value === 'function' && 'resolve' in value) return { b: 'require' }
  if ((name === '__filename' || name === '__dirname') && typeof value === 'string') return { b: name }
  if (name === META || IMPORT_META.test(name)) return { b: 'meta' }
  if (DYNAMIC_IMPORT.test(name)) return { b: 'dynamic' }
  return undefined
}
function isCommonjsModule(value: any): value is NodeModule {
  return typeof value === 'object' && value !== null && 'exports' in value && 'filename' in value && 'children' in value
}
function isModuleLevel(scope: Scope, index: number, scopes: Scope[]): boolean {
  if (/^(Module|Script)/.test(scope.description)) return true
  return index === scopes.length - 1 && /^Closure/.test(scope.description)
}
/** A module seen through a bundler's or vite's wrapper: of such an object only the members that the function uses travel. */
function isNamespaceLike(value: unknown, members: Set<string>): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  if (types.isProxy(value) || types.isModuleNamespaceObject(value)) return true
  if (!Object.hasOwn(value, 'default') && !Object.hasOwn(value, '__esModule')) return false
  return [...members].some((m) => Object.getOwnPropertyDescriptor(value, m)?.get)
}
function pick(value: Record<string, unknown>, members: Set<string>, name: string): object {
  const picked: Record<string, unknown> = {}
  for (const member of members) {
    try {
      if (member in value) picked[member] = value[member]
    } catch {
      throw new Refusal(
        'is not initialised yet (temporal dead zone)',
        'start the process after the line that declares it',
        ` → captured.${name}.${member}`,
      )
    }
  }
  return picked
}

/** The text and where it was written, by the source map if there is one, with its lines where they were in the original. */
function layOut(
  source: FunctionSource,
  text: string,
  script: Script,
  start: number,
  near: number,
): { text: string; at: Place } {
  const position = positionOf(script, start, near)
  const original = script.map?.original(position.line, position.column)
  if (!original) return { text: source.text, at: { url: script.url, ...position } }
  let line = original.line
  let out = ''
  let from = 0
  for (const { original: offset, at } of source.breaks()) {
    // Text that has line breaks of its own inside the gap keeps them: they count as lines that have passed.
    const here = positionOf(script, start + offset, position.line)
    const wanted = script.map!.original(here.line, here.column)
    if (!wanted || wanted.url !== original.url) continue
    const gap = source.text.slice(from, at)
    line += gap.split('\n').length - 1
    out += gap
    from = at
    if (wanted.line > line) {
      out += '\n'.repeat(wanted.line - line) + ' '.repeat(wanted.column)
      line = wanted.line
    }
  }
  void text
  return { text: out + source.text.slice(from), at: original }
}

let mainScript: { file: string; source: string; lineStarts: number[]; strict: boolean; url: string } | null | undefined

function placeInMain(
  text: string,
  location: { lineNumber: number; columnNumber: number },
): { at: Place; strict: boolean; declares(name: string): boolean } | undefined {
  const file = process.mainModule?.filename ?? process.argv[1]
  if (mainScript === undefined || (mainScript && mainScript.file !== file)) mainScript = readMain(file)
  if (!mainScript) return undefined
  const { source, lineStarts, strict, url } = mainScript
  const at = (lineStarts[location.lineNumber] ?? Number.NaN) + location.columnNumber
  const start = source.lastIndexOf(text, at)
  if (!(start >= 0 && start <= at && at <= start + text.length)) return undefined
  let line = location.lineNumber
  while (line > 0 && lineStarts[line]! > start) line--
  return {
    at: { url, line, column: start - lineStarts[line]! },
    strict,
    declares: (name) =>
      new RegExp(`(?:let|const|var|function\\*?|class|import|[,{(*])\\s*${name.replace(/\$/g, '\\$')}\\b`).test(source),
  }
}
function readMain(file: string | undefined): typeof mainScript {
  try {
    const source = readFileSync(file!, 'utf8')
    const strict = /\.m[jt]s$/.test(file!) || (process.mainModule === undefined && !/\.c[jt]s$/.test(file!))
    // Where it is transformed or its strictness is not plain, the script itself has to be asked.
    if (/sourceMappingURL=/.test(source) || (!strict && /['"]use strict['"]/.test(source))) return null
    const lineStarts = [0]
    for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1)) lineStarts.push(at + 1)
    return { file: file!, source, lineStarts, strict, url: pathToFileURL(file!).href }
  } catch {
    return null
  }
}

/** The top-level bindings that a module declares, for the child that imports the main module. */
export function topLevelNames(source: string): { names: string[]; isModule: boolean } | undefined {
  const program = parseProgram(source)
  if (!program) return undefined
  const names = new Set<string>()
  for (let s of program.ast.body) {
    if (/^Export/.test(s.type) && s.declaration) s = s.declaration
    if (s.type === 'VariableDeclaration') for (const d of s.declarations) patternNames(d.id, names)
    else if (/^(Function|Class)Declaration$/.test(s.type) && s.id) names.add(s.id.name)
  }
  return { names: [...names], isModule: program.isModule }
}
