// wait() and waitSync(): several things at once, of different kinds.
//
//   object             is it ready?           asynchronous                    blocking
//   Queue, Connection  a look at the ring     a ring of this thread's bell    the bell's descriptor
//   of a socket        a look at the link     the event loop polls it         its descriptor
//   Sentinel           has it ended?          the event loop's own news       a descriptor of the process
//   net.Socket, fd     data, end, or poll()   'readable', or polled           its descriptor
//
// One poll() over all descriptors and the bell: no thread for each, and nothing is looked at again and again.
import type { Socket } from 'node:net'
import type { SocketHandle } from '../../binding'
import { binding } from '../binding'
import { invalidType, invalidValue } from '../check'
import { UnsupportedError } from '../errors'
import { attach, ringAgain } from '../memory'
import { Sentinel } from '../process/sentinel'
import { asyncWait, syncTimeout, type WaitOptions, type WaitSyncOptions } from '../wait-options'
import { Connection } from './connection'
import type { Inlet } from './ends'
import { Queue, SimpleQueue } from './queue'

/** What wait() takes. A net.Socket must be paused; a number is a descriptor. */
export type Waitable = Connection | Queue | SimpleQueue | Sentinel | Socket | number

interface Target<T> {
  readonly object: T
  ready(): boolean
  /** Calls back once, when it may be ready. Gives how to stop that. */
  watch(callback: () => void): () => void
  /** What poll() can look at meanwhile; −1: nothing, the bell rings. Called once watched; `done`: it is not needed any more. */
  descriptor(): { fd: number; done?: () => void }
}

/**
 * Waits until at least one of the objects is ready, and gives those that are, in the order given; none after `timeout` ms. Ready
 * is a queue or connection with something to take (a message, or the end), a Sentinel whose process has ended, a socket or
 * descriptor that can be read (or has ended). Takes nothing. Rejects with `signal.reason`, and with ClosedError, TypeError or
 * EBADF for what cannot be waited for.
 */
export async function wait<T extends Waitable>(objects: Iterable<T>, options?: WaitOptions): Promise<T[]> {
  const targets = targetsOf(objects)
  const { timeout, signal } = asyncWait(options)
  signal?.throwIfAborted()
  const now = readyOf(targets)
  if (now.length > 0 || timeout === 0) return now
  return await new Promise((resolve, reject) => {
    let stops: (() => void)[] = []
    let timer: NodeJS.Timeout | undefined
    let settled = false
    const settle = (): void => {
      settled = true
      for (const stop of stops.splice(0)) stop()
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    const onAbort = (): void => {
      settle()
      reject(signal!.reason)
    }
    const look = (): void => {
      try {
        const ready = readyOf(targets)
        for (const stop of stops.splice(0)) stop()
        if (settled) return
        if (ready.length > 0) {
          settle()
          resolve(ready)
          return
        }
        stops = targets.map((target) => target.watch(look))
        if (settled) for (const stop of stops.splice(0)) stop() // one of them called back at once
      } catch (error) {
        settle()
        reject(error)
      }
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    if (timeout < 2 ** 31)
      timer = setTimeout(() => {
        settle()
        resolve(readyOf(targets))
      }, timeout)
    look()
  })
}

/** As wait(), blocking this thread in the kernel. Throws. */
export function waitSync<T extends Waitable>(objects: Iterable<T>, options?: WaitSyncOptions): T[] {
  const targets = targetsOf(objects)
  const timeout = syncTimeout(options)
  const now = readyOf(targets)
  if (now.length > 0 || timeout === 0) return now
  attach()
  const deadline = performance.now() + timeout
  const looks = targets.map((target) => target.descriptor())
  const stops = targets.filter((_, index) => looks[index]!.fd < 0).map((target) => target.watch(() => {}))
  const fds = Int32Array.from(looks.flatMap(({ fd }) => (fd < 0 ? [] : [fd])))
  const answers = new Uint8Array(fds.length)
  try {
    for (;;) {
      const ready = readyOf(targets)
      if (ready.length > 0) return ready
      const left = Math.max(0, deadline - performance.now())
      if (!binding().waitReadable(fds, answers, left)) return readyOf(targets)
    }
  } finally {
    for (const { done } of looks) done?.()
    for (const stop of stops) stop()
    ringAgain()
  }
}

function readyOf<T>(targets: readonly Target<T>[]): T[] {
  return targets.filter((target) => target.ready()).map(({ object }) => object)
}

function targetsOf<T extends Waitable>(objects: Iterable<T>): Target<T>[] {
  if (typeof objects !== 'object' || objects === null || !(Symbol.iterator in objects))
    throw invalidType('objects', 'an iterable of connections, queues, sentinels, sockets and descriptors', objects)
  return Array.from(objects, (object, index) => targetOf(object, `objects[${index}]`))
}

function targetOf<T extends Waitable>(object: T, name: string): Target<T> {
  if (object instanceof Connection) return ofInlet(object, object.inlet)
  if (object instanceof Queue || object instanceof SimpleQueue) {
    object.checkOpen()
    return ofInlet(object, object.ring)
  }
  if (object instanceof Sentinel) return ofSentinel(object)
  if (typeof object === 'number') return ofDescriptor(object, object, name)
  if (typeof object === 'object' && object !== null && isSocket(object)) return ofSocket(object, object, name)
  throw invalidType(name, 'a Connection, a Queue, a Sentinel, a net.Socket or a descriptor', object)
}

function ofInlet<T>(object: T, inlet: Inlet): Target<T> {
  return {
    object,
    ready: () => inlet.ready(),
    watch: (callback) => inlet.whenReady(callback),
    descriptor: () => ({ fd: inlet.descriptor }),
  }
}

function ofSentinel<T extends Sentinel>(sentinel: T): Target<T> {
  const source = Sentinel.sourceOf(sentinel)
  return {
    object: sentinel,
    ready: () => source.poll(),
    watch: (callback) => source.whenEnded(callback),
    descriptor() {
      let handle: SocketHandle
      try {
        handle = binding().watchProcess(source.pid!)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ESRCH') return { fd: -1 } // it has ended: ready() says so
        throw error
      }
      return { fd: binding().socketDescriptor(handle), done: () => binding().socketClose(handle) }
    },
  }
}

function ofDescriptor<T>(object: T, fd: number, name: string): Target<T> {
  if (!Number.isInteger(fd) || fd < 0 || fd > 2 ** 31 - 1) throw invalidValue(name, 'a descriptor', fd)
  checkSystem()
  attach()
  return {
    object,
    ready: () => canRead(fd),
    watch(callback) {
      const handle = binding().watchDescriptor(fd)
      binding().socketOnReady(handle, callback)
      binding().socketWatch(handle, 1)
      return () => binding().socketClose(handle)
    },
    descriptor: () => ({ fd }),
  }
}

/** Node gives no handles of Windows' to others. */
function checkSystem(): void {
  if (process.platform === 'win32')
    throw new UnsupportedError("wait() takes no sockets and descriptors of node's own on Windows")
}

/** Can it be read now, or has it ended? Throws EBADF. */
function canRead(fd: number): boolean {
  const answer = new Uint8Array(1)
  binding().pollNow(Int32Array.of(fd), answer)
  if (answer[0] !== 2) return answer[0] === 1
  throw Object.assign(new Error(`EBADF: bad file descriptor, poll (${fd})`), {
    code: 'EBADF',
    errno: -9,
    syscall: 'poll',
  })
}

/** A net.Socket, without loading node:net. */
function isSocket(object: object): object is Socket {
  return 'readableLength' in object && 'connecting' in object && 'pause' in object
}

function ofSocket<T>(object: T, socket: Socket, name: string): Target<T> {
  const fd = (): number => (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd ?? -1
  const ended = (): boolean => socket.readableLength > 0 || socket.readableEnded || socket.destroyed
  checkSystem()
  if (!ended() && fd() < 0 && !socket.connecting)
    throw invalidType(name, 'a net.Socket that has a descriptor of its own (not of TLS)', object)
  return {
    object,
    ready: () => ended() || (fd() >= 0 && canRead(fd())),
    watch(callback) {
      const events = ['readable', 'end', 'close', 'error'] as const
      for (const event of events) socket.on(event, callback)
      return () => {
        for (const event of events) socket.off(event, callback)
      }
    },
    descriptor: () => ({ fd: fd() }),
  }
}
