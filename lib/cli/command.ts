// What a subcommand of `npx multiproc` is: one file each, entered in main.ts.
import type { ParseArgsConfig } from 'node:util'
import type { Output } from './output'

export interface Command {
  readonly name: string
  /** One line, for the list of commands. */
  readonly summary: string
  /** What follows `multiproc name`, for its usage. */
  readonly usage: string
  /** Lines about options and examples. */
  readonly help: readonly string[]
  readonly options: NonNullable<ParseArgsConfig['options']>
  /** Gives the exit code: 0, or 1 where it found what it was asked to look for. */
  run(call: Call): number | Promise<number>
}

export interface Call {
  readonly values: Readonly<Record<string, unknown>>
  readonly out: Output
}

/** The user has written something that cannot be: exit code 2. */
export class UsageError extends Error {}
/** It cannot be done here, for reasons that are no bug: exit code 1, without a stack. */
export class CommandError extends Error {}

/** A number of an option. Throws UsageError. */
export function numberOption(name: string, value: unknown, least: number, otherwise: number): number {
  if (value === undefined) return otherwise
  const number = Number(value)
  if (!Number.isFinite(number) || number < least)
    throw new UsageError(`--${name} must be a number of at least ${least}, not '${value}'`)
  return number
}
/** The pid of `--pid`, if it was given. Throws UsageError. */
export function pidOption(value: unknown): number | undefined {
  if (value === undefined) return undefined
  const pid = numberOption('pid', value, 1, 0)
  if (!Number.isInteger(pid)) throw new UsageError(`--pid must be a whole number, not '${value}'`)
  return pid
}
