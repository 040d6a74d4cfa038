// What a receiver has already: globals, Node's builtin modules, CommonJS modules on disk. Such objects travel as names. The
// indexes go from identity to name and are built when first needed.
import module from 'node:module'
import { types } from 'node:util'
import { SerializationError } from '../errors'
import type { Path, ReferenceNode } from './wire'

const globals = new Map<object, Path>()
const realms = new WeakSet<object>()
const builtins = new Map<object, { module: string; path: string[] }>()
let builtinsFresh = false
let loadedCount = 0

const isObject = (value: unknown): value is object =>
  (typeof value === 'object' && value !== null) || typeof value === 'function'
const wellKnown = new Map<symbol, string>()
for (const name of Object.getOwnPropertyNames(Symbol)) {
  const value = (Symbol as any)[name]
  if (typeof value === 'symbol') wellKnown.set(value, name)
}
/** The name of a well-known symbol: `iterator` for Symbol.iterator. */
export function wellKnownName(symbol: symbol): string | undefined {
  return wellKnown.get(symbol)
}
const step = (key: string | symbol): Path | undefined =>
  typeof key === 'string' ? [key] : wellKnown.has(key) ? [{ wellKnown: wellKnown.get(key)! }] : undefined

function addMembers(owner: object, path: Path): void {
  for (const key of Reflect.ownKeys(owner)) {
    const next = step(key)
    const descriptor = Object.getOwnPropertyDescriptor(owner, key)!
    if (!next || !('value' in descriptor)) continue
    const member = descriptor.value
    if ((typeof member === 'function' || key === 'prototype') && !globals.has(member))
      globals.set(member, [...path, ...next])
  }
}
function indexRealm(realm: object): void {
  if (realms.has(realm)) return
  realms.add(realm)
  globals.set(realm, [])
  for (const name of Object.getOwnPropertyNames(realm)) {
    const descriptor = Object.getOwnPropertyDescriptor(realm, name)!
    // Getters are lazy globals (crypto, navigator): reading one would load it; `process` and `Buffer` are got otherwise.
    const value =
      'value' in descriptor
        ? descriptor.value
        : name === 'process' || name === 'Buffer'
          ? (realm as any)[name]
          : undefined
    if (!isObject(value) || value === realm || !isNativeOwner(value, name)) continue
    if (!globals.has(value)) globals.set(value, [name])
    addMembers(value, [name])
    const prototype = (value as any).prototype
    if (isObject(prototype)) {
      globals.set(prototype, [name, 'prototype'])
      addMembers(prototype, [name, 'prototype'])
    }
  }
  const typedArray = Object.getPrototypeOf((realm as typeof globalThis).Int8Array)
  if (!globals.has(typedArray)) globals.set(typedArray, ['Int8Array', { wellKnown: '__proto__' }])
}
// What a program has put on globalThis itself does not exist in the receiver.
const CORE = new Set([
  'Buffer',
  'process',
  'console',
  'performance',
  'JSON',
  'Math',
  'Reflect',
  'Atomics',
  'Intl',
  'WebAssembly',
  'globalThis',
  'global',
])
function isNativeOwner(value: object, name: string): boolean {
  if (CORE.has(name)) return true
  if (typeof value !== 'function') return false
  const text = Function.prototype.toString.call(value)
  return text.endsWith('[native code] }') || NODE_GLOBALS.has(name)
}
const NODE_GLOBALS = new Set(
  'AbortController AbortSignal Blob BroadcastChannel ByteLengthQueuingStrategy CompressionStream CountQueuingStrategy CustomEvent DOMException DecompressionStream Event EventTarget File FormData Headers MessageChannel MessageEvent MessagePort Performance PerformanceEntry ReadableStream Request Response TextDecoder TextDecoderStream TextEncoder TextEncoderStream TransformStream URL URLSearchParams WebSocket WritableStream atob btoa clearImmediate clearInterval clearTimeout fetch queueMicrotask setImmediate setInterval setTimeout structuredClone'.split(
    ' ',
  ),
)

/** The global's path, for values of any realm. */
export function globalPath(value: object): Path | undefined {
  indexRealm(globalThis)
  return globals.get(value)
}
/** Of an object or function of another realm (a vm context): learns that realm's globals, then looks again. */
export function foreignGlobalPath(value: object): Path | undefined {
  try {
    let proto: object | null = typeof value === 'function' ? Object.getPrototypeOf(value) : value
    while (proto && Object.getPrototypeOf(proto) !== null) proto = Object.getPrototypeOf(proto)
    const make = (proto as any)?.constructor?.constructor
    if (typeof make !== 'function' || make === Function || globals.has(make)) return globals.get(value)
    if (!Function.prototype.toString.call(make).endsWith('[native code] }')) return undefined
    indexRealm(make('return globalThis')())
  } catch {
    return undefined
  }
  return globals.get(value)
}
export function readGlobal(path: Path): unknown {
  let value: any = globalThis
  for (const key of path) {
    if (typeof key === 'string') value = value[key]
    else value = key.wellKnown === '__proto__' ? Object.getPrototypeOf(value) : value[(Symbol as any)[key.wellKnown]]
  }
  if (value === undefined) throw new SerializationError(`there is no global '${path.join('.')}' here`)
  return value
}

/** A builtin module, without running any user code. */
export function builtin(name: string): any {
  return process.getBuiltinModule?.(name) ?? (module as any)._load(name, null, false)
}
export function isBuiltin(specifier: string): boolean {
  return module.isBuiltin(specifier)
}
/** A builtin module or a member of one: `node:fs` or `node:fs.readFileSync`. Only modules that are loaded can be met. */
export function builtinReference(value: object): { module: string; path: string[] } | undefined {
  if (!builtinsFresh) {
    builtinsFresh = true
    const loaded: string[] = (process as any).moduleLoadList ?? []
    for (let k = loadedCount; k < loaded.length; k++) {
      const name = loaded[k]!.replace(/^NativeModule /, '')
      if (!/^(_|internal\/|Internal )/.test(name) && module.isBuiltin(`node:${name}`)) indexBuiltin(`node:${name}`)
    }
    loadedCount = loaded.length
  }
  return builtins.get(value)
}
function indexBuiltin(name: string): void {
  const exported = builtin(name)
  if (!isObject(exported)) return
  if (!builtins.has(exported)) builtins.set(exported, { module: name, path: [] })
  for (const key of Object.keys(exported)) {
    const member = Object.getOwnPropertyDescriptor(exported, key)!.value
    if (!isObject(member)) continue
    if (!builtins.has(member)) builtins.set(member, { module: name, path: [key] })
    const prototype =
      typeof member === 'function' ? Object.getOwnPropertyDescriptor(member, 'prototype')?.value : undefined
    if (isObject(prototype) && !builtins.has(prototype))
      builtins.set(prototype, { module: name, path: [key, 'prototype'] })
  }
}

const explicit = new WeakMap<object, ReferenceNode>()
/** Makes `value` travel as this reference from now on (fnRef, namespaces that decoding imported). */
export function setReference(value: object, node: ReferenceNode): void {
  explicit.set(value, node)
}
export function explicitReference(value: object): ReferenceNode | undefined {
  return explicit.get(value)
}

const commonjs = new Map<object, { file: string; path: string[] }>()
const indexedFiles = new Set<string>()
let commonjsFresh = false

/** Before a walk: modules that were loaded since the last one count. */
export function refreshIndexes(): void {
  builtinsFresh = false
  commonjsFresh = false
}
/** The main module's exports are not to be imported. */
function indexCommonjs(): void {
  commonjsFresh = true
  const cache: Record<string, NodeModule | undefined> = (module as any)._cache
  for (const file of Object.keys(cache)) {
    if (indexedFiles.has(file)) continue
    const loaded = cache[file]
    if (!loaded?.loaded || loaded === process.mainModule || loaded.id === '.' || !/^([/\\]|[a-zA-Z]:)/.test(file))
      continue
    indexedFiles.add(file)
    indexExports(loaded.exports, file, [])
  }
}
/** A module's `exports` itself, or a function or class in it, at most three members deep. */
export function commonjsReference(value: object): { file: string; path: string[] } | undefined {
  if (!commonjsFresh) indexCommonjs()
  const found = commonjs.get(value)
  return found && (found.path.length === 0 || typeof value === 'function' || found.path.at(-1) === 'prototype')
    ? found
    : undefined
}
function indexExports(value: unknown, file: string, path: string[]): void {
  if (!isObject(value) || commonjs.has(value) || types.isProxy(value) || path.length > 3) return
  if (path.length > 0 && typeof value === 'object' && Object.getPrototypeOf(value) !== Object.prototype) return
  commonjs.set(value, { file, path })
  for (const key of Object.getOwnPropertyNames(value)) {
    if (key === 'caller' || key === 'arguments' || key === 'constructor') continue
    const descriptor = Object.getOwnPropertyDescriptor(value, key)!
    if ('value' in descriptor) {
      if (key === 'prototype' && isObject(descriptor.value))
        commonjs.set(descriptor.value, { file, path: [...path, key] })
      else indexExports(descriptor.value, file, [...path, key])
    } else if (path.length === 0 && (value as any).__esModule) {
      // Compiled ES modules export through getters.
      try {
        indexExports((value as any)[key], file, [key])
      } catch {
        // An export in its temporal dead zone has no value yet.
      }
    }
  }
}

/** The exports of a CommonJS file. */
export function requireFromFile(file: string): unknown {
  return module.createRequire(file)(file)
}
