// The parent of this process, seen from the child: it can be waited for, but its status is not ours to know.
import { binding } from '../binding'
import type { ExitStatus, Running } from './start/method'

// The parent's end reaches the event loop by a ring of the helper thread; see child/parent-watch.ts.
const listeners: (() => void)[] = []
let gone = false

/** This process has another parent now: it is a copy. */
export function forgetParent(): void {
  gone = false
  listeners.length = 0
}

/** The helper thread has seen that the parent process is gone. */
export function parentEnded(): void {
  gone = true
  for (const listener of listeners.splice(0)) listener()
}

export class ParentRunning implements Running {
  readonly pid: number
  readonly stdout = null
  readonly stderr = null
  #handle: number | undefined

  constructor(pid: number) {
    this.pid = pid
  }

  poll(): boolean {
    return this.wait(0)
  }

  wait(timeout: number): boolean {
    if (!gone) {
      const handle = this.#open()
      gone = handle === undefined || binding().processWait(handle, timeout, new Int32Array(0), 0) === 1
    }
    return gone
  }

  whenEnded(callback: () => void): () => void {
    // Nothing else may keep the loop alive, so a waiting caller does.
    const alive = setInterval(() => {}, 2 ** 30)
    this.onEnd(() => {
      clearInterval(alive)
      callback()
    })
    return () => clearInterval(alive)
  }

  status(): ExitStatus | null {
    return null
  }
  onEnd(callback: () => void): void {
    if (gone) callback()
    else listeners.push(callback)
  }
  signal(): void {}
  setRef(): void {}
  drain(): void {}
  letGo(): void {}

  /** undefined: it is gone. A pid that the system has given to another process is not our parent's any more. */
  #open(): number | undefined {
    if (this.#handle !== undefined) return this.#handle
    try {
      const handle = binding().processOpen(this.pid)
      if (!binding().parentDead()) {
        this.#handle = handle
        return handle
      }
      binding().processClose(handle)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
    return undefined
  }
}
