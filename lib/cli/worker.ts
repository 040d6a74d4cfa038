// `multiproc worker`: a node of a cluster. It reads its options itself, and is loaded only here (lib/cluster/worker.ts).
import { join } from 'node:path'
import type { Command } from './command'

export const worker: Command = {
  name: 'worker',
  summary: 'runs tasks of a ClusterPool on this machine',
  usage: '--servers URL [OPTIONS]',
  help: [],
  options: {},
  raw(args) {
    const cluster: { __runWorker(args: readonly string[]): Promise<number> } = require(join(__dirname, 'cluster.cjs'))
    return cluster.__runWorker(args)
  },
  run: () => 2,
}
