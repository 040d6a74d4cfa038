import { types } from 'node:util'
import { type FunctionSource, META, readFunction, SUPER, THIS } from './function-source'
import { type Inspected, inspectFunction, privateMembers, type Scope, withInspector } from './inspector'
import { Refusal } from './refusal'
import { patternNames } from './scope'
import { find, isMainModule, parseProgram, positionOf, type Script, scriptOf, type Written } from './scripts'
import type { Binding, Place, ReferenceNode } from './wire'

export { isMainModule, privateMembers, withInspector }

export type Description =
  | { kind: 'bound'; target: object; self: unknown; args: unknown[] }
  | { kind: 'reference'; node: ReferenceNode }
  | {
      kind: 'value'
      source: Pick<FunctionSource, 'form' | 'isClass'>
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

  const script = scriptOf(location.scriptId)
  if (/^node:/.test(script.url))
    throw new Refusal(`is a function inside Node (${script.url})`, 'create what it belongs to in the child')
  const written = find(script, text, location)
  const isMain = isMainModule(script.url)
  if (/^file:/.test(script.url) && written?.path && (isMain ? main === 'import' : script.isModule)) {
    const [head, ...rest] = written.path
    const exported = script.exports.get(head!)
    // A child that imported the main module by main-import.ts passes its functions on in the same way.
    if (isMain || exported?.startsWith('mp:'))
      return {
        kind: 'reference',
        node: {
          t: 'export',
          url: script.url,
          path: [exported && !exported.startsWith('mp:') ? exported : head!, ...rest],
          main: 1,
        },
      }
    if (exported) return { kind: 'reference', node: { t: 'export', url: script.url, path: [exported, ...rest] } }
  }
  const source = readFunction(text, f.name)
  const start =
    written?.start ??
    Math.max(0, script.source.lastIndexOf(text, (script.lineStarts[location.lineNumber] ?? 0) + location.columnNumber))
  const description: Extract<Description, { kind: 'value' }> = {
    kind: 'value',
    source,
    ...layOut(source, script, start, location.lineNumber),
    url: script.url,
    strict: written?.strict ?? script.isModule,
    captured: [],
    moduleValues: [],
    bindings: [],
  }
  readVariables(f, source, script, written, inspected, description)
  return description
}

function readVariables(
  f: object,
  source: FunctionSource,
  script: Script,
  written: Written | undefined,
  inspected: Inspected,
  into: Extract<Description, { kind: 'value' }>,
): void {
  if (source.usesMeta) into.bindings.push([META, { b: 'meta' }])
  if (source.hasSuperClass)
    into.captured.push([SUPER, Object.getPrototypeOf(f) === Function.prototype ? null : Object.getPrototypeOf(f)])
  if (source.names.size === 0 && !source.usesOuterThis) return
  const scopes = inspected.scopes().filter((s) => !/^Global/.test(s.description) && s.object)
  if (source.usesOuterThis) {
    // V8 shows no captured `this`; at the top of a module it is known.
    if (written?.inFunction !== false)
      throw new Refusal(
        'is an arrow function that uses `this` of the function around it',
        'keep it in a variable first (const self = this), or send a method bound to the object',
      )
    into.captured.push([THIS, undefined])
  }
  if (source.names.has('arguments'))
    throw new Refusal(
      'is an arrow function that uses `arguments` of the function around it',
      'use rest parameters (...args)',
    )
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
    let ready = true
    try {
      value = scope.object![name]
      // Older V8s read a variable in its temporal dead zone as undefined, where its declaration says that it never is.
      ready = value !== undefined || script.defined.get(name) !== true
    } catch {
      ready = false
    }
    if (!ready) {
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
function layOut(source: FunctionSource, script: Script, start: number, near: number): { text: string; at: Place } {
  const position = positionOf(script, start, near)
  const original = script.map?.original(position.line, position.column)
  if (!original) return { text: source.text, at: { url: script.url, ...position } }
  let line = original.line
  let out = ''
  let from = 0
  const breaks: { at: number; line: number; column: number }[] = []
  for (const { original: offset, at } of source.breaks()) {
    const here = positionOf(script, start + offset, position.line)
    const wanted = script.map!.original(here.line, here.column)
    if (wanted?.url === original.url) breaks.push({ at, line: wanted.line, column: wanted.column })
  }
  // A minifier also moves tokens up (`const x = f()⏎return x` → `return f()`): nothing may go below what still follows it.
  let lowest = Number.POSITIVE_INFINITY
  for (const b of breaks.reverse()) lowest = b.line = Math.min(b.line, lowest)
  for (const wanted of breaks.reverse()) {
    const gap = source.text.slice(from, wanted.at)
    line += gap.split('\n').length - 1
    out += gap
    from = wanted.at
    if (wanted.line > line) {
      out += '\n'.repeat(wanted.line - line) + ' '.repeat(wanted.column)
      line = wanted.line
    }
  }
  return { text: out + source.text.slice(from), at: original }
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
