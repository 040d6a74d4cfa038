// Removing the segments of SharedMemory that killed processes have left, and saying so.
import { binding } from '../binding'
import { log } from './log'

export function sweep(): number {
  const count = binding().namedSweep()
  if (count > 0)
    log('info', () => `removed ${count} shared memory segment${count === 1 ? '' : 's'} that killed processes had left`)
  return count
}
