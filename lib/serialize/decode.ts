// The receiving side: loads the modules that a graph names, then builds its nodes. Objects are made empty and filled later, so that
// cycles close; a class is evaluated only when all it needs to start with (its superclass, what static initialisers read) is there.
import type { FileHandle } from 'node:fs/promises'
import { closeAll, openFileHandles, openFileHandlesSync, rebuildResource } from '../descriptors'
import { MultiprocError, SerializationError } from '../errors'
import { type Environment, evaluateFunction, moduleEnvironment, moduleObject, ownValue } from './evaluate'
import { classOfId, setClassId } from './identity'
import { keyOf, type Loaded, loadAll, loadAllSync, type Wanted } from './imports'
import { importMain, importMainSync } from './main-import'
import { builtin, isBuiltin, readGlobal, requireFromFile } from './references'
import { readCustom } from './serializer'
import { codecOf, packageExport, sharedBuffers } from './shared'
import { makeView } from './views'
import {
  CONFIGURABLE,
  CUSTOM,
  ENUMERABLE,
  FLAT,
  type FunctionNode,
  GRAPH,
  type Graph,
  JSON_GRAPH,
  type Key,
  type Node,
  type ObjectNode,
  PLAIN,
  type Property,
  type Slot,
  WRITABLE,
} from './wire'
import { readWire } from './wire-bytes'

/** The value that `encode` was given. Imports the modules that its functions need. Throws SerializationError. */
export async function decode(bytes: Uint8Array): Promise<unknown> {
  const { plain, graph } = read(bytes)
  if (!graph) return plain
  const loaded = await loadAll(wantedBy(graph), importMain)
  return build(graph, loaded, await openFileHandles(filesIn(graph)))
}
/** As `decode`, without waiting. Throws SerializationError where an ES module would have to be imported asynchronously. */
export function decodeSync(bytes: Uint8Array): unknown {
  const { plain, graph } = read(bytes)
  if (!graph) return plain
  const loaded = loadAllSync(wantedBy(graph), importMainSync)
  return build(graph, loaded, openFileHandlesSync(filesIn(graph)))
}

/** As `decode`, if no module has to be imported and no file opened; undefined otherwise. */
export function decodeAtOnce(bytes: Uint8Array): { value: unknown } | undefined {
  const { plain, graph } = read(bytes)
  if (!graph) return { value: plain }
  const wanted = wantedBy(graph)
  if (!wanted.every((w) => !w.main && isBuiltin(w.specifier)) || filesIn(graph) > 0) return undefined
  return { value: build(graph, loadAllSync(wanted, importMainSync), []) }
}

function malformed(detail: string, cause?: unknown): SerializationError {
  return new SerializationError(
    `malformed message: ${detail}`,
    '',
    undefined,
    cause === undefined ? undefined : { cause },
  )
}
function read(bytes: Uint8Array): { plain?: unknown; graph?: Graph } {
  if (!ArrayBuffer.isView(bytes) || bytes.byteLength === 0) throw malformed('no bytes')
  const kind = bytes[0]
  if (kind === CUSTOM) return { plain: readCustom(bytes) }
  if (kind !== PLAIN && kind !== GRAPH && kind !== JSON_GRAPH && kind !== FLAT) throw malformed(`unknown kind ${kind}`)
  let value: any
  try {
    value = readWire(bytes)
  } catch (error) {
    if (error instanceof SerializationError) throw error
    throw malformed((error as Error).message, error)
  }
  if (kind === PLAIN || kind === FLAT) return { plain: value }
  if (!Array.isArray(value?.nodes) || !Array.isArray(value.modules) || value.root === undefined)
    throw malformed('not a graph')
  return { graph: value }
}

function wantedBy(graph: Graph): Wanted[] {
  const wanted = new Map<string, Wanted>()
  const want = (w: Wanted): void => {
    if (typeof w.specifier !== 'string' || typeof w.from !== 'string') throw malformed('an import without a name')
    wanted.set(keyOf(w), w)
  }
  try {
    for (const node of graph.nodes) {
      if (node.t === 'export') want({ from: node.url, specifier: node.url, main: node.main === 1 })
      else if (node.t === 'namespace') want({ from: node.from, specifier: node.specifier })
    }
    for (const { url, bindings } of graph.modules)
      for (const [, b] of bindings)
        if (b.b === 'import')
          want({ from: url, specifier: b.specifier, ...(b.attributes && { attributes: b.attributes }) })
  } catch (error) {
    throw error instanceof SerializationError ? error : malformed((error as Error).message, error)
  }
  return [...wanted.values()]
}

/** How many FileHandles are to be made. */
function filesIn(graph: Graph): number {
  let count = 0
  for (const node of graph.nodes) if (node.t === 'resource' && node.kind === 'file') count++
  return count
}

function build(graph: Graph, loaded: Loaded, files: FileHandle[]): unknown {
  const builder = new Builder(graph, loaded, files)
  try {
    return builder.run()
  } catch (error) {
    builder.undo()
    if (error instanceof MultiprocError) throw error
    throw new SerializationError(
      `cannot rebuild what was received: ${(error as Error)?.message ?? error}`,
      '',
      undefined,
      { cause: error },
    )
  } finally {
    closeAll(files)
  }
}

class Builder {
  private readonly built: unknown[]
  private readonly state: Uint8Array
  private readonly later: (() => void)[] = []
  private next = 0
  private readonly undoing: (() => void)[] = []
  private readonly environments = new Map<string, Environment>()

  constructor(
    private readonly graph: Graph,
    private readonly loaded: Loaded,
    /** FileHandles to be used. */
    private readonly files: FileHandle[],
  ) {
    this.built = new Array(graph.nodes.length)
    this.state = new Uint8Array(graph.nodes.length)
  }

  run(): unknown {
    const value = this.get(this.graph.root)
    this.fill()
    if (this.next < this.later.length) throw new Unfinished()
    return value
  }
  /** Nobody gets what was built: closes what is open in it. */
  undo(): void {
    for (const undo of this.undoing) undo()
  }
  /** Does what waits, except what waits for an object that is being built further up: that stays for the fill after it. */
  private fill(): void {
    // A fill inside a fill takes over the same queue, so that a class finds all that stands before it done.
    for (let blocked = 0; this.next < this.later.length && blocked <= this.later.length - this.next; ) {
      const task = this.later[this.next++]!
      try {
        task()
        blocked = 0
      } catch (error) {
        if (!(error instanceof Unfinished)) throw error
        this.later.push(task)
        blocked++
      }
    }
  }

  private get(slot: Slot): any {
    if (Array.isArray(slot)) return slot[0]
    const state = this.state[slot]
    if (state === DONE) return this.built[slot]
    const node = this.graph.nodes[slot]
    if (!node) throw malformed('a node is missing')
    if (state === BUILDING) throw new Unfinished()
    this.state[slot] = BUILDING
    try {
      return this.set(slot, this.make(node, slot))
    } catch (error) {
      if (error instanceof Unfinished && this.state[slot] === BUILDING) this.state[slot] = 0
      throw error
    }
  }
  private set<T>(index: number, value: T): T {
    this.built[index] = value
    this.state[index] = DONE
    return value
  }
  private isBuilding(slot: Slot): boolean {
    return typeof slot === 'number' && this.state[slot] === BUILDING
  }
  /** Now, or once what is being built is there. */
  private whenReady(slot: Slot, use: (value: any) => void): void {
    if (this.isBuilding(slot)) this.later.push(() => use(this.get(slot)))
    else use(this.get(slot))
  }

  private make(node: Node, index: number): unknown {
    switch (node.t) {
      case 'symbol':
        return Symbol.for(node.key)
      case 'global':
        return readGlobal(node.path)
      case 'builtin':
        return follow(builtin(node.module), node.path as string[], node.module)
      case 'package':
        return follow(
          packageExport(node.path[0] as string),
          node.path.slice(1) as string[],
          'multiproc',
          node.path[0] as string,
        )
      case 'cjs':
        return follow(requireFromFile(node.file), node.path as string[], node.file)
      case 'export':
        return this.exported(
          this.loaded.get(keyOf({ from: node.url, specifier: node.url, main: node.main === 1 })),
          node.path as string[],
          node.url,
        )
      case 'namespace':
        return this.loaded.get(keyOf({ from: node.from, specifier: node.specifier }))
      case 'prototype':
        return this.get(node.of).prototype
      case 'bound':
        return this.get(node.target).bind(this.get(node.self), ...node.args.map((a) => this.get(a)))
      case 'reduced':
        return this.reduced(node)
      case 'shared': {
        const codec = codecOf(node.tag)
        if (!codec)
          throw new SerializationError(
            `a shared object of an unknown kind ('${node.tag}') was received; is it the same version of multiproc on both sides?`,
          )
        if (node.slot === undefined) return codec.read(node.data)
        const data = this.get(node.slot)
        this.fill() // what it holds must be whole
        return codec.read(data)
      }
      case 'sharedBuffer': {
        const codec = sharedBuffers()
        if (!codec) throw new SerializationError('shared memory was received and nothing here can open it')
        return codec.read(node.data)
      }
      case 'resource': {
        const { object, undo } = rebuildResource(node, this.files)
        this.undoing.push(undo)
        return object
      }
      case 'function':
        return this.function(node, index)
      default:
        return this.object(node, index)
    }
  }

  private exported(namespace: any, path: string[], url: string): unknown {
    const [head, ...rest] = path as [string, ...string[]]
    const owner = head in namespace ? namespace : namespace.default
    if (owner === undefined || owner === null || !(head in Object(owner)))
      throw new SerializationError(`${url} has no export '${head}' here`)
    return follow(owner[head], rest, url, head)
  }

  private reduced(node: Extract<Node, { t: 'reduced' }>): unknown {
    const by = this.get(node.by)
    const args = node.args.map((a) => this.get(a))
    // The arguments must be whole when they are used.
    this.fill()
    if (node.how === 'new') return new by(...args)
    return node.how === 'static' ? by[node.key!](...args) : by(...args)
  }

  private object(node: ObjectNode, index: number): unknown {
    const object = this.set(index, this.shell(node))
    if (node.proto !== undefined) {
      const proto = node.proto
      this.later.push(() => Object.setPrototypeOf(object, this.get(proto)))
    }
    if (node.t === 'map') {
      this.later.push(() => {
        for (const [k, v] of node.entries) Map.prototype.set.call(object, this.get(k), this.get(v))
      })
    } else if (node.t === 'set') {
      this.later.push(() => {
        for (const v of node.items) Set.prototype.add.call(object, this.get(v))
      })
    }
    if (node.props) this.later.push(() => this.define(object, node.props!))
    if (node.sealed) this.later.push(() => Object.preventExtensions(object))
    return object
  }
  private shell(node: ObjectNode): any {
    switch (node.t) {
      case 'object':
      case 'map':
      case 'set':
        return node.t === 'object' ? {} : node.t === 'map' ? new Map() : new Set()
      case 'array': {
        const array: unknown[] = []
        array.length = node.length
        return array
      }
      case 'date':
        return new Date(node.time)
      case 'regexp':
        return new RegExp(node.source, node.flags)
      case 'boxed':
        return Object(node.value)
      case 'error': {
        const error = new Error()
        delete (error as any).stack
        return error
      }
      case 'domException':
        return new DOMException(node.message, node.name)
      case 'buffer':
        return node.bytes.buffer
      case 'bytes':
        return Buffer.from(node.bytes.buffer as ArrayBuffer, node.bytes.byteOffset, node.bytes.byteLength)
      case 'view':
        return makeView(node.type, this.get(node.buffer), node.offset, node.length)
      case 'url':
        return new URL(node.href)
      case 'params':
        return new URLSearchParams(node.text)
      default:
        throw malformed(`unknown node '${(node as Node).t}'`)
    }
  }

  private key(key: Key): string | symbol {
    return typeof key === 'string' ? key : this.get(key.symbol)
  }
  private define(object: object, properties: Property[]): void {
    for (const p of properties) {
      const flags = p[p.length - 1] as number
      const d: PropertyDescriptor = {
        enumerable: (flags & ENUMERABLE) !== 0,
        configurable: (flags & CONFIGURABLE) !== 0,
      }
      if (p.length === 3) {
        d.value = this.get(p[1])
        d.writable = (flags & WRITABLE) !== 0
      } else {
        if (p[1] !== null) d.get = this.get(p[1])
        if (p[2] !== null) d.set = this.get(p[2])
      }
      Object.defineProperty(object, this.key(p[0]), d)
    }
  }

  private function(node: FunctionNode, index: number): unknown {
    const home = node.isClass && node.id !== undefined ? classOfId(node.id) : undefined
    if (home) return home
    const module = this.environment(node)
    const f = evaluateFunction(node, module, (set) => {
      const bind = ([name, slot]: [string, Slot]): void => this.whenReady(slot, set[name]!)
      if (node.isClass) {
        // `extends` and static initialisers run at once.
        for (const captured of node.captured)
          captured[0] === SUPER ? set[SUPER]!(this.get(captured[1])) : bind(captured)
        this.fill()
      } else if (node.captured.length) this.later.push(() => node.captured.forEach(bind))
    })
    this.set(index, f)
    if (node.id !== undefined) setClassId(f, node.id)
    if (node.name !== null && f.name !== node.name)
      Object.defineProperty(f, 'name', { value: node.name, configurable: true })
    if (node.props) this.later.push(() => this.define(f, node.props!))
    if (node.prototype) {
      const { proto, props } = node.prototype
      this.later.push(() => {
        if (proto !== undefined) Object.setPrototypeOf(f.prototype, this.get(proto))
        this.define(f.prototype, props)
      })
    }
    return f
  }

  private environment(node: FunctionNode): Environment {
    const key = `${node.module}${node.strict ? 's' : ''}`
    const known = this.environments.get(key)
    if (known) return known
    const module = this.graph.modules[node.module]
    if (!module) throw malformed('a module is missing')
    const { url, bindings } = module
    const environment = moduleEnvironment(
      url,
      bindings.map(([name]) => name),
      node.strict,
    )
    this.environments.set(key, environment)
    for (const [name, b] of bindings) {
      const set = environment.set[name]!
      if (b.b === 'value') this.later.push(() => this.whenReady(b.slot, set))
      else if (b.b === 'module') this.later.push(() => set(moduleObject(url, this.get(b.exports))))
      else if (b.b === 'import') set(this.imported(url, b))
      else set(ownValue(b.b, url))
    }
    return environment
  }
  private imported(from: string, b: { specifier: string; name: string }): unknown {
    const namespace = this.loaded.get(keyOf({ from, specifier: b.specifier }))
    return b.name === '*' ? namespace : namespace[b.name]
  }
}
const BUILDING = 1
const DONE = 2
const SUPER = 'mp$super'

/** Something is needed that is being built further up. */
class Unfinished extends SerializationError {
  constructor() {
    super(
      'a received value contains itself in a place where it must be complete first (a superclass, or the arguments of a reduce hook)',
    )
  }
}

function follow(value: any, path: string[], where: string, walked = ''): unknown {
  for (const key of path) {
    walked = walked ? `${walked}.${key}` : key
    value = value?.[key]
  }
  if (value === undefined) throw new SerializationError(`${where} has no export '${walked}' here`)
  return value
}
