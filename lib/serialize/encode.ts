// The sending side: walks a value and writes it as a graph of nodes (wire.ts). The walk keeps a list of what is still to be done
// instead of recursing, so depth does not matter, and remembers for each object how it was reached, for the errors.
import { constants } from 'node:buffer'
import { types } from 'node:util'
import { describeResource, type ResourceNode, sentResource } from '../descriptors'
import { MultiprocError, SerializationError, UnsupportedError } from '../errors'
import type { Description } from './functions'
import { classId } from './identity'
import { withInspector } from './inspector'
import { loadFunctions } from './lazy'
import { isPlain } from './plain'
import { describePlain } from './plain-function'
import { REDUCE, reduce } from './reduce'
import {
  builtinReference,
  commonjsReference,
  explicitReference,
  foreignGlobalPath,
  globalPath,
  refreshIndexes,
  wellKnownName,
} from './references'
import { isRefusal, Refusal } from './refusal'
import { codecOf, isSharedBuffer, packageName, SHARED, sharedBuffers, standIn, type ToSegment } from './shared'
import { viewType } from './views'
import {
  type Binding,
  CONFIGURABLE,
  ENUMERABLE,
  type FunctionNode,
  type Graph,
  type Key,
  type Node,
  type ObjectNode,
  type Property,
  type Slot,
  WRITABLE,
} from './wire'
import { flatBytes, graphBytes, plainBytes } from './wire-bytes'

export interface EncodeOptions {
  /** What errors call the root: "target", "args". */
  name: string
  /** What errors call the items of the root, if that is an array. */
  items?: readonly string[]
  /** How functions of the main module travel: by 'value' (default), or as an 'import' of the main module. */
  main?: 'value' | 'import'
  /** Called for each block of shared memory in the value. */
  hold?: (offset: number) => void
  /** Called for each view of memory in the value; absent: all travel in the bytes. */
  segment?: ToSegment
  /**
   * Called once if the value has open resources. This thread holds their blocks until the function given is called; without this
   * option until encode() returns, so that `hold` must have taken its own hold by then.
   */
  sending?: (end: () => void) => void
}

/** How the walk came to an object. */
interface Way {
  parent: Way | null
  step: string
  /** The innermost function on the way. */
  fn: string | null
}

/**
 * The value as bytes that `decode` in another process turns into the same value. Throws SerializationError, whose `path` says where
 * the culprit is.
 */
export function encode(value: unknown, options: EncodeOptions): Uint8Array {
  const flat = flatBytes(value)
  if (flat) return flat
  if (isPlain(value)) {
    try {
      return plainBytes(value, options.segment)
    } catch {
      // Too deep for V8, or something that only it refuses: the walk finds it, and says where it is.
    }
  }
  const encoder = new Encoder(options)
  let sending = false
  try {
    const bytes = graphBytes(encoder.graph(value), options.segment)
    if (encoder.resources.length > 0 && options.sending !== undefined) {
      options.sending(() => encoder.endSending())
      sending = true
    }
    return bytes
  } finally {
    if (!sending) encoder.endSending()
  }
}

const WAY_OUT = {
  resource: `open it in the child, or give its class a [Symbol.for('multiproc.reduce')]() that says how to rebuild it`,
  state: 'create it in the child, or send what it was made from',
}
/** As long as an array of bytes may be: 4 GiB before Node 22. */
const MOST_BYTES = constants.MAX_LENGTH
const NATIVE = /\{\s*\[native code\]\s*\}$/

class Encoder {
  private readonly nodes: (Node | null)[] = []
  private readonly memo = new Map<object, number>()
  private readonly pending: { value: object; index: number; way: Way }[] = []
  private readonly modules = new Map<
    string,
    { index: number; bindings: Map<string, Binding>; values: Map<string, unknown> }
  >()
  private readonly hold: (offset: number) => void
  /** What stands for open files on their way: this thread holds their blocks. */
  readonly resources: Pick<ResourceNode, 'block'>[] = []
  private readonly carry = (block: ResourceNode['block']): void => {
    this.resources.push({ block })
    this.hold(block.offset)
  }

  constructor(private readonly options: EncodeOptions) {
    this.hold = options.hold ?? (() => {})
  }

  graph(value: unknown): Graph {
    refreshIndexes()
    const way: Way = {
      parent: null,
      step: this.options.name,
      fn: typeof value === 'function' ? value.name || '(anonymous)' : null,
    }
    const root = this.slot(value, way)
    for (let next = this.pending.pop(); next; next = this.pending.pop()) {
      try {
        this.nodes[next.index] =
          typeof next.value === 'function'
            ? this.function(next.value as any, next.way)
            : this.object(next.value, next.way)
      } catch (error) {
        throw this.explain(error, next.way)
      }
    }
    const modules = [...this.modules].map(([url, m]) => ({ url, bindings: [...m.bindings] }))
    return { root, nodes: this.nodes as Node[], modules }
  }

  endSending(): void {
    for (const node of this.resources.splice(0)) sentResource(node)
  }

  private explain(error: unknown, way: Way): unknown {
    if (
      error instanceof MultiprocError &&
      !(error instanceof SerializationError) &&
      error.code !== 'ERR_MP_UNSUPPORTED'
    )
      return error
    if (error instanceof SerializationError && error.path) return error
    let path = isRefusal(error) ? error.where : ''
    for (let w: Way | null = way; w; w = w.parent) path = w.step + path
    const what =
      way.fn === null ? 'cannot send a value to another process' : `cannot send function ${way.fn} to another process`
    const why = isRefusal(error) ? `${error.why}; ${error.wayOut}` : `cannot be sent: ${(error as Error).message}`
    return new SerializationError(
      `${what}: ${path} ${why}`,
      path,
      undefined,
      isRefusal(error) ? undefined : { cause: error },
    )
  }

  private slot(value: unknown, way: Way): Slot {
    if (value === null || (typeof value !== 'object' && typeof value !== 'function'))
      return typeof value === 'symbol'
        ? this.symbol(value, way)
        : value === undefined
          ? [] // JSON has no undefined
          : [value]
    const known = this.memo.get(value)
    if (known !== undefined) return known
    const index = this.nodes.push(null) - 1
    this.memo.set(value, index)
    this.pending.push({ value, index, way })
    return index
  }
  private symbol(symbol: symbol, way: Way): Slot {
    const key = Symbol.keyFor(symbol)
    const name = key === undefined ? wellKnownName(symbol) : undefined
    if (key === undefined && name === undefined)
      throw this.explain(
        new Refusal(
          `is a unique symbol (${String(symbol)})`,
          'use Symbol.for(key), which is the same in all processes',
        ),
        way,
      )
    return this.nodes.push(key !== undefined ? { t: 'symbol', key } : { t: 'global', path: ['Symbol', name!] }) - 1
  }

  private properties(object: object, way: Way, skip?: (key: string | symbol) => boolean): Property[] {
    const out: Property[] = []
    for (const key of Reflect.ownKeys(object)) {
      if (skip?.(key)) continue
      const d = Object.getOwnPropertyDescriptor(object, key)!
      const item = way.parent === null ? this.options.items?.[Number(key)] : undefined
      const step = { parent: way, step: item ?? memberStep(key), fn: way.fn }
      const name: Key = typeof key === 'symbol' ? { symbol: this.symbol(key, step) } : key
      const flags = (d.writable ? WRITABLE : 0) | (d.enumerable ? ENUMERABLE : 0) | (d.configurable ? CONFIGURABLE : 0)
      if ('value' in d) out.push([name, this.slot(d.value, step), flags])
      else out.push([name, d.get ? this.slot(d.get, step) : null, d.set ? this.slot(d.set, step) : null, flags])
    }
    return out
  }

  /** What has a name in the receiver too. */
  private reference(value: object, foreign: boolean): Node | undefined {
    const explicit = explicitReference(value)
    if (explicit) return explicit
    const own = packageName(value)
    if (own) return { t: 'package', path: own }
    const global = globalPath(value) ?? (foreign ? foreignGlobalPath(value) : undefined)
    if (global) return { t: 'global', path: global }
    const commonjs = commonjsReference(value)
    if (commonjs) return { t: 'cjs', ...commonjs }
    return undefined
  }

  private object(given: object, way: Way): Node {
    const object = types.isProxy(given) ? standIn(given) : given
    if (object === undefined) throw new Refusal('is a Proxy', 'send its target')
    const tag = (object as any)[SHARED]
    const codec = typeof tag === 'string' && !Object.hasOwn(object, 'constructor') ? codecOf(tag) : undefined
    if (codec) {
      const data = codec.write(object, this.hold, this.options.hold && this.carry)
      return isPlain(data)
        ? { t: 'shared', tag, data }
        : { t: 'shared', tag, slot: this.slot(data, { parent: way, step: '', fn: way.fn }) }
    }
    if (types.isAnyArrayBuffer(object) && isSharedBuffer(object))
      return { t: 'sharedBuffer', data: sharedBuffers()!.write(object as ArrayBuffer, this.hold) }
    if (isData(object)) return this.base(object, way)
    const named = this.reference(object, Object.getPrototypeOf(object) === null)
    if (named) return named
    const builtin = builtinReferenceOf(object)
    if (builtin) return builtin
    if (isPrototype(object))
      return {
        t: 'prototype',
        of: this.slot((object as any).constructor, { parent: way, step: '.constructor', fn: way.fn }),
      }
    const reduced = reduce(object)
    if (reduced) {
      const step = (name: string): Way => ({ parent: way, step: `[multiproc.reduce]${name}`, fn: way.fn })
      const { how, key } = reduced
      return {
        t: 'reduced',
        how,
        by: this.slot(reduced.by, step('.rebuild')),
        ...(key !== undefined && { key }),
        args: reduced.args.map((a, k) => this.slot(a, step(`.args[${k}]`))),
      }
    }
    return this.resource(object) ?? this.base(object, way)
  }

  /** An open file of this process. Without a message to hold it there is nothing that it could travel with. */
  private resource(object: object): Node | undefined {
    const node = this.options.hold && describeResource(object)
    if (!node) return undefined
    this.carry(node.block)
    return node
  }

  /** The data of an object by its kind, then its prototype and own properties. */
  private base(object: object, way: Way): ObjectNode {
    const at = (step: string): Way => ({ parent: way, step, fn: way.fn })
    if ((ArrayBuffer.isView(object) || types.isArrayBuffer(object)) && (object as ArrayBuffer).byteLength > MOST_BYTES)
      throw new Refusal(
        `has ${(object as ArrayBuffer).byteLength} bytes, more than this version of Node can take in one array`,
        'send it in parts, or use Node 22 or later',
      )
    let node: ObjectNode
    let usual: string
    let skip: ((key: string | symbol) => boolean) | undefined
    if (Array.isArray(object)) {
      node = { t: 'array', length: object.length }
      usual = 'Array'
      skip = (key) => key === 'length'
    } else if (types.isMap(object)) {
      node = {
        t: 'map',
        entries: [...Map.prototype.entries.call(object)].map(([k, v]) => [
          this.slot(k, at('.keys()')),
          this.slot(v, at(`.get(${keyText(k)})`)),
        ]),
      }
      usual = 'Map'
    } else if (types.isSet(object)) {
      node = { t: 'set', items: [...Set.prototype.values.call(object)].map((v) => this.slot(v, at('.values()'))) }
      usual = 'Set'
    } else if (types.isDate(object)) {
      node = { t: 'date', time: Date.prototype.getTime.call(object) }
      usual = 'Date'
    } else if (types.isRegExp(object)) {
      node = { t: 'regexp', source: object.source, flags: object.flags }
      usual = 'RegExp'
    } else if (isDomException(object)) {
      const { message, name, stack } = object
      const node: ObjectNode = { t: 'domException', message, name, props: [] }
      if (stack !== undefined) node.props!.push(['stack', [stack], WRITABLE | CONFIGURABLE])
      if (Object.hasOwn(object, 'cause'))
        node.props!.push(['cause', this.slot(object.cause, at('.cause')), WRITABLE | CONFIGURABLE])
      return node
    } else if (types.isNativeError(object)) {
      node = { t: 'error' }
      usual = 'Error'
    } else if (ArrayBuffer.isView(object)) {
      const type = viewType(object)
      usual = type
      skip = (key) => typeof key === 'string' && /^\d+$/.test(key)
      const whole = object.byteLength === object.buffer.byteLength
      // Buffers lie in a pool with other people's data: only their own bytes travel, unless the buffer itself is shared memory.
      if (type === 'Buffer' && !whole && !isSharedBuffer(object.buffer))
        node = { t: 'bytes', bytes: new Uint8Array(object.buffer, object.byteOffset, object.byteLength) }
      else
        node = {
          t: 'view',
          type,
          buffer: this.slot(object.buffer, at('.buffer')),
          offset: object.byteOffset,
          length: (object as Uint8Array).length ?? object.byteLength,
        }
    } else if (types.isArrayBuffer(object)) {
      node = { t: 'buffer', bytes: new Uint8Array(object as ArrayBuffer) }
      usual = 'ArrayBuffer'
    } else if (types.isBoxedPrimitive(object)) {
      const value = (object as any).valueOf()
      if (typeof value === 'symbol') throw new Refusal('is a boxed symbol', 'send its description')
      node = { t: 'boxed', value }
      usual = Object.prototype.toString.call(object).slice(8, -1)
      if (types.isStringObject(object))
        skip = (key) => key === 'length' || (typeof key === 'string' && /^\d+$/.test(key))
    } else if (object instanceof URL) return { t: 'url', href: object.href }
    else if (object instanceof URLSearchParams) return { t: 'params', text: object.toString() }
    else if (types.isArgumentsObject(object)) {
      const values = Array.from(object as ArrayLike<unknown>)
      return { t: 'array', length: values.length, props: this.properties(values, way, (key) => key === 'length') }
    } else {
      refuse(object)
      node = { t: 'object' }
      usual = 'Object'
    }
    this.privateFields(object)
    const proto = Object.getPrototypeOf(object)
    const own = proto === null || proto === Object.prototype || proto === Array.prototype
    const name = own
      ? [proto === Array.prototype ? 'Array' : 'Object', 'prototype']
      : (globalPath(proto) ?? foreignGlobalPath(proto))
    if (proto === null) node.proto = [null]
    else if (!(name?.length === 2 && name[0] === usual && name[1] === 'prototype'))
      node.proto = this.slot(proto, at(`.[[${proto.constructor?.name || 'prototype'}]]`))
    if (node.t === 'error') {
      // `stack` is an accessor in newer V8s; what it says travels.
      node.props = this.properties(object, way, (key) => key === 'stack')
      const stack = (object as Error).stack
      if (typeof stack === 'string') node.props.push(['stack', [stack], WRITABLE | CONFIGURABLE])
    } else {
      const props = this.properties(object, way, skip)
      if (props.length) node.props = props
    }
    if (node.t !== 'bytes' && node.t !== 'view' && !Object.isExtensible(object)) node.sealed = 1
    return node
  }

  private privateFields(object: object): void {
    for (
      let proto = Object.getPrototypeOf(object);
      proto && proto !== Object.prototype && proto !== Array.prototype && globalPath(proto) === undefined;
      proto = Object.getPrototypeOf(proto)
    ) {
      const C = Object.hasOwn(proto, 'constructor') ? proto.constructor : undefined
      if (typeof C !== 'function' || !Function.prototype.toString.call(C).includes('#') || C.prototype === object)
        continue
      const { withInspector, privateMembers } = loadFunctions()
      const names = withInspector(() => privateMembers(object))
      if (names.length)
        throw new Refusal(
          `is an instance of ${C.name} with private fields (${names.join(', ')}), which nothing outside the class can copy`,
          `give the class a [Symbol.for('multiproc.reduce')]() that returns [${C.name || 'Class'}, arguments]`,
        )
      return
    }
  }

  private function(f: (...args: any[]) => unknown, way: Way): Node {
    const own = packageName(f)
    if (own) return { t: 'package', path: own }
    if (types.isProxy(f)) throw new Refusal('is a Proxy', 'send its target')
    const text = Function.prototype.toString.call(f)
    const native = NATIVE.test(text)
    if (!native && this.options.main !== 'import' && !explicitReference(f)) {
      const d = describeAtOnce(f)
      if (d?.kind === 'value') return this.byValue(f, d, way)
    }
    const named = this.reference(f, native) ?? builtinReferenceOf(f)
    if (named) return named
    if (native && !f.name.startsWith('bound '))
      throw new Refusal(
        `is a native function${f.name ? ` (${f.name})` : ''}`,
        'wrap it in a function of your own that calls it',
      )
    const { withInspector, describeFunction } = loadFunctions()
    const d = withInspector(() => describeFunction(f, this.options.main ?? 'value'))
    const name = f.name || '(anonymous)'
    const at = (step: string): Way => ({ parent: way, step, fn: name })
    if (d.kind === 'reference') return d.node
    if (d.kind === 'bound')
      return {
        t: 'bound',
        target: this.slot(d.target, at('.[[target]]')),
        self: this.slot(d.self, at('.[[this]]')),
        args: d.args.map((a, k) => this.slot(a, at(`.[[args]][${k}]`))),
      }
    return this.byValue(f, d, way)
  }

  private byValue(f: (...args: any[]) => unknown, d: Extract<Description, { kind: 'value' }>, way: Way): Node {
    const at = (step: string): Way => ({ parent: way, step, fn: f.name || '(anonymous)' })
    const captured = (variable: string): Way => at(` → captured.${variable}`)
    const module = this.module(d.url)
    for (const [variable, binding] of d.bindings) module.bindings.set(variable, binding)
    if (d.moduleExports)
      module.bindings.set('module', {
        b: 'module',
        exports: this.slot(d.moduleExports.value, captured('module.exports')),
      })
    const own: [string, Slot][] = d.captured.map(([variable, value]) => [
      variable,
      this.slot(value, captured(variable)),
    ])
    for (const [variable, value] of d.moduleValues) {
      const slot = this.slot(value, captured(variable))
      // One variable of the module, seen with two values: they are not the same variable after all.
      if (module.bindings.has(variable) && !Object.is(module.values.get(variable), value)) own.push([variable, slot])
      else {
        module.bindings.set(variable, { b: 'value', slot })
        module.values.set(variable, value)
      }
    }
    const { isClass, form } = d.source
    const node: FunctionNode = {
      t: 'function',
      text: d.text,
      form,
      isClass,
      module: module.index,
      strict: d.strict,
      at: d.at,
      name: ownName(f),
      captured: own,
    }
    if (isClass) node.id = classId(f)
    const usual = (key: string | symbol): boolean =>
      key === 'length' || key === 'name' || key === 'prototype' || key === 'arguments' || key === 'caller'
    const props = this.properties(f, way, (key) => {
      if (usual(key)) return true
      if (!isClass) return false
      // Methods and accessors are in the text; only data that static initialisers made may have changed since.
      const member = Object.getOwnPropertyDescriptor(f, key)!
      return (
        !('value' in member) ||
        (typeof member.value === 'function' && d.text.includes(String(key))) ||
        typeof key === 'symbol'
      )
    })
    if (props.length) node.props = props
    const prototype = isClass ? undefined : Object.getOwnPropertyDescriptor(f, 'prototype')?.value
    if (prototype && Object.hasOwn(prototype, 'constructor')) {
      const changed = this.properties(prototype, at('.prototype'), (key) => key === 'constructor')
      const parent = Object.getPrototypeOf(prototype)
      const inherits = parent !== null && parent !== Object.prototype
      if (changed.length || inherits)
        node.prototype = {
          ...(inherits && { proto: this.slot(parent, at('.prototype.[[prototype]]')) }),
          props: changed,
        }
    }
    return node
  }

  private module(url: string): { index: number; bindings: Map<string, Binding>; values: Map<string, unknown> } {
    let module = this.modules.get(url)
    if (!module) {
      module = { index: this.modules.size, bindings: new Map(), values: new Map() }
      this.modules.set(url, module)
    }
    return module
  }
}

function memberStep(key: string | symbol): string {
  if (typeof key === 'symbol') return `[${String(key)}]`
  if (/^\d+$/.test(key)) return `[${key}]`
  return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
}
function keyText(key: unknown): string {
  return typeof key === 'string' ? JSON.stringify(key) : typeof key === 'object' && key !== null ? '{…}' : String(key)
}
function ownName(f: object): string | null {
  const d = Object.getOwnPropertyDescriptor(f, 'name')
  return typeof d?.value === 'string' ? d.value : null
}
function builtinReferenceOf(value: object): Node | undefined {
  const found = builtinReference(value)
  return found && { t: 'builtin', ...found }
}
/** The common case of functions; undefined where it is not, or where only a reference can help (no inspector). */
function describeAtOnce(f: (...args: any[]) => unknown): Description | undefined {
  try {
    return withInspector(() => describePlain(f))
  } catch (error) {
    if (error instanceof UnsupportedError) return undefined
    throw error
  }
}

/** An array, or a plain object without functions: nothing that has a name somewhere, so no index needs to be asked. */
function isData(object: object): boolean {
  const proto = Object.getPrototypeOf(object)
  if ((proto !== Object.prototype && proto !== Array.prototype) || explicitReference(object)) return false
  for (const key of Reflect.ownKeys(object)) {
    if (key === REDUCE || key === 'constructor') return false
    const d = Object.getOwnPropertyDescriptor(object, key)!
    if (proto === Object.prototype && (!('value' in d) || typeof d.value === 'function')) return false
  }
  return true
}

/** What AbortSignals and timeouts throw. It keeps what it is in private places, which are others in each version of Node. */
function isDomException(object: object): object is DOMException {
  return Object.prototype.toString.call(object) === '[object DOMException]' && object instanceof DOMException
}

/** `C.prototype` of a class: it travels with the class. */
function isPrototype(object: object): boolean {
  const C = Object.hasOwn(object, 'constructor') ? (object as any).constructor : undefined
  return typeof C === 'function' && C.prototype === object
}

/** Throws where an object is more than its properties: state of this process that V8 or Node keep outside of it. */
function refuse(object: object): void {
  const state: [boolean, string][] = [
    [types.isPromise(object), 'a Promise'],
    [types.isWeakMap(object), 'a WeakMap'],
    [types.isWeakSet(object), 'a WeakSet'],
    [Object.prototype.toString.call(object) === '[object WeakRef]', 'a WeakRef'],
    [types.isGeneratorObject(object), 'a running generator'],
    [types.isMapIterator(object) || types.isSetIterator(object), 'an iterator'],
    [types.isExternal(object), 'a native object'],
  ]
  for (const [is, what] of state)
    if (is) throw new Refusal(`is ${what}`, what === 'a Promise' ? 'await it and send its value' : WAY_OUT.state)
  if (types.isSharedArrayBuffer(object))
    throw new Refusal(
      'is a SharedArrayBuffer, which threads can share and processes cannot',
      'use a SharedArray of this package',
    )
  if (types.isModuleNamespaceObject(object))
    throw new Refusal(
      'is the namespace of a module that the function did not import by a declaration',
      'import the module inside the function',
    )
  for (let proto = Object.getPrototypeOf(object); proto !== null; proto = Object.getPrototypeOf(proto)) {
    const global = globalPath(proto) ?? foreignGlobalPath(proto)
    if (global?.[0] === 'Object') return
    const C = Object.hasOwn(proto, 'constructor') ? proto.constructor : undefined
    if (typeof C !== 'function') continue
    const builtin = global ? undefined : builtinReference(C)
    if (global) {
      // The kinds above have no instances left to come here: this one is a class of the runtime with hidden state.
      throw new Refusal(`is an instance of ${String(global[0])}, whose state is inside the runtime`, WAY_OUT.resource)
    }
    if (builtin)
      throw new Refusal(
        `is an instance of ${[...builtin.path].join('.') || C.name} of ${builtin.module}, which belongs to its process`,
        WAY_OUT.resource,
      )
    if (NATIVE.test(Function.prototype.toString.call(C)))
      throw new Refusal(`is an instance of the native class ${C.name}`, WAY_OUT.resource)
  }
}
