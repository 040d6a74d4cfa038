// The sending side of open resources: which objects stand for an open file of this process, whether they can travel now, and what
// their node says. The node names a block of shared memory; the file behind it travels beside the message (native/core/descriptors.h).
//
// Node has no public way from a net.Socket, net.Server or dgram.Socket to its descriptor: what is private here is `_handle.fd`, and
// the state of a dgram.Socket. A Node where these are gone refuses to send, with a message that says so.
import type * as Dgram from 'node:dgram'
import type { FileHandle } from 'node:fs/promises'
import type * as Net from 'node:net'
import { binding } from '../binding'
import { attach } from '../memory'
import { Refusal } from '../serialize/refusal'
import type { ResourceNode } from './node'

type Resource =
  | { what: 'net.Socket'; object: Net.Socket }
  | { what: 'net.Server'; object: Net.Server }
  | { what: 'dgram.Socket'; object: Dgram.Socket }
  | { what: 'FileHandle'; object: FileHandle }

/** What of an object of `what` its node says, and its descriptor. */
type Described = { fd: unknown; info: ResourceInfo; sent?: () => void }
type ResourceInfo = ResourceNode extends infer N ? (N extends ResourceNode ? Omit<N, 't' | 'block'> : never) : never

/** The node of an open resource, and its block, which this thread holds until `sentResource`. undefined: it is none. */
export function describeResource(object: object): ResourceNode | undefined {
  const resource = resourceOf(object)
  if (resource === undefined) return undefined
  const { what } = resource
  if (process.platform === 'win32')
    throw new Refusal(
      `is a ${what}, which travels as a POSIX descriptor; Windows has none`,
      'open it in the process that is to use it',
    )
  const { fd, info, sent } = describe(resource)
  if (typeof fd !== 'number' || fd < 0)
    throw new Refusal(`is a ${what} whose descriptor cannot be found in this version of Node`, 'open it in the child')
  attach()
  const block = binding().sendDescriptor(fd)
  sent?.()
  return { t: 'resource', ...info, block }
}

/** The message holds the block now, or there is no message. */
export function sentResource({ block }: Pick<ResourceNode, 'block'>): void {
  binding().sentDescriptor(block.offset, block.generation)
}

/** Exactly these classes: an instance of a subclass would arrive as something else. */
function resourceOf(object: object): Resource | undefined {
  const proto = Object.getPrototypeOf(object)
  const name: unknown = Object.hasOwn(proto ?? {}, 'constructor') ? proto.constructor?.name : undefined
  // Only a name that fits makes Node load a module.
  if (name === 'Socket' && proto === process.getBuiltinModule('node:net').Socket.prototype)
    return { what: 'net.Socket', object: object as Net.Socket }
  if (name === 'Server' && proto === process.getBuiltinModule('node:net').Server.prototype)
    return { what: 'net.Server', object: object as Net.Server }
  if (name === 'Socket' && proto === process.getBuiltinModule('node:dgram').Socket.prototype)
    return { what: 'dgram.Socket', object: object as Dgram.Socket }
  if (name === 'FileHandle' && isNativeHandle(hidden(object, 'kHandle')))
    return { what: 'FileHandle', object: object as FileHandle }
  return undefined
}

function describe({ what, object }: Resource): Described {
  switch (what) {
    case 'net.Socket':
      return socket(object)
    case 'net.Server':
      return server(object)
    case 'dgram.Socket':
      return dgram(object)
    case 'FileHandle':
      if (object.fd < 0) throw new Refusal('is a closed FileHandle', 'send it while it is open')
      return { fd: object.fd, info: { kind: 'file' } }
  }
}

/** What stands between a stream of Node and its descriptor. */
interface Handle {
  readonly fd?: number
  reading?: boolean
  readStop?(): void
}

function socket(object: Net.Socket): Described {
  const handle = (object as unknown as { _handle?: Handle | null })._handle
  if (object.connecting) throw new Refusal('is a net.Socket that is still connecting', "send it after its 'connect'")
  if (object.destroyed || !handle) throw new Refusal('is a closed net.Socket', 'send it while it is open')
  if (object.readableLength > 0)
    throw new Refusal(
      `is a net.Socket with ${object.readableLength} bytes that came and were not read yet`,
      'read them first, or accept it with { pauseOnConnect: true }',
    )
  if (object.writableLength > 0 || (object.writableEnded && !object.writableFinished))
    throw new Refusal(
      `is a net.Socket with ${object.writableLength} bytes that are not written yet`,
      "wait for the callback of write() or for 'finish'",
    )
  const info = {
    kind: 'socket',
    readable: !object.readableEnded,
    writable: !object.writableEnded,
    allowHalfOpen: object.allowHalfOpen,
  } as const
  return { fd: handle.fd, info, sent: () => stopReading(object, handle) }
}

/** Node reads from a connection before anybody asks for data: what comes from now on is for the receiver. */
function stopReading(object: Net.Socket, handle: Handle): void {
  const state = (object as unknown as { _readableState?: { reading: boolean } })._readableState
  if (object.readableFlowing === true || !handle.reading || !handle.readStop || !state) return
  handle.readStop()
  handle.reading = false
  state.reading = false // so that it can go on here, if somebody wants that
}

function server(object: Net.Server): Described {
  if (!object.listening) throw new Refusal('is a net.Server that does not listen', 'call listen() first')
  const { _handle, ...own } = object as unknown as { _handle: Handle } & Record<string, unknown>
  if (_handle.fd === undefined)
    throw new Refusal(
      'is a net.Server of a cluster worker, whose connections the primary accepts',
      'listen with { exclusive: true }',
    )
  const options: Record<string, boolean | number> = {}
  for (const name of SERVER_OPTIONS) {
    const value = own[name]
    if (typeof value === 'boolean' || typeof value === 'number') options[name] = value
  }
  const { maxConnections } = object
  const path = object.address()
  return {
    fd: _handle.fd,
    info: {
      kind: 'server',
      options,
      ...(typeof maxConnections === 'number' && { maxConnections }),
      ...(typeof path === 'string' && { path }),
    },
  }
}
const SERVER_OPTIONS = [
  'allowHalfOpen',
  'pauseOnConnect',
  'noDelay',
  'keepAlive',
  'keepAliveInitialDelay',
  'highWaterMark',
]

const BOUND = 2
const CONNECTED = 2

function dgram(object: Dgram.Socket): Described {
  const state = hidden(object, 'state symbol') as
    | { handle: Handle | null; bindState: number; connectState: number }
    | undefined
  if (state === undefined) return { fd: undefined, info: { kind: 'dgram', type: 'udp4', connected: false } }
  if (state.handle === null) throw new Refusal('is a closed dgram.Socket', 'send it while it is open')
  if (state.bindState !== BOUND) throw new Refusal('is a dgram.Socket that is not bound', "send it after 'listening'")
  const { type } = object as unknown as { type: 'udp4' | 'udp6' }
  return { fd: state.handle.fd, info: { kind: 'dgram', type, connected: state.connectState === CONNECTED } }
}

/** The value of an own property whose key is a symbol that nobody else has. */
export function hidden(object: object, description: string): unknown {
  const key = Object.getOwnPropertySymbols(object).find((symbol) => symbol.description === description)
  return key === undefined ? undefined : (object as Record<symbol, unknown>)[key]
}

/** The native half of a FileHandle; null in a closed one, where its class can still be told by what it inherits. */
function isNativeHandle(handle: unknown): boolean {
  if (handle === null) return true
  const C = (handle as object | undefined)?.constructor
  return (
    typeof C === 'function' && C.name === 'FileHandle' && /\[native code\]/.test(Function.prototype.toString.call(C))
  )
}
