// One open segment of shared memory with a name: what SharedMemory is a view of.
//
//   create / attach ──▶ mapping + hold (a lock of the system's on the segment, native/platform/named.h)
//   close()         ──▶ every ArrayBuffer view here is detached, the mapping and the hold end; the last holder, in any
//                       process, removes a tracked segment
//   collected       ──▶ closed, too; but a tracked segment that was created here stays until close() or the process's end:
//                       when a name vanishes must not depend on the garbage collector
//   killed          ──▶ the system drops the hold; whoever comes next finds the orphan and removes it
import type { NamedSegment } from '../../binding'
import { binding } from '../binding'
import { StateError } from '../errors'
import { sweep } from '../log/sweep'
import { named } from '../memory/named'
import { randomName } from './name'

/** How close() found the segment: others have it, we were the last and removed it, or somebody had removed it before. */
export const Closed = { stays: 0, removed: 1, gone: 2 } as const

const collected = new FinalizationRegistry<number>((id) => void binding().namedClose(id))
const created = new Set<Segment>()
let swept = false

export class Segment {
  readonly name: string
  readonly identity: string
  /** Are we one of its holders, the last of which removes it? */
  readonly tracked: boolean
  readonly buffer: ArrayBuffer
  readonly #id: number

  private constructor(name: string, { id, buffer, identity, tracked }: NamedSegment) {
    this.name = name
    this.identity = identity
    this.tracked = tracked
    this.buffer = buffer
    this.#id = id
    named.add(buffer)
    collected.register(buffer, id, this)
    // Another ArrayBuffer over the memory would outlive it.
    for (const move of ['transfer', 'transferToFixedLength'])
      if (move in ArrayBuffer.prototype) Object.defineProperty(buffer, move, { value: refuseMove })
  }

  /** `name` undefined: one that nobody has. */
  static create(name: string | undefined, size: number, track: boolean): Segment {
    sweepOnce()
    for (;;) {
      const chosen = name ?? randomName()
      try {
        const segment = new Segment(chosen, binding().namedCreate(chosen, size, track))
        if (track) created.add(segment)
        return segment
      } catch (error) {
        if (name !== undefined || (error as NodeJS.ErrnoException).code !== 'EEXIST') throw told(error, chosen, size)
      }
    }
  }
  static attach(name: string, hold: boolean): Segment {
    sweepOnce()
    try {
      return new Segment(name, binding().namedOpen(name, hold))
    } catch (error) {
      throw told(error, name, 0)
    }
  }

  close(): number {
    collected.unregister(this)
    created.delete(this)
    return binding().namedClose(this.#id)
  }
  unlink(): void {
    try {
      binding().namedUnlink(this.name, this.identity)
    } catch (error) {
      throw told(error, this.name, 0)
    }
  }
}

/** Removes what killed processes have left. Once: it looks through all segments of the machine. */
function sweepOnce(): void {
  if (swept) return
  swept = true
  sweep()
}

function refuseMove(): never {
  throw new StateError('the ArrayBuffer of a SharedMemory cannot be moved: copy it with slice()')
}

/** The system's error, saying which segment. */
function told(error: unknown, name: string, size: number): unknown {
  const system = error as NodeJS.ErrnoException & { path?: string }
  if (typeof system?.errno !== 'number') return error
  if (system.code === 'EINVAL' && size === 0) system.message += ' (it has no bytes, or is no shared memory)'
  system.message += ` '${name}'`
  if (size > 0) system.message += `, ${size} bytes`
  system.path = name
  return system
}
