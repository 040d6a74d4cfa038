// Names of segments, as CPython has them.
import { binding } from '../binding'
import { checkString, invalidValue } from '../check'

/** As CPython's: 14 characters with the slash, which is what some systems allow. */
export function randomName(): string {
  return `psm_${Buffer.from(binding().randomBytes(4)).toString('hex')}`
}

/** Throws for what can be no name. A slash at the front does not count. */
export function checkName(argument: string, name: unknown): asserts name is string {
  checkString(argument, name)
  const bare = name.replace(/^\/+/, '')
  if (bare === '' || bare === '.' || bare === '..' || /[/\0]/.test(bare) || Buffer.byteLength(bare) > 255)
    throw invalidValue(argument, "a name of 1 to 255 bytes without '/' and NUL", name)
}
