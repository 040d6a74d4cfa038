// The figures of pools. "The best of all peers": each is measured in the same round, and the best one counts.
import { alone, best, nodeSays, pairs, pythonSays } from './measure.mjs'

const THREADS = ['piscina', 'tinypool', 'workerpool', 'poolifier']
const PROCESSES = ['tinypool-processes', 'workerpool-processes', 'poolifier-processes']

const peers = (what, names) => Object.fromEntries(names.map((name) => [name, () => nodeSays('pool.mjs', what, name)]))

export const poolFigures = [
  {
    name: 'pool-bulk',
    title: 'no-op tasks submitted in bulk',
    unit: 'tasks/s',
    peer: 'best of piscina, tinypool, workerpool, poolifier, CPython',
    bar: { least: 3 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('pool.mjs', 'bulk'),
        best(Math.max, { ...peers('bulk', THREADS), CPython: () => pythonSays('pool.py', 'bulk') }),
      ),
  },
  {
    name: 'pool-serial',
    title: 'await pool.apply(noop), one after the other',
    unit: 'µs',
    peer: 'best of piscina, tinypool, workerpool, poolifier',
    bar: { most: 0.6 },
    measure: () => pairs(5, () => nodeSays('pool.mjs', 'serial'), best(Math.min, peers('serial', THREADS))),
  },
  {
    name: 'pool-map',
    title: 'pool.map of 200,000 integers, default chunks',
    unit: 'items/s',
    peer: 'CPython Pool.map',
    bar: { least: 1 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('pool.mjs', 'map'),
        () => pythonSays('pool.py', 'map'),
      ),
  },
  {
    name: 'pool-array',
    title: 'Float64Array of 1 MB, moved there and back',
    unit: 'tasks/s',
    peer: 'piscina with transfer',
    bar: { least: 1 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('pool.mjs', 'array'),
        () => nodeSays('pool.mjs', 'array', 'piscina'),
      ),
  },
  {
    name: 'pool-array-python',
    title: 'Float64Array of 1 MB, moved there and back',
    unit: 'tasks/s',
    peer: 'CPython Pool with array.array',
    bar: { least: 5 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('pool.mjs', 'array'),
        () => pythonSays('pool.py', 'array'),
      ),
  },
  {
    name: 'pool-compute',
    title: 'computing on 2 workers, against a plain loop',
    unit: '×',
    bar: { least: 1.9 },
    measure: () => alone(3, () => nodeSays('pool.mjs', 'compute')),
  },
  {
    name: 'pool-first',
    title: 'new Pool(2) to the first result',
    unit: 'ms',
    peer: 'best of tinypool child_process, workerpool process, poolifier cluster',
    bar: { most: 1 },
    measure: () => pairs(7, () => nodeSays('pool.mjs', 'first'), best(Math.min, peers('first', PROCESSES))),
  },
  {
    name: 'pool-first-forkserver',
    title: 'new Pool(2) to the first result, forkserver with a warm template',
    unit: 'ms',
    bar: { most: 15 },
    measure: () => alone(5, () => nodeSays('pool.mjs', 'first-forkserver')),
  },
  {
    name: 'pool-memory',
    title: 'memory of an idle worker (PSS), in that of a bare node',
    unit: '×',
    bar: { most: 1.25 },
    measure: () => alone(3, () => nodeSays('pool.mjs', 'memory')),
  },
]
