// `multiproc worker`: a node of a ClusterPool. The node itself is in lib/cluster, which is loaded only for it.
import type * as Cluster from '../cluster'
import type { Command } from './command'

export const worker: Command = {
  name: 'worker',
  summary: 'runs tasks of a ClusterPool on this machine',
  usage: '--servers URL [--pool NAME] [--preload FILE]… [OPTIONS]',
  help: [
    'Options:',
    '  --servers URL            a NATS server with JetStream; may be given several times',
    '  --pool NAME              which pool it works for (default: default)',
    '  --processes N            worker processes (default: as many as there are processors)',
    '  --preload FILE           a module whose exports may be called, or NAME=FILE; may be given several times',
    '  --allow-functions        also run functions that come by value: whoever can reach the server runs code here',
    '  --health [HOST:]PORT     GET / answers 200 and what the node does, or 503 (default host: 127.0.0.1)',
    '  --credentials FILE       NATS credentials; --nkey FILE: the seed of an nkey',
    '  --user NAME              with --password-file FILE',
    '  --tls-ca FILE            with --tls-cert FILE and --tls-key FILE, where the server wants them',
    '  --max-tasks-per-child N  a worker process is replaced after so many tasks',
    '  --max-memory-per-child N a worker process is replaced when it has more bytes than this after a task',
    "  --replicas N, --storage file|memory, --keep MS, --lost-after MS: of the pool's streams, if they are not there yet",
    '',
    'SIGTERM drains: it takes no more tasks, ends those that it has, and leaves. A second one ends it at once.',
    '',
    'Example:',
    '  multiproc worker --servers nats://queue:4222 --pool images --preload ./lib/images.mjs',
  ],
  options: {
    servers: { type: 'string', multiple: true },
    pool: { type: 'string' },
    processes: { type: 'string' },
    preload: { type: 'string', multiple: true },
    'allow-functions': { type: 'boolean' },
    health: { type: 'string' },
    credentials: { type: 'string' },
    nkey: { type: 'string' },
    user: { type: 'string' },
    'password-file': { type: 'string' },
    'tls-ca': { type: 'string' },
    'tls-cert': { type: 'string' },
    'tls-key': { type: 'string' },
    'max-tasks-per-child': { type: 'string' },
    'max-memory-per-child': { type: 'string' },
    replicas: { type: 'string' },
    storage: { type: 'string' },
    keep: { type: 'string' },
    'lost-after': { type: 'string' },
  },
  async run({ values }) {
    const { __runWorker } = require('./cluster.cjs') as typeof Cluster
    return await __runWorker(values)
  },
}
