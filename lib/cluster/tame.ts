// What may come from a network without being able to run code: plain data, and errors of the language's or this package's own
// classes. Functions, instances of other classes and whatever names a module are not tame: to rebuild them runs code.
import { decode, decodeAtOnce, encode, readWire, SerializationError } from './core'

interface Graph {
  nodes: { t: string; path?: unknown[] }[]
  modules: unknown[]
}

const FLAT = 4
const PLAIN = 1
const DATA = new Set(
  'object array map set date regexp boxed error domException buffer view bytes url params symbol'.split(' '),
)

/** What in these bytes is not tame; undefined: nothing. */
export function untamed(bytes: Uint8Array): string | undefined {
  const kind = bytes[0]
  if (kind === FLAT || kind === PLAIN) return undefined
  const graph = readWire(bytes) as Graph
  if (!Array.isArray(graph?.nodes)) throw new SerializationError('malformed message: not a graph')
  for (const node of graph.nodes) {
    if (DATA.has(node?.t)) continue
    // A prototype of the language or of this package, or a well-known symbol.
    const path = Array.isArray(node?.path) ? node.path : []
    if ((node?.t === 'global' || node?.t === 'package') && path.at(-1) === 'prototype') continue
    if (node?.t === 'global' && path[0] === 'Symbol' && path.length === 2) continue
    return WORDS[node?.t] ?? `a reference (${String(node?.t)})`
  }
  return undefined
}
const WORDS: Record<string, string> = {
  function: 'a function or class',
  bound: 'a bound function',
  prototype: 'an instance of a class',
  reduced: 'an object that says how it is rebuilt',
  cjs: 'a function or class of a module',
  export: 'a function or class of a module',
  builtin: "a part of one of Node's modules",
  namespace: 'a module',
  shared: 'a shared object',
  sharedBuffer: 'shared memory',
  resource: 'an open resource',
}

/** The value as bytes for another machine. `free`: it may hold code. Throws SerializationError. */
export function encodeValue(value: unknown, name: string, free: boolean): Uint8Array {
  const bytes = encode(value, {
    name,
    hold: () => {
      throw new Error('it is shared memory of this machine, or an open file: it cannot go to another one')
    },
  })
  const culprit = free ? undefined : untamed(bytes)
  if (culprit !== undefined)
    throw new SerializationError(
      `cannot send ${name} to the cluster: there is ${culprit} in it; send plain data, or allow functions on both sides (allowFunctions, --allow-functions)`,
      name,
    )
  return bytes
}

/** The value, or a promise where modules have to be imported. Throws SerializationError. */
export function decodeValue(bytes: Uint8Array, free: boolean): { value: unknown } | Promise<{ value: unknown }> {
  const culprit = free ? undefined : untamed(bytes)
  if (culprit !== undefined)
    throw new SerializationError(`refused what came from the cluster: there is ${culprit} in it (see allowFunctions)`)
  return decodeAtOnce(bytes) ?? decode(bytes).then((value) => ({ value }))
}
