// The figures of clusters. Server, node and submitter are on one machine, and so are BullMQ's.
import { nodeSays, pairs } from './measure.mjs'

const ratio = ({ ours, peer }) => ours / peer

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
    judge: ratio,
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
    judge: ratio,
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
    judge: ratio,
  },
]
