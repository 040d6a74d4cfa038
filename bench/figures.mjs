// The figures that the project promises: what is measured against whom, and the bar.

import { clusterFigures } from './cluster-figures.mjs'
import { dictFigures } from './dict-figures.mjs'
import { managerFigures } from './manager-figures.mjs'
import { alone, nodeSays, onOneCpu, pairs, pythonSays } from './measure.mjs'
import { messageFigures } from './message-figures.mjs'
import { poolFigures } from './pool-figures.mjs'

const ratio = ({ ours, peer }) => ours / peer
const itself = ({ ours }) => ours

export const figures = [
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
    judge: ratio,
  },
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
    judge: ratio,
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
    judge: ratio,
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
    judge: ratio,
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
    judge: ratio,
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
    judge: ratio,
  },
  {
    name: 'spawn-first',
    title: "start() to the target's first line, first start",
    unit: 'ms',
    peer: 'bare node to its first line',
    bar: { most: 1.6 },
    measure: () =>
      pairs(
        11,
        () => nodeSays('spawn.mjs', 1),
        () => nodeSays('bare.mjs', 1),
      ),
    judge: ratio,
  },
  {
    name: 'spawn-tenth',
    title: "start() to the target's first line, tenth start",
    unit: 'ms',
    peer: 'bare node to its first line',
    bar: { most: 1.35 },
    measure: () =>
      pairs(
        7,
        () => nodeSays('spawn.mjs', 10),
        () => nodeSays('bare.mjs', 10),
      ),
    judge: ratio,
  },
  {
    name: 'start-join',
    title: 'start + join of a no-op (spawn)',
    unit: 'ms',
    peer: 'CPython spawn',
    bar: { most: 0.75 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('start-join.mjs'),
        () => pythonSays('start_join.py'),
      ),
    judge: ratio,
  },
  {
    name: 'import',
    title: 'import of the package',
    unit: 'ms',
    peer: 'an empty module',
    bar: { mostMore: 15 },
    measure: () =>
      pairs(
        11,
        () => nodeSays('import.mjs', 'multiproc'),
        () => nodeSays('import.mjs', 'empty'),
      ),
    judge: ({ ours, peer }) => ours - peer,
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
    judge: ratio,
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
    judge: ratio,
  },
  {
    name: 'hand-over-one-cpu',
    title: 'the same on one CPU',
    unit: 'µs',
    peer: 'CPython Semaphores',
    bar: { most: 1 },
    measure: () =>
      pairs(
        5,
        () => onOneCpu.nodeSays('hand-over.mjs'),
        () => onOneCpu.pythonSays('hand_over.py'),
      ),
    judge: ratio,
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
    judge: ratio,
  },
  {
    name: 'event-set',
    title: 'Event.set, 1,000 promises in 4 processes, all awake',
    unit: 'ms',
    bar: { most: 20 },
    measure: () => alone(3, () => nodeSays('event-set.mjs')),
    judge: itself,
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
    judge: ratio,
  },
  {
    name: 'after-kill',
    title: "acquisition after the holder's SIGKILL, worst of 100",
    unit: 'ms',
    bar: { most: 250 },
    measure: () => alone(1, () => nodeSays('after-kill.mjs')),
    judge: itself,
  },
  {
    name: 'forkserver',
    title: 'start + join of a no-op (forkserver)',
    unit: 'ms',
    peer: 'CPython forkserver',
    bar: { most: 0.65 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('method-start-join.mjs', 'forkserver'),
        () => pythonSays('start_join_method.py', 'forkserver'),
      ),
    judge: ratio,
  },
  {
    name: 'forkserver-first',
    title: 'start() to the target’s first line (forkserver)',
    unit: 'ms',
    peer: 'bare node to its first line',
    bar: { most: 0.35 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('method-first-line.mjs', 'forkserver'),
        () => nodeSays('bare-median.mjs'),
      ),
    judge: ratio,
  },
  {
    name: 'fork',
    title: 'start + join of a no-op (fork)',
    unit: 'ms',
    bar: { most: 8 },
    measure: () => alone(5, () => nodeSays('method-start-join.mjs', 'fork')),
    judge: itself,
  },
  {
    name: 'fork-spawn',
    title: 'the same against spawn',
    unit: 'ms',
    peer: 'start + join (spawn)',
    bar: { most: 0.35 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('method-start-join.mjs', 'fork'),
        () => nodeSays('method-start-join.mjs', 'spawn'),
      ),
    judge: ratio,
  },
  {
    name: 'memory',
    title: 'memory of an idle child, 20 children (forkserver)',
    unit: 'MB',
    peer: 'plain node processes',
    bar: { most: 0.5 },
    measure: () =>
      pairs(
        3,
        () => nodeSays('memory.mjs', 'forkserver', 0),
        () => nodeSays('memory.mjs', 'plain', 0),
      ),
    judge: ratio,
  },
  {
    name: 'memory-50',
    title: 'the same with 50 MB preloaded',
    unit: 'MB',
    peer: 'plain node processes that load it',
    bar: { most: 0.12 },
    measure: () =>
      pairs(
        2,
        () => nodeSays('memory.mjs', 'forkserver', 50),
        () => nodeSays('memory.mjs', 'plain', 50),
      ),
    judge: ratio,
  },
  {
    name: 'work-forkserver-nbody',
    title: 'CPU-bound work in a child (forkserver, arithmetic)',
    unit: 'ms',
    peer: 'plain node',
    bar: { most: 1.1 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('work.mjs', 'forkserver', 'nbody'),
        () => nodeSays('work.mjs', 'plain', 'nbody'),
      ),
    judge: ratio,
  },
  {
    name: 'work-forkserver-garbage',
    title: 'CPU-bound work in a child (forkserver, garbage)',
    unit: 'ms',
    peer: 'plain node',
    bar: { most: 1.1 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('work.mjs', 'forkserver', 'garbage'),
        () => nodeSays('work.mjs', 'plain', 'garbage'),
      ),
    judge: ratio,
  },
  {
    name: 'work-fork-nbody',
    title: 'CPU-bound work in a child (fork, arithmetic)',
    unit: 'ms',
    peer: 'plain node',
    bar: { most: 1.1 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('work.mjs', 'fork', 'nbody'),
        () => nodeSays('work.mjs', 'plain', 'nbody'),
      ),
    judge: ratio,
  },
  {
    name: 'work-fork-garbage',
    title: 'CPU-bound work in a child (fork, garbage)',
    unit: 'ms',
    peer: 'plain node',
    bar: { most: 1.1 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('work.mjs', 'fork', 'garbage'),
        () => nodeSays('work.mjs', 'plain', 'garbage'),
      ),
    judge: ratio,
  },
  ...dictFigures,
  ...messageFigures,
  ...poolFigures,
  ...clusterFigures,
  ...managerFigures,
]
