// What a task threw, on its way home. It always arrives: as it was, or, where it cannot be carried or rebuilt, as a RemoteError
// with what can be said of it. Nothing here throws.
//
//   body   [name, message, stack, code, is it a DOMException?, bytes of the value]      the bytes: null if it cannot be carried
import { RemoteError } from '../errors'
import { decode, decodeAtOnce, encode } from '../serialize'
import { type Body, bytesBody } from './lane'

type Described = [name: string, message: string, stack: string, code: string | number | null, dom: boolean]

/** Properties of errors whose classes are the package's own, or the user's, travel with them. */
export function encodeFailure(error: unknown): Body {
  const described = describeFailure(error)
  const holds: number[] = []
  let carried: Uint8Array | null = null
  try {
    carried = encode(error, { name: 'error', hold: (offset) => holds.push(offset) })
  } catch {
    holds.length = 0
  }
  return { ...bytesBody(encode([...described, carried], { name: 'failure' })), holds }
}

/** How the value that was thrown is read. */
interface Reading {
  decodeAtOnce(bytes: Uint8Array): { value: unknown } | undefined
  decode(bytes: Uint8Array): Promise<unknown>
}

/** The error that body says; `where`: which worker it was. */
export function decodeFailure(
  body: unknown,
  where: string,
  by: Reading = { decodeAtOnce, decode },
): unknown | Promise<unknown> {
  if (!Array.isArray(body)) return new RemoteError(`a malformed error came from ${where}`)
  const [name, message, stack, code, dom, carried] = body as [...Described, Uint8Array | null]
  const fallback = (): unknown => {
    if (dom) return withStack(new DOMException(String(message), String(name)), stack, where)
    const error = new RemoteError(String(message))
    Object.assign(error, { remoteName: name, remoteStack: stack, ...(code !== null && { remoteCode: code }) })
    Object.defineProperty(error, 'stack', { value: `RemoteError: ${stack}`, configurable: true, writable: true })
    return error
  }
  if (!ArrayBuffer.isView(carried)) return fallback()
  try {
    const decoded = by.decodeAtOnce(carried)
    if (decoded !== undefined) return withStack(decoded.value, stack, where)
    return by.decode(carried).then((error) => withStack(error, stack, where), fallback)
  } catch {
    return fallback()
  }
}

function withStack(error: unknown, stack: string, where: string): unknown {
  if (!(error instanceof Error)) return error
  try {
    Object.defineProperty(error, 'remoteStack', { value: stack, configurable: true, writable: true })
    if (!('cause' in error)) {
      const cause = new RemoteError(`thrown in ${where}`)
      Object.defineProperty(cause, 'stack', { value: stack, configurable: true, writable: true })
      Object.defineProperty(error, 'cause', { value: cause, configurable: true, writable: true })
    }
  } catch {
    // it is frozen
  }
  return error
}

/** What can be said of an error in plain values. */
export function describeFailure(error: unknown): Described {
  const read = (key: string): unknown => {
    try {
      return (error as Record<string, unknown>)[key]
    } catch {
      return undefined
    }
  }
  const text = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise)
  if (typeof error !== 'object' || error === null) {
    const said = safeString(error)
    return ['', said, said, null, false]
  }
  const constructor = read('constructor') as { name?: unknown } | undefined
  const name = text(read('name'), text(constructor?.name, 'Error'))
  const message = text(read('message'), safeString(error))
  const code = read('code')
  const dom = typeof DOMException === 'function' && error instanceof DOMException
  return [
    name,
    message,
    text(read('stack'), `${name}: ${message}`),
    typeof code === 'string' || (typeof code === 'number' && Number.isFinite(code)) ? code : null,
    dom,
  ]
}

function safeString(value: unknown): string {
  try {
    return String(value)
  } catch {
    return 'a value that cannot be shown'
  }
}
