// The figures of shared memory.
import { nodeSays, pairs, pythonSays } from './measure.mjs'

export const sharingFigures = [
  {
    name: 'value',
    title: 'value.add(1)',
    unit: 'ns',
    peer: 'CPython with v.get_lock(): v.value += 1',
    bar: { most: 0.05 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('value.mjs'),
        () => pythonSays('value.py'),
      ),
  },
  {
    name: 'array',
    title: 'SharedArray element read + write',
    unit: 'ns',
    peer: 'ordinary Float64Array',
    bar: { most: 1.1 },
    measure: () =>
      pairs(
        7,
        () => nodeSays('array.mjs', 'shared'),
        () => nodeSays('array.mjs', 'plain'),
      ),
  },
  {
    name: 'named-make',
    title: 'SharedMemory of 4 KB: make, close, unlink',
    unit: 'µs',
    peer: 'CPython SharedMemory',
    bar: { most: 1 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('named.mjs', 'make'),
        () => pythonSays('named.py', 'make'),
      ),
  },
  {
    name: 'named-sum',
    title: 'attach a SharedMemory of 64 MB and sum it up',
    unit: 'ms',
    peer: 'CPython, memoryview.cast',
    bar: { most: 0.2 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('named.mjs', 'sum'),
        () => pythonSays('named.py', 'sum'),
      ),
  },
]
