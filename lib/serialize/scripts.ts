// What is known of a script: its URL, its source as it runs, its imports, and where in it each function and class was written.
import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { parse } from 'acorn'
import { type Location, type ParsedScript, readScripts } from './inspector'
import { children, patternNames } from './scope'
import { SourceMap } from './source-map'
import type { Binding } from './wire'

type Any = any

const PARSER = {
  ecmaVersion: 'latest',
  allowHashBang: true,
  allowReturnOutsideFunction: true,
  allowAwaitOutsideFunction: true,
} as const

/** A function or class in a script. */
export interface Written {
  start: number
  end: number
  strict: boolean
  /** The way to it from a top-level binding (`['table', 'deep', 'fn']`), when it is the only value that can be there. */
  path: string[] | null
}
export interface Script {
  url: string
  source: string
  isModule: boolean
  imports: Map<string, Binding>
  /** Local name → exported name. */
  exports: Map<string, string>
  /** By source text. */
  written: Map<string, Written[]>
  map: SourceMap | undefined
  lineStarts: number[]
}

const known = new Map<string, ParsedScript>()
const scripts = new Map<string, Script>()

/** The script of that id. Needs a connected inspector the first time. */
export function scriptOf(scriptId: string): Script {
  const cached = scripts.get(scriptId)
  if (cached) return cached
  const read = readScripts(scriptId)
  for (const script of read.scripts) known.set(script.scriptId, script)
  const parsed = known.get(scriptId)
  const script = describe(parsed?.url ?? '', read.source, parsed?.sourceMapURL)
  scripts.set(scriptId, script)
  return script
}

export function parseProgram(source: string): { ast: Any; isModule: boolean } | undefined {
  for (const sourceType of ['module', 'script'] as const) {
    try {
      const ast: Any = parse(source, { ...PARSER, sourceType })
      return { ast, isModule: ast.body.some((s: Any) => /^(Import|Export)/.test(s.type)) }
    } catch {
      // Sloppy code is no module; text that is neither gets no description.
    }
  }
  return undefined
}

function describe(url: string, source: string, sourceMapURL: string | undefined): Script {
  if (/^(\/|[a-zA-Z]:[\\/])/.test(url)) url = pathToFileURL(url).href
  const lineStarts = [0]
  for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1)) lineStarts.push(at + 1)
  const script: Script = {
    url,
    source,
    isModule: false,
    imports: new Map(),
    exports: new Map(),
    written: new Map(),
    map: SourceMap.load(sourceMapURL, url),
    lineStarts,
  }
  const program = parseProgram(source)
  if (program) {
    script.isModule = program.isModule || moduleByName(url, source)
    for (const statement of program.ast.body) readModuleStatement(statement, script)
    collect(program.ast, script, script.isModule)
  }
  return script
}
// A module without import or export is one by its name, or because it is the main script and nothing of CommonJS wraps it.
function moduleByName(url: string, source: string): boolean {
  return /\.m[jt]s(\?|$)/.test(url) || (/\.[jt]sx?(\?|$)/.test(url) && /\bimport\.meta\b/.test(source))
}

function readModuleStatement(s: Any, script: Script): void {
  const exported = (node: Any): string => node.name ?? node.value
  if (s.type === 'ImportDeclaration') {
    const attributes = s.attributes?.length
      ? Object.fromEntries(s.attributes.map((a: Any) => [exported(a.key), a.value.value]))
      : undefined
    for (const sp of s.specifiers) {
      const name =
        sp.type === 'ImportDefaultSpecifier'
          ? 'default'
          : sp.type === 'ImportNamespaceSpecifier'
            ? '*'
            : exported(sp.imported)
      script.imports.set(sp.local.name, {
        b: 'import',
        specifier: s.source.value,
        name,
        ...(attributes && { attributes }),
      })
    }
  } else if (s.type === 'ExportDefaultDeclaration') {
    if (s.declaration.id) script.exports.set(s.declaration.id.name, 'default')
    else if (s.declaration.type === 'Identifier') script.exports.set(s.declaration.name, 'default')
    else script.exports.set('*default*', 'default')
  } else if (s.type === 'ExportNamedDeclaration' && !s.source) {
    for (const sp of s.specifiers) script.exports.set(exported(sp.local), exported(sp.exported))
    const names = new Set<string>()
    if (s.declaration?.id) names.add(s.declaration.id.name)
    for (const d of s.declaration?.declarations ?? []) patternNames(d.id, names)
    for (const name of names) script.exports.set(name, name)
  }
}

function collect(ast: Any, script: Script, moduleStrict: boolean): void {
  const paths = new Map<Any, string[]>()
  const way = (node: Any, path: string[]): void => {
    if (!node) return
    paths.set(node, path)
    if (/^Class/.test(node.type)) {
      for (const m of node.body.body) {
        if (m.computed || m.key?.type !== 'Identifier') continue
        if (m.type === 'MethodDefinition' && m.kind === 'method')
          paths.set(m, m.static ? [...path, m.key.name] : [...path, 'prototype', m.key.name])
        else if (m.type === 'PropertyDefinition' && m.static) way(m.value, [...path, m.key.name])
      }
    } else if (node.type === 'ObjectExpression') {
      for (const p of node.properties) {
        if (p.type !== 'Property' || p.computed || p.kind !== 'init') continue
        const key = p.key.name ?? p.key.value
        if (typeof key !== 'string') continue
        if (p.method) paths.set(p, [...path, key])
        else way(p.value, [...path, key])
      }
    }
  }
  for (let s of ast.body) {
    if (s.type === 'ExportDefaultDeclaration') way(s.declaration, [s.declaration.id?.name ?? '*default*'])
    if (s.type === 'ExportNamedDeclaration' && s.declaration) s = s.declaration
    if (s.type === 'VariableDeclaration') {
      for (const d of s.declarations) if (d.id.type === 'Identifier') way(d.init, [d.id.name])
    } else if (/^(Function|Class)Declaration$/.test(s.type) && s.id) way(s, [s.id.name])
  }
  const note = (node: Any, start: number, strict: boolean): void => {
    const text = script.source.slice(start, node.end)
    const list = script.written.get(text)
    const written = { start, end: node.end, strict, path: paths.get(node) ?? null }
    if (list) list.push(written)
    else script.written.set(text, [written])
  }
  const hasDirective = (body: Any): boolean => body?.body?.some?.((s: Any) => s.directive === 'use strict') ?? false
  const pending: [Any, boolean][] = [[ast, moduleStrict || hasDirective(ast)]]
  for (let next = pending.pop(); next; next = pending.pop()) {
    const [node, outer] = next
    const isClass = /^Class/.test(node.type)
    // A function's own directive travels in its text: what counts for it is where it stands.
    const strict = outer || isClass || (/Function/.test(node.type) && hasDirective(node.body))
    if (isClass || /Function/.test(node.type)) note(node, node.start, outer)
    else if (node.type === 'MethodDefinition')
      note(
        node,
        node.static ? node.start + script.source.slice(node.start).match(/^static\s*/)![0].length : node.start,
        outer,
      )
    else if (node.type === 'Property' && (node.method || node.kind !== 'init')) note(node, node.start, outer)
    for (const child of children(node)) pending.push([child, strict])
  }
}

/** Where in the script the function of that text and location stands. */
export function find(script: Script, text: string, location: Location): Written | undefined {
  const at = (script.lineStarts[location.lineNumber] ?? 0) + location.columnNumber
  const list = script.written.get(text)
  if (list?.length === 1) return list[0]
  return list?.find((w) => w.start <= at && at <= w.end)
}
export function positionOf(script: Script, offset: number, near: number): { line: number; column: number } {
  let line = Math.min(near, script.lineStarts.length - 1)
  while (line > 0 && script.lineStarts[line]! > offset) line--
  while (line + 1 < script.lineStarts.length && script.lineStarts[line + 1]! <= offset) line++
  return { line, column: offset - script.lineStarts[line]! }
}

let main: { argv: string | undefined; urls: Set<string> } | undefined

/** Whether this is the file that the user ran (or that a Worker runs): the child must not import it behind the user's back. */
export function isMainModule(url: string): boolean {
  const argv = process.argv[1]
  if (!main || main.argv !== argv) {
    const urls = new Set<string>()
    const add = (file: string): void => {
      urls.add(pathToFileURL(file).href)
      try {
        urls.add(pathToFileURL(realpathSync(file)).href)
      } catch {
        // Not a file: nothing else to compare with.
      }
    }
    if (argv) {
      add(argv)
      try {
        add(createRequire(`${process.cwd()}/`).resolve(argv))
      } catch {
        // The main script is not resolvable by name (it is a URL, or gone): the plain path is all there is.
      }
    }
    if (process.mainModule?.filename) add(process.mainModule.filename)
    main = { argv, urls }
  }
  return main.urls.has(url.replace(/[?#].*$/, ''))
}
