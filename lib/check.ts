// Argument checks. Each throws at once, in the caller, and names the argument, what was expected and what came.
import { inspect } from 'node:util'

function received(value: unknown): string {
  if (value === null || value === undefined) return `received ${value}`
  if (typeof value === 'function') return `received function ${value.name || '(anonymous)'}`
  if (typeof value === 'object') return `received an instance of ${value.constructor?.name ?? 'Object'}`
  return `received ${typeof value} (${inspect(value).slice(0, 60)})`
}

/** `argument "name" must be a number; received string ('x')`, code ERR_INVALID_ARG_TYPE. */
export function invalidType(name: string, expected: string, value: unknown): TypeError {
  const error = new TypeError(`argument "${name}" must be ${expected}; ${received(value)}`)
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' })
}
/** The type is right, the value is not one of those allowed: code ERR_INVALID_ARG_VALUE. */
export function invalidValue(name: string, expected: string, value: unknown): TypeError {
  const error = new TypeError(`argument "${name}" must be ${expected}; received ${inspect(value).slice(0, 60)}`)
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' })
}
/** A number outside its range: code ERR_OUT_OF_RANGE. */
export function outOfRange(name: string, expected: string, value: unknown): RangeError {
  const error = new RangeError(`argument "${name}" must be ${expected}; received ${inspect(value)}`)
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' })
}

export function checkFunction(name: string, value: unknown): asserts value is (...args: any[]) => unknown {
  if (typeof value !== 'function') throw invalidType(name, 'a function', value)
}
export function checkString(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw invalidType(name, 'a string', value)
}
export function checkBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw invalidType(name, 'a boolean', value)
}
export function checkInteger(name: string, value: unknown, min: number, max: number): asserts value is number {
  if (typeof value !== 'number') throw invalidType(name, 'an integer', value)
  if (!Number.isInteger(value) || value < min || value > max)
    throw outOfRange(name, `an integer from ${min} to ${max}`, value)
}
export function checkFlags(name: string, value: unknown): asserts value is readonly string[] {
  if (!Array.isArray(value) || !value.every((flag) => typeof flag === 'string'))
    throw invalidType(name, 'an array of strings', value)
}
/** An options bag: undefined counts as empty; anything but an object is refused. */
export function checkOptions(name: string, value: unknown): asserts value is object | undefined {
  if (value !== undefined && (typeof value !== 'object' || value === null)) throw invalidType(name, 'an object', value)
}
