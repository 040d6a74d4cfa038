// What comes before anybody listens for it. A server or a socket that was sent is at work already when its new owner gets it: an
// event without a listener would be lost. Until there is a listener it stays with the system, where whoever else has the same
// server or socket can take it.
import type * as Dgram from 'node:dgram'
import type { EventEmitter } from 'node:events'
import type * as Net from 'node:net'
import { systemErrorOf } from '../system-error'

/** The native half of a net.Server. */
interface ListenHandle {
  /** 0, or the number of an error, negative. */
  listen(backlog: number): number
}
const BACKLOG = 511 // Node's own

/**
 * Lets the server listen on this descriptor; it accepts nothing before it has a listener for connections. What is no socket of
 * streams throws; one that cannot listen is told by 'error' then.
 */
export function listenOn(server: Net.Server, fd: number): void {
  const { Socket } = process.getBuiltinModule('node:net')
  const socket = new Socket({ fd, readable: false, writable: false }) as unknown as { _handle: ListenHandle | null }
  const handle = socket._handle!
  socket._handle = null // the server's from now on
  handle.listen = () => 0
  server.listen({ _handle: handle })
  delete (handle as Partial<ListenHandle>).listen // that of its class
  onceListenedTo(server, 'connection', () => {
    if ((server as unknown as { _handle: ListenHandle | null })._handle !== handle) return // closed
    const status = handle.listen(BACKLOG)
    if (status !== 0) server.emit('error', systemErrorOf(status, 'listen'))
  })
}

/** Lets a socket receive nothing before it has a listener for messages. */
export function receiveLater(socket: Dgram.Socket, handle: { recvStop(): void; recvStart(): void }): void {
  handle.recvStop()
  let closed = false
  socket.once('close', () => {
    closed = true
  })
  onceListenedTo(socket, 'message', () => {
    if (!closed) handle.recvStart()
  })
}

/** Calls it when the first listener has been added, on the next tick: whoever adds it may have more to set up. */
function onceListenedTo(emitter: EventEmitter, wanted: string, call: () => void): void {
  const look = (event: string | symbol): void => {
    if (event !== wanted) return
    emitter.off('newListener', look)
    process.nextTick(call)
  }
  emitter.on('newListener', look)
}
