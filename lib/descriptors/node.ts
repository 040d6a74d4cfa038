// How an open resource is written in a message: see lib/serialize/wire.ts.
import type { BlockHandle } from '../memory'

export type ResourceNode = { t: 'resource'; block: BlockHandle } & (
  | { kind: 'file' }
  | { kind: 'socket'; readable: boolean; writable: boolean; allowHalfOpen: boolean }
  | { kind: 'server'; options: Record<string, boolean | number>; maxConnections?: number; path?: string }
  | { kind: 'dgram'; type: 'udp4' | 'udp6'; connected: boolean }
)
