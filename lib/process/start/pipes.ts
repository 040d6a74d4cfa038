// The standard streams of a child that is not started by node's own child_process.
import type { Socket } from 'node:net'
import { binding } from '../../binding'
import type { LaunchOptions, Stdio } from './method'

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

export function openOutputs({ stdio, stderr = stdio }: Pick<LaunchOptions, 'stdio' | 'stderr'>): Outputs {
  const outputs: Outputs = { stdout: null, stderr: null, theirs: [-1, -1], close }
  const ends: number[] = []
  function close(): void {
    for (const fd of ends.splice(0)) {
      pending.delete(fd)
      binding().closeDescriptor(fd)
    }
  }
  const open = (how: Stdio, name: 'stdout' | 'stderr', fd: 1 | 2): void => {
    if (how === 'inherit') outputs.theirs[fd - 1] = fd
    if (how !== 'pipe') return
    const { Socket } = process.getBuiltinModule('node:net')
    const [ours, theirs] = binding().pipePair()
    ends.push(theirs)
    pending.add(theirs)
    outputs.theirs[fd - 1] = theirs
    outputs[name] = new Socket({ fd: ours, readable: true, writable: false })
  }
  try {
    open(stdio, 'stdout', 1)
    open(stderr, 'stderr', 2)
  } catch (error) {
    close()
    outputs.stdout?.destroy()
    throw error
  }
  return outputs
}

/** In a forked child, which has its own already: the ends of its siblings. */
export function closePendingOutputs(): void {
  for (const fd of pending) binding().closeDescriptor(fd)
  pending.clear()
}
