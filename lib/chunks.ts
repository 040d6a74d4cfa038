// The package is several files, so that importing it costs little: this one's (dist/multiproc.cjs: processes, memory,
// serialisation), and chunks that are loaded when one of their exports is first used. Sources know nothing of it, but for
// this file: scripts/chunks.mjs says which folders a chunk is made of, and puts stand-ins where lib/index.ts imports them.
//
//   user ──▶ stand-in of Lock ──first use──▶ dist/objects.cjs ──require('internal:memory/index')──▶ modules of this file
//
// A chunk is run from a script of its own as the rest is: what V8 has compiled of it goes to children (start/compiled.ts).
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Script } from 'node:vm'
import { packageScript } from './process/ticket'

type Namespace = Record<string, any>
type Table = Record<string, () => Namespace>

interface Chunk {
  exports: Namespace | undefined
  script: Script | undefined
  /** As the parent compiled it. */
  code: Uint8Array | undefined
  readonly standIns: Map<string, object>
}

const chunks = new Map<string, Chunk>()
/** What each stand-in stands for, if that is loaded. */
const sources = new WeakMap<object, () => object | undefined>()
const listeners: (() => void)[] = []
/** Modules of this file that chunks use. */
let modules: Table = {}

/** @internal Of the built package's entry: this file's modules that chunks use. */
export function setModules(internals: Table): void {
  modules = internals
}

/** Called after a chunk was loaded: its exports are known from now on. */
export function onChunk(listener: () => void): void {
  listeners.push(listener)
}

/** Loads the chunks that are missing, one after the other, until `found`: somebody sent what only they know. */
export function loadChunksUntil(found: () => boolean): void {
  for (const name of chunks.keys()) {
    if (found()) return
    load(name)
  }
}

/** Names of those that are loaded. */
export function loadedChunks(): string[] {
  return [...chunks].filter(([, chunk]) => chunk.exports !== undefined).map(([name]) => name)
}

/** Loads all of them now. */
export function loadChunks(): void {
  loadChunksUntil(() => false)
}

/** The scripts of those that are loaded, in the order of all. */
export function chunkScripts(): (Script | undefined)[] {
  return [...chunks.values()].map((chunk) => chunk.script)
}

/** What the parent compiled of each, in the order of all; empty: nothing. */
export function useCompiledChunks(codes: readonly Uint8Array[]): void {
  for (const [index, chunk] of [...chunks.values()].entries()) if (codes[index]?.length) chunk.code = codes[index]
}

function load(name: string): Namespace {
  const chunk = chunks.get(name)!
  if (chunk.exports !== undefined) return chunk.exports
  const file = join(__dirname, `${name}.cjs`)
  const module = { exports: {} as Namespace }
  chunk.exports = module.exports
  chunk.script = packageScript(file, chunk.code)
  chunk.code = undefined
  const required = createRequire(file)
  const require = (path: string): unknown => (path.startsWith(INTERNAL) ? internal(path) : required(path))
  chunk.script.runInThisContext().call(module.exports, module.exports, require, module, file, __dirname, chunk.script)
  chunk.exports = module.exports
  for (const [export_, proxy] of chunk.standIns) {
    const { prototype } = module.exports[export_]
    if (prototype?.constructor === module.exports[export_])
      Object.defineProperty(prototype, 'constructor', { value: proxy, configurable: true, writable: true })
  }
  for (const listener of listeners) listener()
  return module.exports
}

/** `internal:memory/index` is a module of this file, `internal:objects:channel/waits` one of a chunk. */
const INTERNAL = 'internal:'
function internal(path: string): Namespace {
  const [, chunk, file] = path.split(':')
  return file === undefined ? modules[chunk!]!() : (load(chunk!).__modules as Table)[file]!()
}

/**
 * @internal Stands for an export of a chunk, and is used as if it was that: called, constructed, extended, asked for statics.
 * Instances are of the class itself, whose `prototype.constructor` is the stand-in.
 */
export function standIn(chunk: string, name: string): object {
  let real: any
  const get = (): any => {
    real ??= load(chunk)[name]
    return real
  }
  // A bound class can be constructed, and has no property that a proxy would have to own up to.
  const target = Object.defineProperty(class {}.bind(undefined), 'name', { value: name })
  const proxy: object = new Proxy(target, {
    apply: (_, self, args) => Reflect.apply(get(), self, args),
    construct: (_, args, target): object => {
      if (get().prototype === undefined) throw new TypeError(`${name} is no class: call ${name}() without new`)
      return Reflect.construct(get(), args, target === proxy ? get() : target)
    },
    get: (_, key, receiver) => Reflect.get(get(), key, receiver === proxy ? get() : receiver),
    // What is set on a class that extends it is that class's own.
    set: (_, key, value, receiver) => Reflect.set(get(), key, value, receiver === proxy ? get() : receiver),
    has: (_, key) => Reflect.has(get(), key),
    ownKeys: () => Reflect.ownKeys(get()),
    getPrototypeOf: () => Reflect.getPrototypeOf(get()),
    defineProperty: (_, key, descriptor) => Reflect.defineProperty(get(), key, descriptor),
    getOwnPropertyDescriptor(_, key) {
      const descriptor = Reflect.getOwnPropertyDescriptor(get(), key)
      return descriptor && { ...descriptor, configurable: true }
    },
  })
  if (!chunks.has(chunk))
    chunks.set(chunk, { exports: undefined, script: undefined, code: undefined, standIns: new Map() })
  chunks.get(chunk)!.standIns.set(name, proxy)
  sources.set(proxy, () => (chunks.get(chunk)!.exports === undefined ? undefined : get()))
  return proxy
}

/** What a stand-in stands for, undefined where its chunk has not been loaded; anything else is itself. */
export function behind(value: object): object | undefined {
  const source = sources.get(value)
  return source === undefined ? value : source()
}
