// SharedMemory: memory that has a name, by which any process of the machine can attach it, also a CPython one.
import { closeSync } from 'node:fs'
import { inspect } from 'node:util'
import type { BlockHandle } from '../../binding'
import { binding } from '../binding'
import { checkBoolean, checkInteger, checkOptions, invalidType, outOfRange } from '../check'
import { ClosedError, SerializationError } from '../errors'
import { attach } from '../memory'
import { registerShared, SHARED } from '../serialize/shared'
import { StructType, typeName, typeOf } from '../shared/struct'
import { StructArray } from '../shared/struct-view'
import type { AnyType, TypedOf } from '../shared/types'
import { checkName } from './name'
import { Closed, Segment } from './segment'

/** What SharedMemory takes. */
export interface SharedMemoryOptions {
  /** The name; needed for attaching. Absent with `create`: a name that nobody has, like `psm_1b2c3d4e`. */
  name?: string
  /** Make it; it must not be there yet. Default false: attach what is there. */
  create?: boolean
  /** Bytes, with `create`: at least 1. When attaching it has no effect. */
  size?: number
  /**
   * With `create`: the last holder in any of our processes removes the segment, however it ends; false: it stays until somebody
   * calls unlink(). When attaching, false: this object does not count as a holder. Default true.
   */
  track?: boolean
}

/** Rows of rows … of arrays: what as() gives for more than one dimension. */
export type Rows<A> = readonly (A | Rows<A>)[]

interface Ticket {
  name: string
  identity: string
  held: boolean
  block?: BlockHandle
}

/**
 * Memory by name: `new SharedMemory({ create: true, size })`, elsewhere `new SharedMemory({ name })`. Names and bytes are CPython's
 * (`multiprocessing.shared_memory`): each side attaches what the other made. Never blocks. Throws TypeError and RangeError
 * (`ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`) for wrong options, and the system's errors: `EEXIST`,
 * `ENOENT`, `EACCES`, `ENOSPC` when there is no room (it is reserved now, touching it later cannot fail), `EFBIG` above `ulimit -f`.
 * @example
 * const memory = new SharedMemory({ create: true, size: 800 })
 * const samples = memory.as('float64')
 * // in another process: new SharedMemory({ name }).as('float64')
 * memory.close()
 */
export class SharedMemory {
  #segment: Segment
  #held: boolean
  #closed = false
  /** The name is gone, or may be, without anybody having called unlink(). */
  #gone: 'here' | 'perhaps' | undefined

  constructor(options: SharedMemoryOptions)
  /** @internal */
  constructor(options: undefined, ticket: Ticket)
  constructor(options?: SharedMemoryOptions, ticket?: Ticket) {
    if (ticket !== undefined) {
      this.#segment = Segment.attach(ticket.name, ticket.held)
      this.#held = ticket.held
      if (this.#segment.identity === ticket.identity) return
      this.#segment.close()
      throw Object.assign(
        new SerializationError(`the SharedMemory '${ticket.name}' was removed, and another has its name now`),
        { code: 'ERR_MP_GONE' },
      )
    }
    checkOptions('options', options)
    const { name, create = false, size = 0, track = true } = options ?? {}
    checkBoolean('options.create', create)
    checkBoolean('options.track', track)
    checkInteger('options.size', size, create ? 1 : 0, Number.MAX_SAFE_INTEGER)
    if (name !== undefined) checkName('options.name', name)
    else if (!create) throw invalidType('options.name', 'a string, unless create is true', name)
    this.#held = track
    this.#segment = create ? Segment.create(name, size, track) : Segment.attach(name!, track)
  }

  /** The name for attaching it. */
  get name(): string {
    return this.#segment.name
  }
  /** Bytes; 0 after close(). Exactly what was asked for on Linux, on some systems whole pages. */
  get size(): number {
    return this.buffer.byteLength
  }
  /** All bytes of the segment: every view of it is the shared memory itself. After close() it is detached (length 0). */
  get buffer(): ArrayBuffer {
    return this.#segment.buffer
  }
  /** All bytes, as a Uint8Array; the same object each time. */
  get buf(): Uint8Array<ArrayBuffer> {
    this.#buf ??= new Uint8Array(this.buffer)
    return this.#buf
  }
  #buf: Uint8Array<ArrayBuffer> | undefined
  /** Was it closed here? */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * The memory as an array of `type` (a name as 'float64', one of Python's codes, or a struct()): as many whole elements as fit,
   * or as many as `shape` says. With a shape of several dimensions: an array of rows (of rows …), the last dimension
   * being typed arrays, all on the shared memory, in C order as numpy has them. Throws RangeError if the shape does not
   * fit, ClosedError.
   */
  as<const T extends AnyType>(type: T, options?: { shape?: number | readonly [number] }): TypedOf<T>
  as<const T extends AnyType>(type: T, options: { shape: readonly [number, number] }): readonly TypedOf<T>[]
  as<const T extends AnyType>(type: T, options: { shape: readonly number[] }): Rows<TypedOf<T>>
  as(typeArgument: unknown, options?: { shape?: number | readonly number[] }): unknown {
    this.checkOpen()
    const type = typeOf('type', typeArgument)
    checkOptions('options', options)
    const fits = Math.floor(this.size / type.size)
    const shape = options?.shape === undefined ? [fits] : shapeOf(options.shape)
    const count = shape.reduce((all, n) => all * n, 1)
    if (count > fits)
      throw outOfRange('options.shape', `of at most ${fits} elements (${typeName(type)})`, options?.shape)
    let next = 0
    const level = (depth: number): unknown => {
      const n = shape[depth]!
      if (depth < shape.length - 1) return Array.from({ length: n }, () => level(depth + 1))
      const begin = next
      next += n * type.size
      return type instanceof StructType
        ? new StructArray(type, this.buffer, begin, n)
        : new (type.Array as unknown as Uint8ArrayConstructor)(this.buffer, begin, n)
    }
    return level(0)
  }

  /**
   * Lets go of the memory here: all views of it have length 0 from now on. The last holder of a tracked segment removes it. May be
   * called twice. Do not close while a call of Node that was given a view still reads or writes it (`fs.read`, `fs.write`).
   */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    const end = this.#segment.close()
    if (end === Closed.removed) this.#gone = 'here'
    else if (this.#segment.tracked && end === Closed.stays) this.#gone = 'perhaps'
  }
  /** As close(), for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  /**
   * Removes the name: nobody can attach it any more; those who have it keep it, and the memory is given back when the last of them
   * closes. Throws ENOENT if somebody has removed it before, also if another segment has the name by now; not if
   * it was removed since close() by the last holder. On Windows it does nothing.
   */
  unlink(): void {
    const gone = this.#gone
    this.#gone = undefined
    if (gone === 'here') return
    try {
      this.#segment.unlink()
    } catch (error) {
      if (gone !== 'perhaps' || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }

  /** @internal */
  checkOpen(): void {
    if (this.#closed) throw new ClosedError(`SharedMemory '${this.name}' is closed`)
  }
  /** What JSON.stringify() writes of it: what it is called, never what is in the memory. */
  toJSON(): object {
    return { type: 'SharedMemory', name: this.name, size: this.size }
  }
  [inspect.custom](_depth: number, options: object): string {
    const { name, size } = this
    return `SharedMemory ${inspect(this.#closed ? { name, closed: true } : { name, size }, options)}`
  }

  /** @internal What a message carries. `carry`: the message can hold a descriptor, and through it the segment. */
  travel(carry: ((block: BlockHandle) => void) | undefined): Ticket {
    this.checkOpen()
    const { name, identity } = this.#segment
    const ticket: Ticket = { name, identity, held: this.#held }
    if (!this.#segment.tracked || carry === undefined || process.platform === 'win32') return ticket
    attach()
    // Of an open file of its own: with ours, closing here would end the message's hold, too.
    const fd = binding().namedHold(name, identity)
    try {
      ticket.block = binding().sendDescriptor(fd)
    } finally {
      closeSync(fd)
    }
    carry(ticket.block)
    return ticket
  }
}

function shapeOf(shape: unknown): number[] {
  const list: unknown = typeof shape === 'number' ? [shape] : shape
  if (!Array.isArray(list) || list.length === 0)
    throw invalidType('options.shape', 'a length, or an array of lengths', shape)
  for (const [i, n] of list.entries()) checkInteger(`options.shape[${i}]`, n, 0, Number.MAX_SAFE_INTEGER)
  return list
}

Object.defineProperty(SharedMemory.prototype, SHARED, { value: 'SharedMemory' })
registerShared('SharedMemory', {
  write: (memory: SharedMemory, _hold, carry): Ticket => memory.travel(carry),
  read(data: Ticket): SharedMemory {
    const { name, identity, held, block } = data ?? {}
    checkName('name', name)
    if (typeof identity !== 'string' || typeof held !== 'boolean')
      throw new SerializationError('a received SharedMemory is malformed')
    try {
      return new SharedMemory(undefined, { name, identity, held })
    } finally {
      if (block !== undefined) endOfWay(block)
    }
  },
})

/** We hold it ourselves now, or there is nothing to hold: what has held it on its way is closed. */
function endOfWay({ offset, generation }: BlockHandle): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(generation)) return
  try {
    attach()
    // The brokers keep copies for a moment yet, which must not keep others from being the last.
    binding().namedRelease(binding().receiveDescriptor(offset, generation))
  } catch {
    // Received before, or its sender is gone: then nothing is held.
  }
}
