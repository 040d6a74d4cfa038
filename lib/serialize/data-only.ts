// Messages of strangers: read without running any code, and without loading any. What is only data is read; functions, classes and
// whatever names something of this process is refused before anything of it is built. The exceptions are the prototypes of errors,
// and what `shared` allows.
import { SerializationError } from '../errors'
import { decodeAtOnce } from './decode'
import { withoutSegments } from './shared'
import { FLAT, GRAPH, type Graph, JSON_GRAPH, type Node, PLAIN } from './wire'
import { readWire } from './wire-bytes'

/** Tags of shared objects that may be in a message, and what is said of them. */
export type Allowed = ReadonlyMap<string, (data: unknown) => boolean>
const NONE: Allowed = new Map()

const DATA = new Set([
  'object',
  'array',
  'map',
  'set',
  'date',
  'regexp',
  'boxed',
  'error',
  'domException',
  'buffer',
  'view',
  'bytes',
  'url',
  'params',
])
/** The longest array that may come without items. */
const MOST_HOLES = 1 << 20
const ERRORS = new Set(
  'Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError'.split(' '),
)
const OUR_ERROR = /^[A-Z]\w*Error$/
/** Prototypes that built-in kinds of objects have. */
const KINDS =
  /^(Object|Array|Map|Set|Date|RegExp|ArrayBuffer|DataView|Buffer|Number|String|Boolean|BigInt|(Big)?(Ui|I)nt(8|16|32|64)(Clamped)?Array|Float(32|64)Array)$/

/** Does this message consist of data only? */
export function isData(bytes: Uint8Array, shared: Allowed = NONE): boolean {
  return refusal(bytes, shared) === undefined
}

/**
 * The value of a message that consists of data only.
 * @throws SerializationError ERR_MP_SERIALIZATION: it does not, or is malformed
 */
export function decodeData(bytes: Uint8Array, shared: Allowed = NONE): unknown {
  return withoutSegments(() => {
    const why = refusal(bytes, shared)
    if (why !== undefined) throw new SerializationError(`refused over a network: ${why}`)
    return decodeAtOnce(bytes)!.value
  })
}

/** @throws SerializationError if the other side of a network would refuse it */
export function checkData(bytes: Uint8Array, shared: Allowed = NONE): void {
  const why = refusal(bytes, shared)
  if (why !== undefined) throw new SerializationError(`cannot be sent over a network: ${why}`)
}

function refusal(bytes: Uint8Array, shared: Allowed): string | undefined {
  const kind = bytes[0]
  if (kind === FLAT || kind === PLAIN) return undefined
  if (kind !== GRAPH && kind !== JSON_GRAPH) return 'a message of an unknown kind'
  let graph: Graph
  try {
    graph = readWire(bytes) as Graph
  } catch (error) {
    return (error as Error).message
  }
  if (!Array.isArray(graph?.nodes) || !Array.isArray(graph.modules) || graph.modules.length > 0)
    return 'code (a function, a class, or an instance of one)'
  for (const node of graph.nodes) {
    const why = refusedNode(node, shared)
    if (why !== undefined) return why
  }
  return undefined
}

function refusedNode(node: Node, shared: Allowed): string | undefined {
  const t = (node as { t?: unknown } | null)?.t
  if (typeof t !== 'string') return 'a malformed message'
  if (DATA.has(t)) {
    const { length } = node as { length?: unknown }
    if (t === 'array' && !(typeof length === 'number' && length <= MOST_HOLES)) return 'an array that is too long'
    return undefined
  }
  if (t === 'global') {
    const { path } = node as { path: unknown[] }
    if (Array.isArray(path) && path.length === 2 && path[1] === 'prototype' && typeof path[0] === 'string')
      if (ERRORS.has(path[0]) || KINDS.test(path[0])) return undefined
    return 'a global of the other process'
  }
  if (t === 'package') {
    const { path } = node as { path: unknown[] }
    if (Array.isArray(path) && path.length === 2 && path[1] === 'prototype' && OUR_ERROR.test(String(path[0])))
      return undefined
    return 'a part of this package'
  }
  if (t === 'shared') {
    const { tag, data, slot } = node as { tag: string; data?: unknown; slot?: unknown }
    if (slot === undefined && shared.get(tag)?.(data) === true) return undefined
    return 'a shared object, whose memory is on one machine only'
  }
  if (t === 'resource') return 'an open file or socket'
  return 'code (a function, a class, or an instance of one)'
}
