// Node and Python on one array: shared memory with a name, which both see without copying it.
//
//   node examples/numpy-exchange.mjs           needs python3; numpy is used if it is there
import { spawnSync } from 'node:child_process'
import { isMain, SharedMemory } from 'multiproc'

const N = 1_000_000

const PYTHON = `
import sys
from multiprocessing import shared_memory
try:
    shm = shared_memory.SharedMemory(name=sys.argv[1], track=False)   # Node removes it
except TypeError:                                                    # before Python 3.13
    from multiprocessing import resource_tracker
    resource_tracker.register = lambda *args: None
    shm = shared_memory.SharedMemory(name=sys.argv[1])
try:
    import numpy
    x = numpy.ndarray((${N},), dtype=numpy.float64, buffer=shm.buf)
    total = float(x.sum())
    numpy.sqrt(x, out=x)
    del x
except ImportError:
    x = shm.buf[:${8 * N}].cast('d')
    total = sum(x)
    for i in range(${N}): x[i] = x[i] ** 0.5
    x.release()
print(total)
shm.close()
`

if (isMain(import.meta)) {
  const memory = new SharedMemory({ create: true, size: N * 8 })
  try {
    const x = memory.as('float64') // a Float64Array
    for (let i = 0; i < N; i++) x[i] = i
    const { status, stdout, stderr, error } = spawnSync('python3', ['-c', PYTHON, memory.name], { encoding: 'utf8' })
    if (error?.code === 'ENOENT') console.log('there is no python3 here')
    else if (status !== 0) throw new Error(stderr)
    else {
      console.log(`Python's sum of what Node wrote: ${Number(stdout)}`)
      console.log(`Node sees the roots that Python wrote: ${x[144]} ${x[250_000]}`)
    }
  } finally {
    memory.close()
  }
}
