// What a shared object stands on: its block of shared memory, who holds it, and the lock at its head.
//
//   scalar Value   small block          held by the Block object      lock (32 B) at 0, scalar at 32; without lock: scalar at 0
//   array, struct  block of any size    held by its own ArrayBuffer   lock at 0, elements from 64 on (a cache line of their own); without lock: from 0 on
//
// Wrappers of one buffer share one Block, so that there is one RLock object for it in a thread, and a buffer that
// was closed is no longer known here: its offset may belong to somebody else by then.
import { ClosedError, SerializationError, StateError } from '../errors'
import { adopt, adoptBuffer, allocate, allocateBuffer, type BlockHandle, drop, handleOf, Kind } from '../memory'
import { RLock } from '../sync'

const SCALAR_BYTES = 8
const LOCK_BYTES = 32

const blocks = new WeakMap<ArrayBuffer, Block>()

export class Block {
  readonly kind: number
  readonly buffer: ArrayBuffer | undefined
  #offset = 0
  #lock: RLock | undefined
  #dropped = false

  private constructor(kind: number, buffer?: ArrayBuffer) {
    this.kind = kind
    this.buffer = buffer
  }

  static scalar(locked: boolean): Block {
    const block = new Block(locked ? Kind.lockedValue : Kind.value)
    block.#offset = allocate(block, locked ? LOCK_BYTES + SCALAR_BYTES : SCALAR_BYTES, block.kind)
    return block
  }
  static adoptScalar(handle: BlockHandle, kind: number): Block {
    const block = new Block(kind)
    adopt(block, handle, kind)
    block.#offset = handle.offset
    return block
  }
  static array(bytes: number, locked: boolean): Block {
    const kind = locked ? Kind.lockedArray : Kind.array
    const { buffer, offset } = allocateBuffer(bytes, kind)
    return Block.#of(buffer, offset, kind)
  }
  static adoptArray(handle: BlockHandle, kind: number): Block {
    const buffer = adoptBuffer(handle, kind)
    return blocks.get(buffer) ?? Block.#of(buffer, handle.offset, kind)
  }
  static #of(buffer: ArrayBuffer, offset: number, kind: number): Block {
    const block = new Block(kind, buffer)
    block.#offset = offset
    blocks.set(buffer, block)
    for (const move of ['transfer', 'transferToFixedLength'])
      if (move in ArrayBuffer.prototype) Object.defineProperty(buffer, move, { value: refuseMove })
    return block
  }
  /** The block of a shared buffer; undefined for any other ArrayBuffer. */
  static ofBuffer(buffer: ArrayBuffer): Block | undefined {
    return blocks.get(buffer)
  }

  get locked(): boolean {
    return this.kind === Kind.lockedValue || this.kind === Kind.lockedArray
  }
  /** Where the scalar of a Value lies. */
  get scalarOffset(): number {
    return this.#offset + (this.locked ? LOCK_BYTES : 0)
  }
  /** Was it closed, by this wrapper or by another of the same buffer? */
  get dropped(): boolean {
    return this.#dropped
  }
  /** The lock at the head of a locked block. */
  lock(): RLock {
    this.#checkHeld()
    if (this.#lock === undefined) {
      // A hold of its own: whoever kept the lock may use it after close(), and must not write into another's memory.
      const holder = {}
      adopt(holder, handleOf(this.#offset), this.kind)
      this.#lock = RLock.over(this.#offset, holder, this.kind)
    }
    return this.#lock
  }
  /** Names the block for a message, which holds it from here on. */
  handle(hold: (offset: number) => void): BlockHandle {
    this.#checkHeld()
    hold(this.#offset)
    return handleOf(this.#offset)
  }
  /** Ends this environment's hold; the buffer is detached. */
  drop(): void {
    if (this.#dropped) return
    this.#dropped = true
    if (this.buffer !== undefined) blocks.delete(this.buffer)
    drop(this.buffer ?? this, this.#offset)
  }
  #checkHeld(): void {
    if (this.#dropped) throw new ClosedError('the shared memory is closed')
  }
}

/** The block of a shared buffer without a lock, which transfer() may move. Throws for one that has a lock. */
export function movableBlock(buffer: ArrayBuffer): Block | undefined {
  const block = blocks.get(buffer)
  if (block?.locked)
    throw new SerializationError(
      'a SharedArray with a lock cannot be moved: send it as it is, it is shared and not copied',
    )
  return block
}

/** The memory is given back when this ArrayBuffer is gone: another one over it would outlive it. */
function refuseMove(): never {
  throw new StateError('the ArrayBuffer of a shared array cannot be moved: copy it with slice()')
}

/** A received handle, checked in form; whether it names a live block of that kind the native side checks on adoption. */
export function checkHandle(handle: unknown): BlockHandle {
  const { offset, generation } = (handle ?? {}) as Partial<BlockHandle>
  if (!Number.isSafeInteger(offset) || offset! < 0 || !Number.isSafeInteger(generation) || generation! < 0)
    throw new SerializationError('a received shared value names no block of memory')
  return { offset: offset!, generation: generation! }
}
