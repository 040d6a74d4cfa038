// Connections with other programs and machines, CPython's among them.
export type { Address, Family } from './address'
export { type ConnectOptions, type ConnectSyncOptions, connect, connectSync } from './connect'
export { type ConnectionOptions, Listener, type ListenerOptions, listen } from './listener'
