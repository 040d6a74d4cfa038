// The options of shared values (`lock`, `name`) and what objects remember of them.
import { checkOptions, checkString, invalidType } from '../check'
import { Lock, RLock } from '../sync'
import type { ValueOptions } from './types'

/** true: a lock of its own in the block; false: none; else the lock that was given. */
export type LockChoice = boolean | Lock | RLock

export interface Settings {
  lock: LockChoice
  name: string | undefined
}

const DEFAULT: Settings = { lock: true, name: undefined }
const RAW: Settings = { lock: false, name: undefined }

export function settingsOf(options: ValueOptions | undefined): Settings {
  if (options === undefined) return DEFAULT
  checkOptions('options', options)
  const { lock = true } = options
  if (typeof lock !== 'boolean' && !isLock(lock))
    throw invalidType('options.lock', 'a boolean, a Lock or an RLock', lock)
  return { lock, name: nameOf(options) }
}

/** The options of RawValue and RawArray: there is no lock. */
export function rawSettingsOf(options: { name?: string } | undefined): Settings {
  if (options === undefined) return RAW
  checkOptions('options', options)
  if ((options as ValueOptions).lock)
    throw invalidType('options.lock', 'absent (raw values have no lock)', (options as ValueOptions).lock)
  return { lock: false, name: nameOf(options) }
}

export function isLock(value: unknown): value is Lock | RLock {
  return value instanceof Lock || value instanceof RLock
}

function nameOf(options: { name?: string }): string | undefined {
  if (options.name !== undefined) checkString('options.name', options.name)
  return options.name
}
