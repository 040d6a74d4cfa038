// Functions on their way to the nodes: by the name of a module that the nodes have preloaded, or by value.
//
// A module's name is the same on all machines: the name in the nearest package.json and the path from there, `my-app/lib/work.mjs`;
// without such a package.json the name of the file.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkFunction } from '../check'
import type { PoolFunction } from '../pool/unit'
import { bytesBody, encode, readWire, SerializationError } from './core'
import type { FunctionName } from './frames'

type Fn = (...args: any[]) => unknown

/** A function as the messages name it. */
export interface ClusterFunction extends PoolFunction {
  readonly ref: FunctionName
  /** By value: its bytes. */
  readonly bytes: Uint8Array | undefined
}

/** The file of a module that is named by a file: URL or a path. */
export function fileOf(module: string | URL): string {
  return resolve(/^file:/.test(String(module)) ? fileURLToPath(module) : String(module))
}
const names = new Map<string, string>()
export function moduleName(file: string): string {
  let name = names.get(file)
  if (name === undefined) {
    name = basename(file)
    for (let folder = dirname(file); ; folder = dirname(folder)) {
      const described = packageNameIn(folder)
      if (described !== undefined) {
        name = `${described}/${relative(folder, file).split(sep).join('/')}`
        break
      }
      if (dirname(folder) === folder) break
    }
    names.set(file, name)
  }
  return name
}
function packageNameIn(folder: string): string | undefined {
  const file = join(folder, 'package.json')
  if (!existsSync(file)) return undefined
  try {
    const { name } = JSON.parse(readFileSync(file, 'utf8')) as { name?: unknown }
    return typeof name === 'string' && name !== '' ? name : undefined
  } catch {
    return undefined
  }
}

interface Root {
  t?: string
  url?: string
  file?: string
  path?: unknown[]
}
/** The module and path that an encoded function is a reference to. */
function reference(bytes: Uint8Array): { file: string; path: string[] } | undefined {
  const graph = readWire(bytes) as { root?: unknown; nodes?: Root[] }
  const root = typeof graph?.root === 'number' ? graph.nodes?.[graph.root] : undefined
  const where = root?.t === 'export' ? root.url : root?.t === 'cjs' ? root.file : undefined
  if (where === undefined || !root!.path!.every((key) => typeof key === 'string')) return undefined
  return { file: fileOf(where), path: root!.path as string[] }
}

export class ClusterFunctions {
  readonly #free: boolean
  readonly #names: ReadonlyMap<string, string>
  readonly #known = new WeakMap<object, ClusterFunction>()
  #count = 0

  /** `named`: what modules are called, by file, where that is not to be found out. */
  constructor(free: boolean, named: ReadonlyMap<string, string>) {
    this.#free = free
    this.#names = named
  }
  /** Throws TypeError, SerializationError. */
  of(fn: Fn): ClusterFunction {
    checkFunction('fn', fn)
    let known = this.#known.get(fn)
    if (known === undefined) {
      known = this.#describe(fn)
      this.#known.set(fn, known)
    }
    return known
  }
  #describe(fn: Fn): ClusterFunction {
    const name = fn.name || 'fn'
    const bytes = encode(fn, {
      name,
      main: this.#free ? 'value' : 'import',
      hold: () => {
        throw new Error('it is shared memory of this machine, or an open file: it cannot go to another one')
      },
    })
    const found = reference(bytes)
    const base = { id: ++this.#count, name, body: NO_BODY }
    if (found !== undefined) {
      const module = this.#names.get(found.file) ?? moduleName(found.file)
      return { ...base, ref: { module, path: found.path }, bytes: undefined }
    }
    if (!this.#free)
      throw new SerializationError(
        `cannot send function ${name} to the cluster: no module exports it; export it from a module that the nodes preload, or allow functions by value on both sides (allowFunctions, --allow-functions)`,
        name,
      )
    return { ...base, ref: { hash: createHash('sha256').update(bytes).digest('base64url') }, bytes }
  }
}
/** The pool's own bodies are not used here. */
export const NO_BODY = bytesBody(undefined)
