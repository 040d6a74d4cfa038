// What a root says, in words: processes, what each waits for, objects with a lock, queues, segments. The same for people
// (ps.ts, locks.ts) and as JSON.
import type { SeenBlock, SeenRoot, SeenSlot } from '../../binding'
import { printable } from './output'
import { commandLine, type FoundRoot } from './roots'

// Numbers of native/core/layout.h, deadlock.h and inspect.h.
const SLOTS = 4096
/** Before the elements of an array that has a lock. */
const LOCK_HEAD = 64
const LIVE = 3
const RESERVED = 2
const METHODS = [undefined, 'spawn', 'forkserver', 'fork', 'template'] as const
export const Kind = {
  lock: 1,
  rlock: 2,
  lockedValue: 4,
  array: 5,
  lockedArray: 6,
  sync: 8,
  channel: 9,
  end: 12,
} as const
const KINDS = [
  ...['data', 'Lock', 'RLock', 'Value', 'Value', 'SharedArray', 'SharedArray', 'parcel', 'sync', 'channel', 'chunk'],
  ...['message', 'Connection', 'SharedDict or SharedList', 'contents of a SharedDict or SharedList'],
]
const SYNC = [undefined, 'Semaphore', 'BoundedSemaphore', 'Condition', 'Event', 'Barrier', 'RWLock'] as const
const CHANNELS = ['Pipe', 'Queue', 'JoinableQueue', 'SimpleQueue', 'Pool'] as const
export const Blocked = { not: 0, lock: 1, owned: 2, cells: 3, process: 4, told: 5 } as const
const SHUT_DOWN = 4 | 8

export interface Thread {
  owner: number
  threadId: number
  /** What it waits for, in words. */
  waits: Wait[]
}
export interface Wait {
  /** `Lock 'ledger'`, `a message of Queue 'jobs'`, `the end of 4711`. */
  what: string
  /** The object's offset; the slot of a process. */
  object: number
  /** The thread sleeps; otherwise it is a promise. */
  blocking: boolean
}
export interface ProcessInfo {
  pid: number
  name: string
  startMethod: string | null
  startedBy: number | null
  state: 'running' | 'starting' | 'dead'
  command: string
  threads: Thread[]
}
export interface LockInfo {
  object: string
  offset: number
  /** Who has it: more than one only of a semaphore or a read-write lock. */
  owners: OwnerInfo[]
  waiters: OwnerInfo[]
  /** Its last owner was killed. */
  abandoned: boolean
  /** Of a semaphore: free permits; of an RLock: how often its owner has it. */
  value?: number
  state?: string
}
export interface OwnerInfo {
  pid: number
  threadId: number
  name: string
}
export interface QueueInfo {
  object: string
  offset: number
  depth: number
  bytes: number
  maxSize: number
  capacity: number
  unfinished?: number
  shutDown: boolean
  /** In all, modulo 2^32. */
  put: number
  taken: number
  /** Messages a second; only after two looks. */
  putRate?: number
  takenRate?: number
  waiters: (OwnerInfo & { for: 'message' | 'room' | 'done' })[]
  holders: number[]
}
export interface SegmentInfo {
  object: string
  offset: number
  bytes: number
  holders: number[]
}
export interface Tree {
  id: string
  pids: number[]
  /** Why nothing more is known. */
  refusal?: string
  blocks: number
  bytes: number
  truncated: boolean
  processes: ProcessInfo[]
  locks: LockInfo[]
  queues: QueueInfo[]
  segments: SegmentInfo[]
}

export function treeOf({ pids, seen, refusal }: FoundRoot): Tree {
  const nothing = { processes: [], locks: [], queues: [], segments: [] }
  if (seen === undefined) return { id: '', pids, refusal: refusal!, blocks: 0, bytes: 0, truncated: false, ...nothing }
  const { id, blocks, bytes, truncated } = seen
  const tree = new Reading(seen)
  return {
    id,
    pids,
    ...(!seen.samePidNamespace && {
      refusal: 'its processes are in another pid namespace: their pids mean nothing here',
    }),
    blocks,
    bytes,
    truncated,
    processes: tree.processes(),
    locks: tree.locks(),
    queues: tree.queues(),
    segments: tree.segments(),
  }
}

/** One look at a root, with what leads from one thing to another. */
export class Reading {
  readonly seen: SeenRoot
  readonly bySlot = new Map<number, SeenSlot>()
  readonly byOffset = new Map<number, SeenBlock>()
  readonly #sorted: SeenBlock[]

  constructor(seen: SeenRoot) {
    this.seen = seen
    for (const slot of seen.slots) this.bySlot.set(slot.index, slot)
    for (const block of seen.found) this.byOffset.set(block.offset, block)
    this.#sorted = [...seen.found].sort((a, b) => a.offset - b.offset)
  }

  /** The slots of Node threads; processes have one more, their helper's. */
  get threads(): SeenSlot[] {
    return this.seen.slots.filter((slot) => slot.state === LIVE && slot.process !== slot.owner)
  }
  /** The slot behind an owner id, if that owner is still there. */
  slotOf(owner: number): SeenSlot | undefined {
    const slot = this.bySlot.get(owner % SLOTS)
    return slot?.owner === owner ? slot : undefined
  }
  ownerInfo(owner: number): OwnerInfo {
    const slot = this.slotOf(owner)
    return { pid: slot?.pid ?? 0, threadId: slot?.threadId ?? 0, name: slot === undefined ? '' : this.nameOf(slot) }
  }
  nameOf(slot: SeenSlot): string {
    const main = slot.threadId === 0 ? slot : this.threads.find((t) => t.process === slot.process && t.threadId === 0)
    return printable(main?.name ?? '', 32) || 'MainProcess'
  }
  /** The block that this place lies in. */
  at(offset: number): SeenBlock | undefined {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#sorted[middle]!.offset <= offset) low = middle + 1
      else high = middle
    }
    const block = this.#sorted[low - 1]
    // A locked block's lock is its first bytes; sides and cells lie within theirs.
    return block !== undefined && offset < block.offset + Math.max(block.bytes, 32) ? block : undefined
  }

  describe(block: SeenBlock | undefined): string {
    if (block === undefined) return 'an object that is gone'
    const { kind, label } = block
    const what =
      (kind === Kind.sync
        ? SYNC[block.sync!.type]
        : kind === Kind.channel
          ? CHANNELS[block.channel!.type]
          : KINDS[kind]) ?? 'object'
    if (label === '') return what
    return label.startsWith('@')
      ? `${what} made at ${printable(label.slice(1), 32)}`
      : `${what} '${printable(label, 32)}'`
  }

  waitsOf(slot: SeenSlot): Wait[] {
    const waits = new Map<string, Wait>()
    const add = (what: string, object: number, blocking: boolean): void => {
      if (!waits.get(what)?.blocking) waits.set(what, { what, object, blocking })
    }
    if (slot.blocked === Blocked.process) {
      const child = this.slotOf(slot.blockedIn)
      const whom = child === undefined ? 'a process' : `${this.nameOf(child)} (${child.pid})`
      add(`the end of ${whom}`, slot.blockedIn, true)
    } else if (slot.blocked !== Blocked.not) {
      add(this.#waitFor(slot.blockedIn), this.at(slot.blockedIn)?.offset ?? 0, true)
    }
    for (const offset of slot.awaits) {
      const block = this.at(offset)
      // A cell is told of below, and as long as somebody waits in it.
      if (block?.kind !== Kind.sync) add(this.#waitFor(offset), block?.offset ?? 0, false)
    }
    for (const block of this.#sorted)
      for (const cell of block.sync?.cells ?? [])
        if (cell.owner === slot.owner && cell.want > 0) add(this.describe(block), block.offset, !cell.asynchronous)
    if (slot.moreAwaits > 0) add(`${slot.moreAwaits} more`, 0, false)
    return [...waits.values()]
  }
  #waitFor(offset: number): string {
    const block = this.at(offset)
    const channel = block?.channel
    if (channel === undefined) return this.describe(block)
    const what = offset === channel.putSide ? 'a message' : offset === channel.takenSide ? 'room' : 'all to be done'
    return `${what} in ${this.describe(block)}`
  }

  processes(): ProcessInfo[] {
    const found = new Map<number, ProcessInfo>()
    for (const slot of this.threads) {
      let process_ = found.get(slot.process)
      if (process_ === undefined) {
        process_ = {
          pid: slot.pid,
          name: this.nameOf(slot),
          startMethod: null,
          startedBy: null,
          state: slot.dead ? 'dead' : 'running',
          command: printable(commandLine(slot.pid), 200),
          threads: [],
        }
        found.set(slot.process, process_)
      }
      if (slot.startMethod !== 0) {
        process_.startMethod = METHODS[slot.startMethod] ?? null
        process_.startedBy = slot.startedBy
      }
      process_.threads.push({ owner: slot.owner, threadId: slot.threadId, waits: this.waitsOf(slot) })
    }
    for (const process_ of found.values()) process_.threads.sort((a, b) => a.threadId - b.threadId)
    const starting = this.seen.slots.filter((slot) => slot.state === RESERVED)
    return [
      ...[...found.values()].sort((a, b) => a.pid - b.pid),
      ...starting.map(
        (slot): ProcessInfo => ({
          pid: 0,
          name: printable(slot.name, 32),
          startMethod: null,
          startedBy: null,
          state: 'starting',
          command: '',
          threads: [],
        }),
      ),
    ]
  }

  /** All objects with a lock or a count; most of them are free at most times. */
  locks(): LockInfo[] {
    const waiting = new Map<number, Set<number>>()
    for (const slot of this.threads) {
      const offsets = slot.awaits.map((offset) => this.at(offset)?.offset)
      if (slot.blocked === Blocked.lock || slot.blocked === Blocked.owned || slot.blocked === Blocked.told)
        offsets.push(this.at(slot.blockedIn)?.offset)
      for (const offset of offsets)
        if (offset !== undefined) waiting.set(offset, (waiting.get(offset) ?? new Set()).add(slot.owner))
    }
    return this.#sorted
      .filter((block) => block.lock !== undefined)
      .map((block) => {
        const info = (owners: Iterable<number>): OwnerInfo[] => [...owners].map((owner) => this.ownerInfo(owner))
        const common = { object: this.describe(block), offset: block.offset }
        const { sync, lock } = block
        if (sync === undefined) {
          const waiters = info(waiting.get(block.offset) ?? [])
          const owners = info(lock!.owner === 0 ? [] : [lock!.owner])
          const depth = block.kind === Kind.rlock && owners.length > 0 ? { value: lock!.depth } : {}
          return { ...common, owners, waiters, abandoned: lock!.abandoned, ...depth }
        }
        const [value = 0, , , limit = 0] = sync.state
        const own = (what: 'held' | 'want'): number[] => [
          ...new Set(sync.cells.filter((c) => c[what] > 0).map((c) => c.owner)),
        ]
        const states: Record<number, object> = {
          1: { value },
          2: { value },
          4: { state: value === 1 ? 'set' : 'not set' },
          5: { state: `${limit} parties` },
        }
        // Of a condition, an event or a barrier nobody holds anything.
        const owners = sync.type === 1 || sync.type === 2 || sync.type === 6 ? info(own('held')) : []
        return { ...common, owners, waiters: info(own('want')), abandoned: false, ...states[sync.type] }
      })
  }

  queues(): QueueInfo[] {
    return this.#sorted.flatMap((block) => {
      const { channel } = block
      if (channel === undefined) return []
      const sides = { message: channel.putSide, room: channel.takenSide, done: channel.doneSide } as const
      const waiters = (Object.keys(sides) as (keyof typeof sides)[]).flatMap((what) =>
        this.threads
          .filter((t) => t.awaits.includes(sides[what]) || (t.blocked === Blocked.told && t.blockedIn === sides[what]))
          .map((t) => ({ ...this.ownerInfo(t.owner), for: what })),
      )
      return {
        object: this.describe(block),
        offset: block.offset,
        depth: channel.messages,
        bytes: channel.bytes,
        maxSize: channel.maxMessages,
        capacity: channel.maxBytes,
        ...(channel.type === 2 && { unfinished: channel.unfinished }),
        shutDown: (channel.ended & SHUT_DOWN) !== 0,
        put: channel.put,
        taken: channel.taken,
        waiters,
        holders: this.holders(block),
      }
    })
  }

  /** Large blocks: arrays, and messages that are on their way. */
  segments(): SegmentInfo[] {
    return this.#sorted
      .filter((block) => block.bytes > 32768)
      .map((block) => ({
        object: this.describe(block),
        offset: block.offset,
        bytes: block.bytes - (block.kind === Kind.lockedArray ? LOCK_HEAD : 0),
        holders: this.holders(block),
      }))
  }

  /** Pids of those who keep a block, themselves or by what keeps it. */
  holders(block: SeenBlock): number[] {
    const pids = new Set<number>()
    const met = new Set<SeenBlock>()
    const visit = (each: SeenBlock): void => {
      if (met.has(each) || met.size > 100) return
      met.add(each)
      for (const index of each.holders) {
        const slot = this.bySlot.get(index)
        if (slot !== undefined && slot.pid !== 0) pids.add(slot.pid)
      }
      for (const offset of each.containers) {
        const container = this.byOffset.get(offset)
        if (container !== undefined) visit(container)
      }
    }
    visit(block)
    return [...pids].sort((a, b) => a - b)
  }
}
