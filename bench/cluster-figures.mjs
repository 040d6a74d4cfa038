// The figures of clusters. Server, node and submitter are on one machine, and so are BullMQ's.
import { nodeSays, pairs } from './measure.mjs'

export const clusterFigures = [
  {
    name: 'cluster-bulk',
    title: 'no-op tasks on another process by nats-server, in bulk',
    unit: 'tasks/s',
    peer: 'BullMQ addBulk, redis-server',
    bar: { least: 3 },
    measure: () =>
      pairs(
        3,
        () => nodeSays('cluster.mjs', 'bulk', 'ours'),
        () => nodeSays('cluster.mjs', 'bulk', 'bullmq'),
      ),
  },
  {
    name: 'cluster-serial',
    title: 'await pool.apply(noop) by nats-server, one after the other',
    unit: 'ms',
    peer: 'BullMQ add + waitUntilFinished',
    bar: { most: 0.6 },
    measure: () =>
      pairs(
        3,
        () => nodeSays('cluster.mjs', 'serial', 'ours'),
        () => nodeSays('cluster.mjs', 'serial', 'bullmq'),
      ),
  },
  {
    name: 'cluster-local',
    title: 'await pool.apply(noop) by nats-server: the way through a server',
    unit: 'ms',
    peer: 'Pool of this machine',
    less: true, // what the way through a server costs: stated, without a bar
    measure: () =>
      pairs(
        3,
        () => nodeSays('cluster.mjs', 'serial', 'ours'),
        async () => (await nodeSays('pool.mjs', 'serial')) / 1000,
      ),
  },
  {
    name: 'cluster-nodes',
    title: 'tasks of 50 ms of one processor: two nodes of one worker',
    unit: 'tasks/s',
    peer: 'one node',
    bar: { least: 1.8 },
    measure: () =>
      pairs(
        3,
        () => nodeSays('cluster.mjs', 'nodes', 'ours', 2),
        () => nodeSays('cluster.mjs', 'nodes', 'ours', 1),
      ),
  },
]
