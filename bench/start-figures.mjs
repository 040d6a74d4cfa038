// The figures of the start of processes, and what children cost.
import { alone, nodeSays, pairs, pythonSays } from './measure.mjs'

export const startFigures = [
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
  },
  {
    name: 'fork',
    title: 'start + join of a no-op (fork)',
    unit: 'ms',
    bar: { most: 8 },
    measure: () => alone(5, () => nodeSays('method-start-join.mjs', 'fork')),
  },
  {
    name: 'fork-spawn',
    title: 'start + join of a no-op: fork',
    unit: 'ms',
    peer: 'start + join (spawn)',
    bar: { most: 0.35 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('method-start-join.mjs', 'fork'),
        () => nodeSays('method-start-join.mjs', 'spawn'),
      ),
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
  },
  {
    name: 'memory-50',
    title: 'memory of an idle child with 50 MB preloaded (forkserver)',
    unit: 'MB',
    peer: 'plain node processes that load it',
    bar: { most: 0.12 },
    measure: () =>
      pairs(
        2,
        () => nodeSays('memory.mjs', 'forkserver', 50),
        () => nodeSays('memory.mjs', 'plain', 50),
      ),
  },
  ...['forkserver', 'fork'].flatMap((how) => [
    work(how, 'nbody', 'arithmetic', 5),
    work(how, 'garbage', 'garbage', 15),
  ]),
]

/** CPU-bound work in a child. Plain node takes 0.5 s for the garbage, or 1 s, by chance: its median needs many rounds. */
function work(how, kind, words, rounds) {
  return {
    name: `work-${how}-${kind}`,
    title: `CPU-bound work in a child (${how}, ${words})`,
    unit: 'ms',
    peer: 'plain node',
    bar: { most: 1.1 },
    measure: () =>
      pairs(
        rounds,
        () => nodeSays('work.mjs', how, kind),
        () => nodeSays('work.mjs', 'plain', kind),
      ),
  }
}
