// Pipe(): two connected ends in shared memory, a channel for each direction.
//
//   end (block, held by its Connections and by messages) ── holds ──▶ channel it reads · channel it writes
//   the last holder of an end gone ──▶ both channels are told: EOFError for the other end
import { binding } from '../binding'
import { checkBoolean, checkInteger, checkOptions } from '../check'
import { adopt, attach, drop, handleOf, Kind } from '../memory'
import { type Carrier, Connection, type EndTicket, registerConnection } from './connection'
import { Ring } from './ring'

/** What Pipe() takes. */
export interface PipeOptions {
  /** Can both ends send? By default yes; else the first one receives and the second one sends. */
  duplex?: boolean
  /** How many bytes may be under way in each direction, by default 1 MiB; 0: no limit. One message of any length always may. */
  capacity?: number
}

const CAPACITY = 1 << 20

class PipeEnd implements Carrier {
  #offset = 0
  inlet: Ring | undefined
  outlet: Ring | undefined

  open(offset: number): Connection {
    this.#offset = offset
    const [reads, writes] = binding().channelsOfEnd(offset)
    const label = (): string => 'this connection'
    if (reads !== 0) this.inlet = new Ring(reads, label)
    if (writes !== 0) this.outlet = new Ring(writes, label)
    return new Connection(this)
  }
  close(): void {
    this.inlet?.close()
    this.outlet?.close()
    drop(this, this.#offset)
  }
  setRef(yes: boolean): void {
    if (this.inlet !== undefined) this.inlet.refed = yes
    if (this.outlet !== undefined) this.outlet.refed = yes
  }
  travel(hold: (offset: number) => void): EndTicket {
    hold(this.#offset)
    return handleOf(this.#offset)
  }
}

/**
 * Two connected ends: what one sends the other receives. With `duplex: false` the first can only receive, the second only send.
 * Either may be given to another process, or to several. Does not block. Throws TypeError or RangeError for wrong options,
 * ENOSPC without memory.
 */
export function Pipe<A = any, B = any>(options?: PipeOptions): [Connection<A, B>, Connection<B, A>] {
  checkOptions('options', options)
  const { duplex = true, capacity = CAPACITY } = options ?? {}
  checkBoolean('options.duplex', duplex)
  checkInteger('options.capacity', capacity, 0, Number.MAX_SAFE_INTEGER)
  attach()
  const ends = [new PipeEnd(), new PipeEnd()] as const
  const offsets = binding().createPipe(ends[0], ends[1], duplex, capacity)
  return [ends[0].open(offsets[0]), ends[1].open(offsets[1])]
}

registerConnection((ticket) => {
  const end = new PipeEnd()
  adopt(end, ticket, Kind.end)
  return end.open(ticket.offset)
})
