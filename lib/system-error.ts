// Failures of the operating system, in Node's form.
import { getSystemErrorMap } from 'node:util'

/** An error of the operating system, in Node's form: `code` (`'ENOSPC'`), `errno` (negative), `syscall`. */
export function systemErrorOf(errno: number, syscall: string): NodeJS.ErrnoException {
  const [code, message] = getSystemErrorMap().get(errno) ?? [`E${-errno}`, 'unknown error']
  return Object.assign(new Error(`${code}: ${message}, ${syscall}`), { code, errno, syscall })
}
