// Start method "fork": a copy of this process, made at the end of this turn of the event loop.
//
//   parent: start() ─ reserves a slot, opens pipes ─▶ native: end of the turn, threads parked ─▶ fork ─▶ pid, `started`
//   child:                                                      leaves the parent behind (child/copy.ts) ─▶ run()
//
// The child has the parent's heap, so nothing is serialised. Its end is learnt from a pidfd that the event loop polls.
import { binding } from '../../binding'
import { UnsupportedError } from '../../errors'
import { runCopy } from '../child/copied'
import { prepareCopy } from '../child/copy'
import { giveBack, ownerOf, reserve, type Seat } from '../parcel'
import type { Process } from '../process'
import { checkLaunch, forkRefusedHere, PATIENCE_MS, waitingThreads } from './forkable'
import type { ExitStatus, Launch, StartMethod } from './method'
import { type Outputs, openOutputs } from './pipes'
import { exitStatus, RunningChild, UNKNOWN } from './running'

export const forkMethod: StartMethod = {
  name: 'fork',
  start(process_, launch) {
    checkLaunch(launch, 'fork')
    const why = forkRefusedHere()
    if (why !== undefined) throw new UnsupportedError(`start method 'fork' cannot be used: ${why}`)
    prepareCopy()
    const seat = reserve()
    let outputs: Outputs | undefined
    try {
      outputs = openOutputs(launch.options)
      return new DirectChild(process_, launch, seat, outputs)
    } catch (error) {
      outputs?.close()
      outputs?.stdout?.destroy()
      outputs?.stderr?.destroy()
      giveBack(seat)
      throw error
    }
  },
}

/** A child that this process has forked, or is about to. */
class DirectChild extends RunningChild {
  readonly ready: Promise<void>
  #handle = -1
  #watch = 0

  constructor(process_: Process, launch: Launch, seat: Seat, outputs: Outputs) {
    super(seat, outputs.stdout, outputs.stderr)
    this.ready = new Promise((resolve, reject) => {
      const forked = (pid: number, why: string): void => {
        if (pid === 0) {
          runCopy(process_, launch, seat, outputs.theirs)
          return
        }
        outputs.close()
        if (pid > 0) {
          this.#forked(pid)
          resolve()
          return
        }
        outputs.stdout?.destroy()
        outputs.stderr?.destroy()
        giveBack(seat)
        reject(new UnsupportedError(`this process cannot be forked now: ${why}`))
      }
      binding().forkSoon(seat.slot, seat.generation, PATIENCE_MS, waitingThreads(), forked)
    })
  }

  #forked(pid: number): void {
    this.#handle = binding().processOpen(pid)
    this.pid = pid
    this.#watch = binding().watch(this.#handle, () => void this.poll())
    this.born()
  }

  // Until this very call has reaped it, the pid names no other process.
  protected ask(): ExitStatus | null {
    const ended = binding().processReap(this.pid!, false)
    return ended === null ? null : exitStatus(ended)
  }
  protected sleep(ms: number, fds: Int32Array): number {
    return binding().processWait(this.#handle, ms, fds, ownerOf(this.seat))
  }
  /** Somebody else has reaped it. */
  protected endedUnseen(): void {
    this.end(UNKNOWN)
  }
  protected keepAlive(alive: boolean): void {
    binding().watchRef(this.#watch, alive)
  }
  protected send(signal: NodeJS.Signals): void {
    const { constants } = process.getBuiltinModule('node:os')
    binding().processSignal(this.#handle, constants.signals[signal])
  }
  protected ended(): void {
    binding().unwatch(this.#watch)
    binding().processClose(this.#handle)
    giveBack(this.seat)
  }
}
