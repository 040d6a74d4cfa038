// How a Sync call waits: it does meanwhile all that the event loop would do for the pool, which is answers, losses, time-outs and
// the workers' pipes.
import { StateError } from '../errors'
import { now } from './control'
import type { Crew } from './crew'
import { aboutToBlock } from './interrupt'

/** What is driven. */
export interface Driven {
  readonly crew: Crew
  readonly hasEnded: boolean
  /** When tick() is due. */
  readonly timerAt: number
  checkOurs(): void
  pump(timeout?: number): boolean
  dispatch(): void
  tick(): void
  /** Workers may have ended. */
  afterEnds(): void
}

/** While a Sync call blocks, workers and pipes are looked after this often, ms. */
const SLICE_MS = 5

export class Driver {
  readonly #pool: Driven
  #lookedAt = 0

  constructor(pool: Driven) {
    this.#pool = pool
  }

  /** Blocks this thread until `done`, or `timeout` ms are over (false). */
  drive(done: () => boolean, timeout: number): boolean {
    const pool = this.#pool
    pool.checkOurs()
    const deadline = now() + timeout
    pool.pump()
    while (!done()) {
      pool.dispatch()
      const time = now()
      if (time >= deadline) return false
      if (time - this.#lookedAt >= SLICE_MS) {
        this.#lookAfterWorkers(time)
        if (done()) break
        if (pool.crew.unborn)
          throw new StateError(
            'the workers are forked at the end of this turn of the event loop: await something before a Sync call, or use another start method',
          )
      }
      if (pool.hasEnded) throw new StateError('the pool has ended, and what is waited for can never be')
      const until = Math.min(deadline, pool.timerAt, this.#lookedAt + SLICE_MS)
      pool.pump(Math.max(0, until - now()))
      if (now() >= pool.timerAt) pool.tick()
    }
    return true
  }
  #lookAfterWorkers(time: number): void {
    const pool = this.#pool
    aboutToBlock()
    this.#lookedAt = time
    for (const member of pool.crew.all) {
      member.host.drain()
      member.host.status() // learns of its end
    }
    pool.afterEnds()
    pool.tick()
  }
}
