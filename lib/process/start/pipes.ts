// The standard streams of a child that is not started by node's own child_process.
import type { Socket } from 'node:net'
import { binding } from '../../binding'
import type { LaunchOptions } from './method'

/** What the child writes to, as descriptors of this process: −1 stands for nothing. */
export interface Outputs {
  stdout: Socket | null
  stderr: Socket | null
  /** For descriptors 1 and 2 of the child. */
  theirs: [number, number]
  /** Gives back the child's ends, once it has them. */
  close(): void
}

/** Ends that belong to children which are not there yet: others must not keep them. */
const pending = new Set<number>()

export function openOutputs(stdio: LaunchOptions['stdio']): Outputs {
  if (stdio !== 'pipe')
    return { stdout: null, stderr: null, theirs: stdio === 'ignore' ? [-1, -1] : [1, 2], close() {} }
  const { Socket } = process.getBuiltinModule('node:net')
  const pairs = [binding().pipePair(), binding().pipePair()]
  const [stdout, stderr] = pairs.map(([fd]) => new Socket({ fd, readable: true, writable: false }))
  const theirs = pairs.map(([, fd]) => fd) as [number, number]
  for (const fd of theirs) pending.add(fd)
  let open = true
  return {
    stdout: stdout!,
    stderr: stderr!,
    theirs,
    close() {
      if (!open) return
      open = false
      for (const fd of theirs) {
        pending.delete(fd)
        binding().closeDescriptor(fd)
      }
    },
  }
}

/** In a forked child, which has its own already: the ends of its siblings. */
export function closePendingOutputs(): void {
  for (const fd of pending) binding().closeDescriptor(fd)
  pending.clear()
}
