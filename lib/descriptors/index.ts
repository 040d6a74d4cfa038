// Open resources in messages: FileHandle, net.Socket, net.Server, dgram.Socket.
export { describeResource, sentResource } from './describe'
export { closeAll, openFileHandles, openFileHandlesSync } from './file-handles'
export type { ResourceNode } from './node'
export { rebuildResource } from './rebuild'
