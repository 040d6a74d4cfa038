// Says in shared memory what a channel is, for who looks at it from outside: `npx multiproc ps`.
import { inWindow, viewsAt } from '../memory'
import { writeLabel } from '../sync/label'

// In the channel, native/core/layout.h.
const LABEL = 384
const TYPE = LABEL + 32

/** 0, which nobody has to write: one way of a pipe. */
export const ChannelType = { queue: 1, joinableQueue: 2, simpleQueue: 3, pool: 4 } as const

/** `name`, or where `constructor` was called; undefined: neither. */
export function introduce(offset: number, type: number, name: string | undefined, constructor: unknown): void {
  if (constructor !== undefined) writeLabel(offset + LABEL, name, constructor)
  viewsAt(offset).u8[inWindow(offset) + TYPE] = type
}
