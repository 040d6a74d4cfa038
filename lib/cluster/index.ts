// multiproc/cluster: a Pool over NATS JetStream.
export { ClusterPool, type ClusterStats } from './cluster-pool'
export type { ServerOptions, StreamOptions } from './nats'
export type { NodeInfo } from './node'
export type { ClusterImapOptions, ClusterMapOptions, ClusterPoolOptions, ClusterTaskOptions } from './options'
export { runWorker as __runWorker } from './worker'
