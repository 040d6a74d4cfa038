// The wire form of a value that structured clone alone cannot carry: a flat list of nodes that name each other by index, so that
// cycles, shared identity and depth cost nothing. The list itself is plain data and goes through V8's serializer.
//
//   byte 0 = PLAIN: V8's bytes of the value itself   ·   GRAPH: V8's bytes of a Graph   ·   JSON_GRAPH: JSON of a Graph
//          FLAT: the value as flat.ts says   ·   CUSTOM: what a serializer of the user's wrote (serializer.ts)

import type { ResourceNode } from '../descriptors/node'

export const PLAIN = 1
export const GRAPH = 2
export const JSON_GRAPH = 3
export const FLAT = 4
export const CUSTOM = 5

/** A node's index, or a primitive in an array of one (of none: undefined). */
export type Slot = number | [primitive?: unknown]
export type Key = string | { symbol: Slot }
export type Property =
  | [key: Key, value: Slot, flags: number]
  | [key: Key, get: Slot | null, set: Slot | null, flags: number]
export const WRITABLE = 1
export const ENUMERABLE = 2
export const CONFIGURABLE = 4

/** What every object may have besides its kind's own data: a prototype that is not its kind's default, and own properties. */
interface Common {
  proto?: Slot
  props?: Property[]
  /** 1: not extensible. */
  sealed?: 1
}
export type ObjectNode = Common &
  (
    | { t: 'object' }
    | { t: 'array'; length: number }
    | { t: 'map'; entries: [Slot, Slot][] }
    | { t: 'set'; items: Slot[] }
    | { t: 'date'; time: number }
    | { t: 'regexp'; source: string; flags: string }
    | { t: 'boxed'; value: unknown }
    | { t: 'error' }
    | { t: 'domException'; message: string; name: string }
    | { t: 'buffer'; bytes: Uint8Array }
    | { t: 'view'; type: string; buffer: Slot; offset: number; length: number }
    | { t: 'bytes'; bytes: Uint8Array }
    | { t: 'url'; href: string }
    | { t: 'params'; text: string }
  )

export type ReferenceNode =
  | { t: 'global'; path: Path }
  | { t: 'builtin'; module: string; path: Path }
  | { t: 'package'; path: Path }
  /** An exported binding of a module that the receiver imports; `main`: a binding of the sender's main module, exported or not. */
  | { t: 'export'; url: string; path: Path; main?: 1 }
  | { t: 'cjs'; file: string; path: Path }
  | { t: 'namespace'; from: string; specifier: string }
  | { t: 'symbol'; key: string }

export type Path = (string | { wellKnown: string })[]

/** How a name of a function's module is bound in the receiver. */
export type Binding =
  | { b: 'value'; slot: Slot }
  | { b: 'import'; specifier: string; name: string; attributes?: Record<string, string> }
  | { b: 'meta' | 'dynamic' | 'require' | '__filename' | '__dirname' }
  | { b: 'module'; exports: Slot }

export interface Place {
  url: string
  /** Zero-based. */
  line: number
  column: number
}
export interface FunctionNode {
  t: 'function'
  text: string
  form: 'expression' | 'method'
  isClass: boolean
  /** The module whose environment it is evaluated in (an index of Graph.modules). */
  module: number
  strict: boolean
  at: Place
  name: string | null
  /** Captured variables of enclosing functions. */
  captured: [name: string, Slot][]
  props?: Property[]
  /** Own properties and prototype of `f.prototype`, where somebody has changed it. */
  prototype?: { proto?: Slot; props: Property[] }
  proto?: Slot
  /** Which class this is, for all processes: a class that comes home is itself again. */
  id?: string
}

export type Node =
  | ObjectNode
  | ReferenceNode
  | FunctionNode
  | { t: 'prototype'; of: Slot }
  | { t: 'bound'; target: Slot; self: Slot; args: Slot[] }
  | { t: 'reduced'; how: 'new' | 'call' | 'static'; by: Slot; key?: string; args: Slot[] }
  /** `data`: what its codec wrote; `slot`, where that has objects in it that need more than a plain copy. */
  | { t: 'shared'; tag: string; data?: unknown; slot?: Slot }
  | { t: 'sharedBuffer'; data: unknown }
  | ResourceNode

export interface Module {
  url: string
  bindings: [name: string, Binding][]
}
export interface Graph {
  root: Slot
  nodes: Node[]
  modules: Module[]
}
