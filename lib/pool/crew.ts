// The workers of a pool: how many there are, who is hired, who retires, and who was lost.
//
//   hired ──READY──▶ at work ──▶ retiring (grown too big or old, idle, resized, closed) ──▶ ended
//                       └──────▶ doomed (out of time and grace, cancelled, terminated) ───▶ ended
//                       └──────▶ lost ─▶ what it had is the engine's again; a replacement is hired
import type { ExitStatus } from '../process/start/method'
import { now } from './control'
import { type Host, Member } from './member'

export interface CrewOptions {
  /** How many workers at most, and at least. */
  most: number
  least: number
  /** After so long without work a worker above `least` is let go, ms. */
  idleTimeout: number
  /** Workers that are started ahead of need. */
  spares: number
  maxTasks: number
}

/** What the crew needs of the pool. */
export interface Employer {
  /** Starts a process, or thread; throws if the system does not let it. `ended` is called once. */
  start(member: Member, ended: () => void): Host
  hired(member: Member): void
  /** Before anything else is done about it: all that it has said is read. */
  ended(member: Member, status: ExitStatus | null): void
  failedToStart(error: unknown): void
  /** How many workers could be busy now. */
  readonly demand: number
  mayKill(member: Member): boolean
  readonly closing: boolean
  wakeAt(time: number): void
}

/** How long a worker may take to end in order, ms. */
const RETIREMENT_MS = 5000
const RETRY_MS = 100

export class Crew {
  readonly options: CrewOptions
  readonly members: Member[] = []
  readonly #spares: Member[] = []
  readonly #leaving = new Set<Member>()
  readonly #byId = new Map<number, Member>()
  readonly #employer: Employer
  #count = 0
  #retryAt = Number.POSITIVE_INFINITY
  #over = false

  constructor(options: CrewOptions, employer: Employer) {
    this.options = options
    this.#employer = employer
  }

  /** Starts the first workers. Throws, and leaves none, if one cannot be started. */
  open(): void {
    try {
      for (let k = Math.min(this.options.least, this.options.most); k > 0; k--) this.members.push(this.#start())
      this.#refillSpares()
    } catch (error) {
      this.dismissAll('SIGKILL')
      throw error
    }
  }

  get(id: number): Member | undefined {
    return this.#byId.get(id)
  }
  /** All that run, also those that are about to end. */
  get all(): Member[] {
    return [...this.#byId.values()]
  }
  get size(): number {
    return this.members.length
  }
  /** Has everybody gone? */
  get empty(): boolean {
    return this.#byId.size === 0
  }

  /** Are there workers, and none of them has been forked yet? */
  get unborn(): boolean {
    return this.#byId.size > 0 && this.all.every(({ host, ready }) => host.pid === 0 && !ready)
  }

  /** Hires who is missing, and lets go who is too many. */
  fit(): void {
    if (this.#over || now() < this.#waitUntil) return
    const { most, least } = this.options
    const demand = this.#employer.demand
    const wanted = this.#employer.closing ? Math.min(most, demand) : Math.min(most, Math.max(least, demand))
    while (this.members.length < wanted) {
      try {
        this.members.push(this.#spares.shift() ?? this.#start())
        this.#refillSpares()
        this.#retryAt = Number.POSITIVE_INFINITY
      } catch (error) {
        this.#retryAt = now() + RETRY_MS
        this.#employer.wakeAt(this.#retryAt)
        this.#employer.failedToStart(error)
        return
      }
    }
    while (this.members.length > most) {
      // Those without work first.
      const idle = this.members.findIndex((member) => member.line.length === 0)
      this.retire(this.members[idle < 0 ? this.members.length - 1 : idle]!)
    }
  }
  get #waitUntil(): number {
    return this.#retryAt === Number.POSITIVE_INFINITY ? 0 : this.#retryAt
  }

  #start(): Member {
    const member = new Member(++this.#count)
    try {
      member.host = this.#employer.start(member, () => this.#ended(member))
    } catch (error) {
      member.close()
      throw error
    }
    this.#byId.set(member.id, member)
    this.#employer.hired(member)
    return member
  }
  #refillSpares(): void {
    if (this.#employer.closing) return
    while (this.#spares.length < this.options.spares) this.#spares.push(this.#start())
  }

  /** The worker ends when it is through with what it was given. */
  retire(member: Member): void {
    if (member.retiring) return
    this.#leave(member)
    member.retire()
    if (member.line.length === 0) this.limitRetirement(member)
  }
  /** From now on it has this long to end. */
  limitRetirement(member: Member): void {
    member.killAt = Math.min(member.killAt, now() + RETIREMENT_MS)
    this.#employer.wakeAt(member.killAt)
  }
  #leave(member: Member): void {
    for (const list of [this.members, this.#spares]) {
      const index = list.indexOf(member)
      if (index >= 0) list.splice(index, 1)
    }
    this.#leaving.add(member)
  }

  kill(member: Member): void {
    this.#leave(member)
    member.killAt = Number.POSITIVE_INFINITY
    member.host.signal('SIGKILL')
  }

  /** Nobody is hired any more, and all are told to end in order. */
  retireAll(): void {
    this.#over = true
    for (const member of [...this.members, ...this.#spares]) this.retire(member)
  }
  /** All are told to end now. */
  dismissAll(signal: 'SIGTERM' | 'SIGKILL', graceMs = 1000): void {
    this.#over = true
    for (const member of this.all) {
      member.doomed ??= 'terminate'
      member.host.signal(signal)
      if (signal === 'SIGTERM') {
        member.killAt = Math.min(member.killAt, now() + graceMs)
        this.#employer.wakeAt(member.killAt)
      }
    }
  }

  #ended(member: Member): void {
    if (member.gone) return
    this.#employer.ended(member, member.host.status())
    member.gone = true
    this.#leave(member)
    this.#leaving.delete(member)
    this.#byId.delete(member.id)
    member.close()
    if (!this.#over) {
      try {
        this.#refillSpares()
      } catch (error) {
        this.#employer.failedToStart(error)
      }
    }
    this.fit()
  }

  /** What is due: kills, and workers that have been idle for too long. */
  tick(time: number): void {
    for (const member of this.all) {
      if (time >= member.killAt) {
        member.killAt = Number.POSITIVE_INFINITY
        if (this.#employer.mayKill(member)) {
          member.doomed ??= 'cancel'
          this.kill(member)
        }
      } else this.#employer.wakeAt(member.killAt)
    }
    if (time >= this.#retryAt) {
      this.#retryAt = Number.POSITIVE_INFINITY
      this.fit()
    }
    const { idleTimeout, least } = this.options
    if (idleTimeout === Number.POSITIVE_INFINITY) return
    for (const member of [...this.members]) {
      if (this.members.length <= least) return
      if (member.line.length > 0 || !member.ready) continue
      const at = member.headSince + idleTimeout
      if (time >= at) this.retire(member)
      else this.#employer.wakeAt(at)
    }
  }
}
