// The common case, told without a parser: a function that stands in the main script as V8 says, and captures nothing.
// Loading the parser costs as much as a third of node's own start, and the first child waits for it.
//
// A look at the text gives more names than it really uses (parameters and words in strings are among them). If none of
// those is a captured variable or an import, nothing is captured; else the parser has to say.
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { Description } from './functions'
import { type Inspected, inspectFunction, type Location } from './inspector'

/** What only the parser can read, and what makes a text something else than a function or an arrow function. */
const NOT_PLAIN = /\b(?:super|import|eval|with|class|new\s*\.\s*target)\b|#|\\u|__name\b/
const FUNCTION = /^(?:async\s+)?function\b/
const ARROW = /^(?:async\s+)?[\p{ID_Start}$_][\p{ID_Continue}$]*\s*=>|^\(|^async\s*\([^()]*\)\s*=>/u
const NAME = /(?<!(?<!\.\.)\.\s*)(?<![\p{ID_Continue}$])[\p{ID_Start}$_][\p{ID_Continue}$]*/gu

export function describePlain(f: (...args: any[]) => unknown): Description | undefined {
  const text = Function.prototype.toString.call(f)
  if (NOT_PLAIN.test(text)) return undefined
  // An arrow function's `this` and `arguments` are those of the function around it.
  if (!FUNCTION.test(text) && (!ARROW.test(text) || /\b(?:this|arguments)\b/.test(text))) return undefined
  const inspected = inspectFunction(f)
  if (!inspected.location || inspected.bound) return undefined
  const place = placeInMain(text, inspected.location)
  if (!place || !capturesNothing(new Set(text.match(NAME)), inspected, place.imports)) return undefined
  return {
    kind: 'value',
    source: { form: 'expression', isClass: false },
    text,
    url: place.at.url,
    strict: place.strict,
    at: place.at,
    captured: [],
    moduleValues: [],
    bindings: [],
  }
}

/** V8 keeps every variable that some closure uses, and imports are plain in the text. */
function capturesNothing(names: Set<string>, inspected: Inspected, imports: (name: string) => boolean): boolean {
  const scopes = inspected.scopes().filter((s) => !/^Global/.test(s.description) && s.object)
  for (const name of names) if (imports(name) || scopes.some((s) => Object.hasOwn(s.object!, name))) return false
  return true
}

interface MainScript {
  file: string
  source: string
  lineStarts: number[]
  strict: boolean
  url: string
  /** Where it imports something, the text of those statements. */
  imports: string[]
}
let mainScript: MainScript | null | undefined

function placeInMain(text: string, location: Location) {
  const file = process.mainModule?.filename ?? process.argv[1]
  if (mainScript === undefined || (mainScript && mainScript.file !== file)) mainScript = readMain(file)
  if (!mainScript) return undefined
  const { source, lineStarts, strict, url, imports } = mainScript
  const at = (lineStarts[location.lineNumber] ?? Number.NaN) + location.columnNumber
  const start = source.lastIndexOf(text, at)
  if (!(start >= 0 && start <= at && at <= start + text.length)) return undefined
  let line = location.lineNumber
  while (line > 0 && lineStarts[line]! > start) line--
  return {
    at: { url, line, column: start - lineStarts[line]! },
    strict,
    imports: (name: string) => imports.some((statement) => statement.includes(name)),
  }
}
function readMain(file: string | undefined): MainScript | null {
  try {
    const source = readFileSync(file!, 'utf8')
    const strict = /\.m[jt]s$/.test(file!) || (process.mainModule === undefined && !/\.c[jt]s$/.test(file!))
    // Where it is transformed or its strictness is not plain, the script itself has to be asked.
    if (/sourceMappingURL=/.test(source) || (!strict && /['"]use strict['"]/.test(source))) return null
    const lineStarts = [0]
    for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1)) lineStarts.push(at + 1)
    return {
      file: file!,
      source,
      lineStarts,
      strict,
      url: pathToFileURL(file!).href,
      imports: source.match(/\bimport\b[^;'"]*/g) ?? [],
    }
  } catch {
    return null
  }
}
