// Registries through which the rest of the package tells the serializer about itself: its exports (which travel by name), its
// shared objects (which travel as handles of their memory) and the ArrayBuffers that lie on shared memory.
import { behind, loadChunksUntil, onChunk } from '../chunks'

/** `prototype[SHARED]` is the tag under which a class of shared objects registered its codec. */
export const SHARED = Symbol.for('multiproc.shared')

/** How one class of shared objects travels. */
export interface SharedCodec {
  /**
   * Plain, structured-cloneable data; calls `hold` with the offset of each block of shared memory that the data names, or `carry`
   * with a block of sendDescriptor(), which is for messages only.
   */
  write(object: any, hold: (offset: number) => void, carry?: (block: SegmentName) => void): unknown
  /** The object of this process on the same memory. */
  read(data: any): object
}
export interface SharedBufferCodec {
  is(buffer: ArrayBuffer): boolean
  write(buffer: ArrayBuffer, hold: (offset: number) => void): unknown
  read(data: any): ArrayBuffer
}

/** A segment of shared memory that a message names. */
export interface SegmentName {
  offset: number
  generation: number
}
/** Copies bytes into a segment that the message holds; undefined: they are few enough to travel in the message. */
export type ToSegment = (bytes: Uint8Array) => SegmentName | undefined
let openSegment: ((name: SegmentName) => ArrayBuffer) | undefined

/** How a received segment is opened: an ArrayBuffer of this process's own, over exactly its bytes. */
export function setSegments(open: (name: SegmentName) => ArrayBuffer): void {
  openSegment = open
}
let refused = false
/** Runs `read`, which can open no segment: what it reads comes from a stranger. */
export function withoutSegments<R>(read: () => R): R {
  refused = true
  try {
    return read()
  } finally {
    refused = false
  }
}
export function fromSegment(name: SegmentName, bytes: number): ArrayBuffer {
  if (refused) throw new Error('it names memory of this machine')
  loadChunksUntil(() => openSegment !== undefined)
  if (openSegment === undefined || !Number.isSafeInteger(name.offset))
    throw new Error('a segment that cannot be opened')
  const buffer = openSegment(name)
  if (buffer.byteLength !== bytes) throw new Error('a segment of another length')
  return buffer
}

const codecs = new Map<string, SharedCodec>()
let buffers: SharedBufferCodec | undefined
let registered: Record<string, unknown> = {}
let index: Map<object, string[]> | undefined

onChunk(() => {
  index = undefined
})

export function registerShared(tag: string, codec: SharedCodec): void {
  codecs.set(tag, codec)
}
export function setSharedBuffers(codec: SharedBufferCodec): void {
  buffers = codec
}
/** This package's own classes and functions: they, their statics and their prototypes travel by name, never by value. */
export function registerExports(exports: Record<string, unknown>): void {
  registered = { ...registered, ...exports }
  index = undefined
}

const standIns = new WeakMap<object, object>()
/** A Proxy of this package's own travels as `object` does. */
export function setStandIn(proxy: object, object: object): void {
  standIns.set(proxy, object)
}
export function standIn(proxy: object): object | undefined {
  return standIns.get(proxy)
}

export function codecOf(tag: unknown): SharedCodec | undefined {
  if (typeof tag !== 'string') return undefined
  loadChunksUntil(() => codecs.has(tag))
  return codecs.get(tag)
}
export function isSharedBuffer(buffer: ArrayBufferLike): boolean {
  return buffers?.is(buffer as ArrayBuffer) === true
}
export function sharedBuffers(): SharedBufferCodec | undefined {
  loadChunksUntil(() => buffers !== undefined)
  return buffers
}

/** The name under which an export of this package travels: `['Lock']`, `['Lock', 'prototype']`, `['Value', 'from']`. */
export function packageName(value: object): string[] | undefined {
  if (!index) {
    index = new Map()
    for (const [name, exported] of Object.entries(registered)) {
      if ((typeof exported !== 'object' && typeof exported !== 'function') || exported === null) continue
      if (!index.has(exported)) index.set(exported, [name])
      const real = behind(exported)
      if (typeof real !== 'function') continue
      if (!index.has(real)) index.set(real, [name])
      for (const key of Object.getOwnPropertyNames(real)) {
        const member = Object.getOwnPropertyDescriptor(real, key)?.value
        if (member && (typeof member === 'function' || key === 'prototype') && !index.has(member))
          index.set(member, [name, key])
      }
    }
  }
  return index.get(value)
}
let more: (() => void) | undefined
/** Called once, when a name is asked for that is not registered: what takes time to make is registered then. */
export function whenMissing(register: () => void): void {
  more = register
}
export function packageExport(name: string): unknown {
  if (!(name in registered) && more !== undefined) {
    const register = more
    more = undefined
    register()
  }
  return registered[name]
}
