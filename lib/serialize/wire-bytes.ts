// How values become bytes of their own: flat where that is possible; by V8's serializer; a graph as JSON where that says it all.
import type * as Bytes from './bytes'
import { type Area, area, writeFlat } from './flat'
import { readFlat } from './flat-read'
import type { ToSegment } from './shared'
import { FLAT, GRAPH, type Graph, JSON_GRAPH, PLAIN } from './wire'

let loaded: typeof Bytes | undefined
function clone(): typeof Bytes {
  loaded ??= require('./bytes') as typeof Bytes
  return loaded
}

/** Above this size V8's serializer, which needs no second copy, is as fast. */
const MAX_FLAT = 64 * 1024
let scratch: Area | undefined

/** The value in the form of flat.ts, if it is small and has one. */
export function flatBytes(value: unknown): Uint8Array | undefined {
  scratch ??= area(new ArrayBuffer(MAX_FLAT))
  const end = writeFlat(value, scratch, 0)
  return end < 0 ? undefined : Uint8Array.prototype.slice.call(scratch.u8, 0, end)
}
/** A value that structured clone alone carries. Throws V8's error where it does not. */
export function plainBytes(value: unknown, segment?: ToSegment): Uint8Array {
  return clone().writeClone(PLAIN, value, segment)
}

export function graphBytes(graph: Graph, segment?: ToSegment): Uint8Array {
  if (!saidByJson(graph)) return clone().writeClone(GRAPH, graph, segment)
  const text = Buffer.from(JSON.stringify(graph), 'utf8')
  const bytes = new Uint8Array(1 + text.byteLength)
  bytes[0] = JSON_GRAPH
  bytes.set(text, 1)
  return bytes
}

/** What the bytes say, after their first one. Throws where they are malformed. */
export function readWire(bytes: Uint8Array): unknown {
  if (bytes[0] === FLAT)
    return readFlat(area(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength), 0, bytes.byteLength)
  if (bytes[0] !== JSON_GRAPH) return clone().readClone(bytes)
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset + 1, bytes.byteLength - 1).toString('utf8'))
}

/** Is this tree the same after JSON? A graph is a tree: its nodes name each other by number. */
function saidByJson(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
    case 'object':
      if (value === null) return true
      if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) if (!saidByJson(value[i])) return false
        return true
      }
      if (Object.getPrototypeOf(value) !== Object.prototype || 'toJSON' in value) return false
      for (const key in value) {
        const member = (value as Record<string, unknown>)[key]
        // An absent member and one that is undefined mean the same in a node.
        if (member !== undefined && !saidByJson(member)) return false
      }
      return true
    default:
      return false
  }
}
