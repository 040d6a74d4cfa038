// Failures of the operating system, in Node's form.
import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'

/** An error of the operating system, in Node's form: `code` (`'ENOSPC'`), `errno` (negative), `syscall`. */
export function systemErrorOf(number: number, syscall: string): NodeJS.ErrnoException {
  const errno = process.platform === 'win32' ? numberOfNode(number) : number
  const [code, message] = getSystemErrorMap().get(errno) ?? [`E${-errno}`, 'unknown error']
  return Object.assign(new Error(`${code}: ${message}, ${syscall}`), { code, errno, syscall })
}

/** On Windows Node has numbers of its own for errors: the C library's are looked up by their names. */
function numberOfNode(errno: number): number {
  const name = Object.entries(constants.errno).find(([, number]) => number === -errno)?.[0]
  for (const [number, [code]] of getSystemErrorMap()) if (code === name) return number
  return errno
}
