// A child that is made ahead of need: copied from the template already, it waits to be told what to become.
//
//   owner                                        template                  spare (child/template.ts)
//   askForSpare() ── seat + one end of a pair ──▶ fork ───────────────────▶ takes its place, waits on its end
//   take()        ── request + descriptors ── the other end ──────────────▶ answers: from now on it is a child like others
//                    parcel, through its seat ────────────────────────────▶ runs
//
// Until it has answered nothing was started: if it has been killed, another child is made. It ends when its end of the pair
// does: with its owner, with the template, and when the owner has no more use for it.
import { binding } from '../../binding'
import { giveBack, reserve, type Seat } from '../parcel'
import { Control, type Request } from './control'
import { openProcess } from './running'

export class Spare {
  readonly seat: Seat
  /** Its end, for the template to pass on. */
  readonly theirs: number
  /** undefined: the template has not answered yet. */
  pid: number | undefined
  readonly #control: Control
  #handle = -1
  #closed = false

  /** Throws when there is no place or no descriptor for another child. */
  constructor() {
    this.seat = reserve()
    try {
      const [ours, theirs] = binding().controlPair()
      this.theirs = theirs
      binding().ownDescriptor(ours)
      binding().controlIdentify(theirs)
      this.#control = new Control(ours)
    } catch (error) {
      giveBack(this.seat)
      throw error
    }
  }

  /** The template has told of it just now. (Later its pid might be another's.) */
  born(pid: number): true {
    this.#handle = openProcess(pid)
    this.pid = pid
    return true
  }

  /** False: it is not there any more. */
  tell(request: Request, descriptors: readonly number[]): boolean {
    return this.#control.send(request, descriptors)
  }

  /** Blocks until it has become what it was told, at most `timeout` ms. False: it has not. */
  confirm(timeout: number): boolean {
    const deadline = performance.now() + timeout
    for (;;) {
      if (this.#control.receive().length > 0) break
      const left = deadline - performance.now()
      if (this.#control.ended || left <= 0) return false
      binding().controlWait(this.#control.fd, false, left)
    }
    this.#close()
    return true
  }

  /** It ends, if it is still there. */
  release(): void {
    if (this.#handle >= 0) binding().processSignal(this.#handle, 9)
    this.#close()
    giveBack(this.seat)
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    binding().closeDescriptor(this.#control.fd)
    if (this.#handle >= 0) binding().processClose(this.#handle)
    this.#handle = -1
  }
}
