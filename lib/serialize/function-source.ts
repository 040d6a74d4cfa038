// Turns the text of a function into text that another process can evaluate: finds its free names and replaces what only its
// original surroundings can give (a superclass expression, a computed method name, `import.meta`, an arrow's outer `this`).
import { parse } from 'acorn'
import { Refusal } from './refusal'
import { analyse } from './scope'

type Any = any

export const SUPER = 'mp$super'
export const META = 'import$meta'
export const THIS = 'mp$this'

export interface FunctionSource {
  text: string
  form: 'expression' | 'method'
  isClass: boolean
  hasSuperClass: boolean
  usesMeta: boolean
  usesOuterThis: boolean
  /** Free names → the members used of them, when only members are. */
  names: Map<string, Set<string> | null>
  /** Starts of tokens before which a line break is harmless, with the offset each has in the original text. */
  breaks(): { original: number; at: number }[]
}

const cache = new Map<string, FunctionSource>()

export function readFunction(text: string, name: string): FunctionSource {
  const cached = cache.get(text)
  if (cached) return cached
  let failure: unknown
  for (const form of ['expression', 'method'] as const) {
    const before = form === 'method' ? '({' : '('
    const whole = before + text + (form === 'method' ? '})' : ')')
    for (const sourceType of ['module', 'script'] as const) {
      let ast: Any
      try {
        ast = parse(whole, {
          ecmaVersion: 'latest',
          sourceType,
          allowSuperOutsideMethod: true,
          allowAwaitOutsideFunction: false,
        })
      } catch (error) {
        if (!/Private field/.test((failure as Error)?.message ?? '')) failure = error
        continue
      }
      const source = describe(text, form, before.length, ast.body[0].expression, name)
      cache.set(text, source)
      return source
    }
  }
  const message = (failure as Error).message
  const field = /#\w+/.exec(message)?.[0]
  if (/Private field/.test(message))
    throw new Refusal(
      `uses the private member ${field} of its class`,
      'send an instance or a static method of the class, or the class itself',
    )
  if (/new\.target/.test(message))
    throw new Refusal('uses new.target of the function around it', 'pass what it needs as an argument')
  throw new Refusal(
    `has a source that cannot be read (${message.replace(/ \(\d+:\d+\)$/, '')})`,
    'export it from a module',
  )
}

function describe(text: string, form: FunctionSource['form'], offset: number, root: Any, name: string): FunctionSource {
  const edits: [start: number, end: number, replacement: string][] = []
  const skip = new Set<Any>()
  const isClass = root.type === 'ClassExpression'
  if (isClass && root.superClass) {
    skip.add(root.superClass)
    edits.push([root.superClass.start, root.superClass.end, ` ${SUPER}`])
    // Parentheses around the expression are not part of its node and may stay.
  }
  if (form === 'method') {
    const [property] = root.properties
    if (property.computed) {
      skip.add(property.key)
      edits.push([property.key.start, property.key.end, `'${/^[\w$ ]*$/.test(name) ? name : 'method'}'`])
    }
  }
  const uses = analyse(root, skip)
  if (uses.usesSuper && form === 'method')
    throw new Refusal('is a method that uses super', 'send its class or an instance instead')
  if (uses.usesSuper || uses.usesNewTarget)
    throw new Refusal(
      `uses ${uses.usesSuper ? 'super' : 'new.target'} of the method around it`,
      'send the class or an instance, or pass what it needs as an argument',
    )
  for (const start of uses.metas) edits.push([start, start + 'import.meta'.length, META])
  for (const start of uses.outerThis) edits.push([start, start + 4, THIS])
  edits.sort((a, b) => a[0] - b[0])
  let out = ''
  let from = 0
  for (const [start, end, replacement] of edits) {
    out += text.slice(from, start - offset) + replacement
    from = end - offset
  }
  out += text.slice(from)
  let found: { original: number; at: number }[] | undefined
  return {
    text: out,
    form,
    isClass,
    hasSuperClass: isClass && root.superClass !== null,
    usesMeta: uses.metas.length > 0,
    usesOuterThis: uses.outerThis.length > 0,
    names: uses.names,
    breaks: () => {
      if (!found) {
        const shift = (original: number): number => {
          let by = 0
          for (const [start, end, replacement] of edits)
            if (end - offset <= original) by += replacement.length - (end - start)
          return original + by
        }
        found = edits.some(([start, end]) => text.slice(start - offset, end - offset).includes('\n'))
          ? []
          : tokenStarts(text, form).map((original) => ({ original, at: shift(original) }))
      }
      return found
    },
  }
}

// Before a token a line break is harmless unless a semicolon would be inserted there, or the token may not start a line.
const NO_BREAK_AFTER = new Set([
  'return',
  'throw',
  'break',
  'continue',
  'yield',
  'async',
  'get',
  'set',
  'static',
  'accessor',
  'await',
  'let',
  'of',
  'type',
])
const NO_BREAK_BEFORE = new Set(['=>', '++', '--', '++/--', 'template', 'invalidTemplate', '`', '${', '}'])

function tokenStarts(text: string, form: FunctionSource['form']): number[] {
  const before = form === 'method' ? '({' : '('
  const tokens: Any[] = []
  try {
    parse(before + text + (form === 'method' ? '})' : ')'), {
      ecmaVersion: 'latest',
      sourceType: 'module',
      allowSuperOutsideMethod: true,
      onToken: tokens,
    })
  } catch {
    return []
  }
  const starts: number[] = []
  let inTemplate = 0
  for (let k = 1; k < tokens.length; k++) {
    const { type, start } = tokens[k]
    const previous = tokens[k - 1]
    if (type.label === '`')
      inTemplate = inTemplate > 0 && previous.type.label === 'template' ? inTemplate - 1 : inTemplate + 1
    if (
      inTemplate > 0 ||
      NO_BREAK_BEFORE.has(type.label) ||
      start - before.length <= 0 ||
      start - before.length >= text.length
    )
      continue
    if (NO_BREAK_AFTER.has(String(previous.value ?? previous.type.keyword ?? ''))) continue
    starts.push(start - before.length)
  }
  return starts
}
