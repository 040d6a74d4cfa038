// Shared objects as text, for channels that are not ours: plain worker threads, an environment variable, a message of cluster.

import { checkString, invalidType, invalidValue } from './check'
import { MultiprocError, SerializationError, UnsupportedError } from './errors'
import { attach } from './memory'
import { decodeSync, encode, SHARED } from './serialize'
import { isSharedBuffer } from './serialize/shared'
import { JSON_GRAPH } from './serialize/wire'

const PREFIX = 'multiproc'
/** All that a handle may consist of: nothing that runs code. */
const ALLOWED = new Set(['shared', 'sharedBuffer', 'view', 'object', 'array'])

/**
 * A shared object as text that `fromHandle` in another thread or process of this program turns into the same object on the same
 * memory. It holds nothing: it is valid for as long as somebody, anywhere, holds the object. Does not block. Throws TypeError for
 * what is not shared, ClosedError for what is closed.
 */
export function toHandle(object: object): string {
  const shared =
    typeof object === 'object' &&
    object !== null &&
    (typeof (object as { [SHARED]?: unknown })[SHARED] === 'string' ||
      (ArrayBuffer.isView(object) && isSharedBuffer(object.buffer)))
  if (!shared) throw invalidType('object', 'a shared object (a Value, Lock, Queue, Connection …)', object)
  const { rootId } = attach()
  const bytes = encode(object, { name: 'object' })
  if (bytes[0] !== JSON_GRAPH) throw new SerializationError('this object cannot be named by a handle')
  return `${PREFIX}:${rootId}:${Buffer.from(bytes).toString('base64url')}`
}

/**
 * The object behind a handle of `toHandle`. Does not block. Throws TypeError for what is no handle, `ERR_MP_GONE` when nobody holds
 * the object any more, UnsupportedError for a handle of processes that do not share memory with this one (those that
 * `Process` and `Pool` start do, and all worker threads).
 */
export function fromHandle<T extends object = any>(handle: string): T {
  checkString('handle', handle)
  const [prefix, root, text, more] = handle.split(':')
  if (prefix !== PREFIX || !root || !text || more !== undefined)
    throw invalidValue('handle', 'a text that toHandle() gave', handle)
  if (attach().rootId !== root)
    throw new UnsupportedError('the handle is of another program: its memory is not shared with this process')
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'))
  check(bytes, handle)
  try {
    return decodeSync(bytes) as T
  } catch (error) {
    // What was wrong with the memory, rather than with the message.
    const cause = (error as Error).cause
    throw error instanceof SerializationError && cause instanceof MultiprocError ? cause : error
  }
}

function check(bytes: Uint8Array, handle: string): void {
  let graph: any
  try {
    graph = bytes[0] === JSON_GRAPH ? JSON.parse(Buffer.from(bytes.subarray(1)).toString('utf8')) : undefined
  } catch {}
  if (
    !Array.isArray(graph?.nodes) ||
    graph.modules?.length !== 0 ||
    !graph.nodes.every((node: any) => ALLOWED.has(node?.t))
  )
    throw invalidValue('handle', 'a text that toHandle() gave', handle)
}
