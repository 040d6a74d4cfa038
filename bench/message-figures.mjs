// The figures of pipes and queues.
import { nodeSays, pairs, pythonSays } from './measure.mjs'

const against = (rounds, ours, peer) => () => pairs(rounds, ours, peer)

export const messageFigures = [
  {
    name: 'pipe-bytes',
    title: 'Pipe, 64 bytes, blocking round trip',
    unit: 'µs',
    peer: 'CPython Pipe',
    bar: { most: 0.1 },
    measure: against(
      5,
      () => nodeSays('pipe.mjs', 'bytes'),
      () => pythonSays('pipe.py', 'bytes'),
    ),
  },
  {
    name: 'pipe-object',
    title: 'Pipe, { id, op, args: [1, 2, 3] }, blocking round trip',
    unit: 'µs',
    peer: 'CPython Pipe with the same dict',
    bar: { most: 0.25 },
    measure: against(
      5,
      () => nodeSays('pipe.mjs', 'object'),
      () => pythonSays('pipe.py', 'object'),
    ),
  },
  {
    name: 'round-trip-port',
    title: 'Pipe, the same object, asynchronous round trip, event loops free',
    unit: 'µs',
    peer: 'worker_threads MessagePort',
    bar: { most: 0.9 },
    measure: against(
      5,
      () => nodeSays('round-trip.mjs', 'pipe'),
      () => nodeSays('round-trip.mjs', 'port'),
    ),
  },
  {
    name: 'round-trip-fork',
    title: 'Pipe, the same object, asynchronous round trip',
    unit: 'µs',
    peer: 'child_process.fork, advanced serialisation',
    bar: { most: 0.5 },
    measure: against(
      5,
      () => nodeSays('round-trip.mjs', 'pipe'),
      () => nodeSays('round-trip.mjs', 'fork'),
    ),
  },
  {
    name: 'queue-int',
    title: 'Queue, small integers one way',
    unit: 'messages/s',
    peer: 'CPython Queue',
    bar: { least: 10 },
    measure: against(
      5,
      () => nodeSays('queue.mjs', 'int'),
      () => pythonSays('one_way.py', 'int'),
    ),
  },
  {
    name: 'queue-object',
    title: 'Queue, the small object one way',
    unit: 'messages/s',
    peer: 'CPython Queue',
    bar: { least: 5 },
    measure: against(
      5,
      () => nodeSays('queue.mjs', 'object'),
      () => pythonSays('one_way.py', 'object'),
    ),
  },
  {
    name: 'queue-many',
    title: 'Queue, 8 producers and 8 consumers',
    unit: 'messages/s',
    peer: 'the same queue, 1 and 1',
    bar: { least: 0.6 },
    measure: against(
      5,
      () => nodeSays('queue.mjs', 'int', 8, 8),
      () => nodeSays('queue.mjs', 'int'),
    ),
  },
  {
    name: 'array-copied',
    title: '16 MB Float64Array one way',
    unit: 'ms',
    peer: 'CPython Pipe.send_bytes',
    bar: { most: 0.3 },
    measure: against(
      5,
      () => nodeSays('big.mjs', 'array'),
      () => pythonSays('big.py'),
    ),
  },
  {
    name: 'array-moved',
    title: '16 MB Float64Array one way by transfer()',
    unit: 'ms',
    peer: 'CPython Pipe.send_bytes',
    bar: { most: 0.02 },
    measure: against(
      5,
      () => nodeSays('big.mjs', 'transfer'),
      () => pythonSays('big.py'),
    ),
  },
  {
    name: 'buffer',
    title: '1 MiB Buffer, round trip',
    unit: 'ms',
    peer: 'worker_threads MessagePort',
    bar: { most: 0.5 },
    measure: against(
      5,
      () => nodeSays('big.mjs', 'buffer'),
      () => nodeSays('big.mjs', 'port'),
    ),
  },
]
