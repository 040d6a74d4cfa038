// Errors on their way from the server to a client: class, properties and remote stack. They always arrive: as they were, or, where
// they cannot be carried or rebuilt, as a RemoteError with what can be said of them.
import { RemoteError } from '../errors'
import { decodeFailure, describeFailure } from '../pool/failure'
import { decode, encode } from '../serialize'
import { decodeData, isData } from '../serialize/data-only'

/** `network`: nothing goes that the other side would refuse. */
export function writeFailure(error: unknown, network: boolean): unknown[] {
  let carried: Uint8Array | null = null
  try {
    const bytes = encode(error, { name: 'error' })
    if (!network || isData(bytes)) carried = bytes
  } catch {
    // its description goes
  }
  return [...describeFailure(error), carried]
}

export function readFailure(body: unknown, network: boolean): unknown | Promise<unknown> {
  return decodeFailure(body, 'the server of the manager', network ? { decodeAtOnce: atOnce, decode } : undefined)
}

function atOnce(bytes: Uint8Array): { value: unknown } | undefined {
  return { value: decodeData(bytes) }
}

/** What a thread that waits for a failure cannot wait for. */
export function readFailureSync(body: unknown, network: boolean): unknown {
  const error = readFailure(body, network)
  if (!(error instanceof Promise)) return error
  error.catch(() => {})
  const [name, message, stack] = body as unknown[]
  return Object.assign(new RemoteError(String(message)), { remoteName: name, remoteStack: stack })
}
