// The child's watch over its parent: no orphan stays behind.
//
//   the child has its parcel       it writes one byte: a parent that ends in order waits for that, not for more
//   the parent ended in order      it wrote one byte into the watch pipe first: a non-daemon goes on
//   it was killed, or crashed      end of file without that byte: a daemon ends at once, a non-daemon gets a moment to
//                                  notice (parentProcess().join()) and to end by itself
//   the thread of this child is    the pipe is not read. A daemon is ended by the kernel all the same (dieWithParent),
//   blocked                        unless a Worker started it: that signal would come when the Worker ends
import { writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { binding } from '../../binding'
import type { Ticket } from '../parcel'
import { parentEnded } from '../parent'

const ORPHAN_GRACE_MS = 2000
const SIGKILL = 9

/** Before user code is loaded. Ends this process if the parent is already gone. */
export function bindToParent(ticket: Ticket): void {
  if (ticket.bound && !binding().dieWithParent(ticket.parentPid, SIGKILL)) die()
}

export function watchParent(ticket: Ticket, daemon: boolean): void {
  binding().closeOnExec(ticket.watchFd)
  try {
    writeSync(ticket.watchFd, '.') // from here on we can live without the parent
  } catch {
    // it is gone: the end of file says how
  }
  const pipe = new Socket({ fd: ticket.watchFd, readable: true, writable: false })
  let letGo = false
  pipe.on('data', () => {
    letGo = true
  })
  pipe.on('error', () => {}) // ends it, too
  pipe.on('close', () => {
    parentEnded()
    if (letGo && !daemon) return
    if (daemon) die()
    setTimeout(die, ORPHAN_GRACE_MS).unref()
  })
  pipe.unref()
}

export function die(): never {
  process.kill(process.pid, 'SIGKILL')
  throw new Error('unreachable')
}
