// The receiving side of open resources: fetches the descriptor and makes Node's object for it.
import type { Cluster } from 'node:cluster'
import type * as Dgram from 'node:dgram'
import type { FileHandle } from 'node:fs/promises'
import type * as Net from 'node:net'
import { binding } from '../binding'
import { SerializationError } from '../errors'
import { attach } from '../memory'
import { hidden } from './describe'
import { listenOn, receiveLater } from './early'
import { become } from './file-handles'
import type { ResourceNode } from './node'

const NAMES = { file: 'FileHandle', socket: 'net.Socket', server: 'net.Server', dgram: 'dgram.Socket' }

/** An object of this process on the open file that was sent. `files`: a spare FileHandle for each one that may be needed. */
export function rebuildResource(node: ResourceNode, files: FileHandle[]): { object: object; undo: () => void } {
  const name = Object.hasOwn(NAMES, node.kind) ? NAMES[node.kind] : undefined
  const { offset, generation } = node.block ?? {}
  if (name === undefined || !isNatural(offset) || !isNatural(generation) || generation >= 2 ** 32)
    throw new SerializationError('malformed message: not an open resource')
  let fd: number | undefined
  try {
    attach()
    fd = binding().receiveDescriptor(offset, generation)
    return make(node, fd, files)
  } catch (error) {
    if (fd !== undefined) close(fd)
    throw new SerializationError(`cannot receive a ${name}: ${(error as Error).message}`, '', 'ERR_MP_SERIALIZATION', {
      cause: error,
    })
  }
}

function isNatural(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function close(fd: number): void {
  try {
    process.getBuiltinModule('node:fs').closeSync(fd)
  } catch {
    // It was the object's already, which has closed it.
  }
}

function make(node: ResourceNode, fd: number, files: FileHandle[]): { object: object; undo: () => void } {
  switch (node.kind) {
    case 'socket': {
      const { readable, writable, allowHalfOpen } = node
      const { Socket } = process.getBuiltinModule('node:net')
      const object = new Socket({ fd, readable, writable, allowHalfOpen })
      return { object, undo: () => object.destroy() }
    }
    case 'server': {
      const object = serverOn(fd, node)
      return { object, undo: () => object.close() }
    }
    case 'dgram': {
      const object = dgramOn(fd, node.type, node.connected)
      return { object, undo: () => object.close() }
    }
    case 'file': {
      const handle = files.pop()
      if (handle === undefined) throw new Error('there is no FileHandle to spare')
      const object = become(handle, fd)
      return { object, undo: () => object.close().catch(() => {}) }
    }
  }
}

function serverOn(
  fd: number,
  { options, maxConnections, path }: Extract<ResourceNode, { kind: 'server' }>,
): Net.Server {
  const { isWorker } = process.getBuiltinModule('node:cluster') as unknown as Cluster
  if (isWorker)
    throw new Error('a worker of node:cluster listens through its primary, which does not have this descriptor')
  const { createServer } = process.getBuiltinModule('node:net')
  const server = createServer(options as Net.ServerOpts)
  if (maxConnections !== undefined) server.maxConnections = maxConnections
  listenOn(server, fd)
  // So that address() tells it; nothing else looks at it.
  if (path !== undefined) Object.assign(server, { _pipeName: path })
  return server
}

const CONNECTED = 2

function dgramOn(fd: number, type: Dgram.SocketType, connected: boolean): Dgram.Socket {
  const { createSocket } = process.getBuiltinModule('node:dgram')
  const socket = createSocket({ type })
  try {
    // The descriptor of a cluster's worker is its own.
    socket.bind({ fd, exclusive: true })
  } catch (error) {
    socket.close()
    throw error
  }
  // The system's socket is connected: the object only has to know.
  const state = hidden(socket, 'state symbol') as
    | { connectState: number; handle: Parameters<typeof receiveLater>[1] }
    | undefined
  if (state !== undefined) {
    if (connected) state.connectState = CONNECTED
    receiveLater(socket, state.handle)
  }
  return socket
}
