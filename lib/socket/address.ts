// Addresses: what users write, what the system takes, and what errors say.
import { binding } from '../binding'
import { checkInteger, invalidType, invalidValue } from '../check'
import { UnsupportedError } from '../errors'
import { until } from './waits'

/**
 * Where a Listener is: `[host, port]` for TCP; a path for a unix socket; `'\0name'` for one in Linux's abstract namespace;
 * `'\\\\.\\pipe\\name'` on Windows.
 */
export type Address = string | readonly [host: string, port: number]

/** CPython's names. AF_INET: TCP, over IPv6 too if the address says so. */
export type Family = 'AF_INET' | 'AF_UNIX' | 'AF_PIPE'

/** An address as the addon takes it, once its host is an IP literal. `port` < 0: `name` is a path. */
export interface Place {
  readonly name: string
  readonly port: number
}

/** Windows: this machine's pipes, or for connect() another's. */
const PIPE = /^(?=.{1,256}$)\\\\[^\\/]+\\pipe\\[^\\]+$/i

export function familyOf(address: Address): Family {
  if (typeof address !== 'string') return 'AF_INET'
  return address.startsWith('\\\\') ? 'AF_PIPE' : 'AF_UNIX'
}

export function checkFamily(name: string, family: unknown): asserts family is Family {
  if (typeof family !== 'string') throw invalidType(name, 'a string', family)
  if (family !== 'AF_INET' && family !== 'AF_UNIX' && family !== 'AF_PIPE')
    throw invalidValue(name, "'AF_INET', 'AF_UNIX' or 'AF_PIPE'", family)
  checkPlatform(name, family, family)
}

/** Checks an address. Its host, if it has one, may still be a name. */
export function checkAddress(name: string, address: unknown): Place {
  if (Array.isArray(address)) {
    if (address.length !== 2) throw invalidValue(name, 'a pair [host, port]', address)
    const [host, port] = address
    if (typeof host !== 'string') throw invalidType(`${name}[0]`, 'a string', host)
    if (host.includes('\0')) throw invalidValue(`${name}[0]`, 'a host without a zero character', host)
    checkInteger(`${name}[1]`, port, 0, 65_535)
    return { name: host, port }
  }
  if (typeof address !== 'string') throw invalidType(name, 'a path or a pair [host, port]', address)
  if (address === '' || address.indexOf('\0', 1) >= 0)
    throw invalidValue(name, 'a path that is not empty and has no zero character but the first', address)
  checkPlatform(name, familyOf(address), address)
  if (familyOf(address) === 'AF_PIPE' && !PIPE.test(address))
    throw invalidValue(name, "the name of a pipe, '\\\\.\\pipe\\name', of at most 256 characters", address)
  if (address[0] === '\0' && process.platform !== 'linux' && process.platform !== 'android')
    throw new UnsupportedError('abstract sockets exist on Linux only: give a path')
  return { name: address, port: -1 }
}

function checkPlatform(name: string, family: Family, value: string): void {
  if (family === 'AF_PIPE' && process.platform !== 'win32')
    throw invalidValue(name, 'a path or a pair [host, port] (named pipes exist on Windows only)', value)
  if (family === 'AF_UNIX' && process.platform === 'win32')
    throw new UnsupportedError(
      "there are no unix sockets on Windows: give a pipe, '\\\\.\\pipe\\name', or a pair [host, port]",
    )
}

/** The place if no name server has to be asked: IP literals, localhost (127.0.0.1, as CPython has it), '' (all), paths. */
export function literal(place: Place): Place | undefined {
  if (place.port < 0) return place
  if (place.name === 'localhost') return { name: '127.0.0.1', port: place.port }
  if (place.name === '') return { name: '0.0.0.0', port: place.port }
  return process.getBuiltinModule('node:net').isIP(place.name) === 0 ? undefined : place
}

/** All places that the host of a place is at. Throws ENOTFOUND. */
export async function resolve(
  place: Place,
  deadline: number,
  signal: AbortSignal | undefined,
): Promise<readonly Place[]> {
  const known = literal(place)
  if (known !== undefined) return [known]
  let found: readonly Place[] = []
  let failure: Error | null = null
  await until(
    (callback) => {
      process.getBuiltinModule('node:dns').lookup(place.name, { all: true, verbatim: true }, (error, addresses) => {
        failure = error
        found = (addresses ?? []).map(({ address }) => ({ name: address, port: place.port }))
        callback()
      })
      return () => {}
    },
    deadline,
    signal,
    `the address of ${place.name} was not found in time`,
  )
  if (failure !== null) throw failure
  return found
}

/** As resolve(). Blocks, and no time-out ends it. */
export function resolveSync(place: Place): readonly Place[] {
  const known = literal(place)
  if (known !== undefined) return [known]
  const found = [...new Set(binding().hostAddresses(place.name))]
  if (found.length === 0)
    throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${place.name}`), {
      code: 'ENOTFOUND',
      errno: -3008,
      syscall: 'getaddrinfo',
      hostname: place.name,
    })
  return found.map((name) => ({ name, port: place.port }))
}

/** `'/path'`, `'\0name'` or `host:port`. */
export function describe({ name, port }: Place): string {
  if (port < 0) return JSON.stringify(name)
  return name.includes(':') ? `[${name}]:${port}` : `${name}:${port}`
}

/** A failure of the system says where. */
export function at<T>(place: Place, call: () => T): T {
  try {
    return call()
  } catch (error) {
    const failure = error as NodeJS.ErrnoException & { address?: string; port?: number }
    if (failure.syscall !== undefined) {
      failure.message += ` ${describe(place)}`
      failure.address = place.name
      if (place.port >= 0) failure.port = place.port
    }
    throw error
  }
}
