// The figures of locks and the other primitives.
import { alone, nodeSays, onOneCpu, pairs, pythonSays } from './measure.mjs'

export const syncFigures = [
  {
    name: 'lock',
    title: 'Lock acquireSync + release, uncontended',
    unit: 'ns',
    peer: 'CPython Lock',
    bar: { most: 0.6 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('lock.mjs'),
        () => pythonSays('lock.py'),
      ),
  },
  {
    name: 'semaphore',
    title: 'Semaphore acquireSync + release, uncontended',
    unit: 'ns',
    peer: 'CPython Semaphore',
    bar: { most: 0.6 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('semaphore.mjs'),
        () => pythonSays('semaphore.py'),
      ),
  },
  {
    name: 'contended',
    title: 'contended Lock, 2 processes',
    unit: 'operations/s',
    peer: 'CPython Lock',
    bar: { least: 8 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('contended.mjs'),
        () => pythonSays('contended.py'),
      ),
  },
  {
    name: 'hand-over',
    title: 'hand-over of a lock between two blocked processes, round trip',
    unit: 'µs',
    peer: 'CPython Semaphores',
    bar: { most: 0.1 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('hand-over.mjs'),
        () => pythonSays('hand_over.py'),
      ),
  },
  {
    name: 'hand-over-one-cpu',
    title: 'hand-over of a lock on one CPU, round trip',
    unit: 'µs',
    peer: 'CPython Semaphores',
    bar: { most: 1 },
    measure: () =>
      pairs(
        5,
        () => onOneCpu.nodeSays('hand-over.mjs'),
        () => onOneCpu.pythonSays('hand_over.py'),
      ),
  },
  {
    name: 'async-wake',
    title: 'release in one process to the continuation in another',
    unit: 'µs',
    peer: 'worker_threads postMessage, one way',
    bar: { most: 1 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('async-wake.mjs', 'lock'),
        () => nodeSays('async-wake.mjs', 'message'),
      ),
  },
  {
    name: 'event-set',
    title: 'Event.set, 1,000 promises in 4 processes, all awake',
    unit: 'ms',
    bar: { most: 20 },
    measure: () => alone(3, () => nodeSays('event-set.mjs')),
  },
  {
    name: 'barrier',
    title: 'Barrier of 4 processes',
    unit: 'rounds/s',
    peer: 'CPython Barrier',
    bar: { least: 5 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('barrier.mjs'),
        () => pythonSays('barrier.py'),
      ),
  },
  {
    name: 'after-kill',
    title: "acquisition after the holder's SIGKILL, worst of 100",
    unit: 'ms',
    bar: { most: 250 },
    measure: () => alone(1, () => nodeSays('after-kill.mjs')),
  },
]
