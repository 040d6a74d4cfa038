#!/usr/bin/env node
// The command `npx multiproc`: which subcommand, its options, its exit code. Each subcommand has a file of its own.
//
//   exit codes   0 done · 1 found what was looked for, or it cannot be done here · 2 wrong arguments
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../binding'
import { bench } from './bench'
import { clean } from './clean'
import { type Command, CommandError, UsageError } from './command'
import { doctor } from './doctor'
import { locks } from './locks'
import { Output } from './output'
import { ps } from './ps'
import { worker } from './worker'

const COMMANDS: readonly Command[] = [ps, locks, clean, doctor, bench, worker]

const out = new Output(process.stdout)

// A reader that has seen enough (`| head`) is no error.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 1)
  })

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    process.exitCode = fail(error)
  },
)

async function main(args: readonly string[]): Promise<number> {
  const [first, ...rest] = args
  if (first === undefined || first === '--help' || first === '-h' || (first === 'help' && rest.length === 0)) {
    overview()
    return first === undefined ? 2 : 0
  }
  if (first === '--version' || first === '-v') {
    out.line(require(join(packageRoot, 'package.json')).version)
    return 0
  }
  const name = first === 'help' ? rest[0]! : first
  const command = COMMANDS.find((each) => each.name === name)
  if (command === undefined)
    throw new UsageError(`there is no command '${name}'; there are ${COMMANDS.map((each) => each.name).join(', ')}`)
  if (first === 'help') return help(command)
  const { values } = parse(command, rest)
  if (values.help === true) return help(command)
  return await command.run({ values, out })
}

function parse(command: Command, args: string[]): { values: Record<string, unknown> } {
  try {
    return parseArgs({ args, options: { ...command.options, help: { type: 'boolean', short: 'h' } } })
  } catch (error) {
    throw new UsageError(
      `${(error as Error).message.replace(/\. To specify a positional.*$/s, '')} (see multiproc ${command.name} --help)`,
    )
  }
}

function overview(): void {
  out.line('multiproc: see inside running programs, and tidy up after dead ones\n')
  out.line('Usage: multiproc COMMAND [OPTIONS]\n')
  out.table(COMMANDS.map(({ name, summary }) => [name, summary]))
  out.line('\n  multiproc COMMAND --help   options and examples of one of them')
  out.line('  multiproc --version\n')
  out.line('Exit codes: 0 done; 1 something was found, or cannot be done here; 2 wrong arguments.')
}

function help({ name, summary, usage, help }: Command): number {
  out.line(`multiproc ${name}: ${summary}\n`)
  out.line(`Usage: multiproc ${name}${usage === '' ? '' : ` ${usage}`}\n`)
  for (const line of help) out.line(line)
  return 0
}

function fail(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`multiproc: ${error.message}\n`)
    return 2
  }
  if (error instanceof CommandError || typeof (error as NodeJS.ErrnoException)?.code === 'string') {
    process.stderr.write(`multiproc: ${(error as Error).message}\n`)
    return 1
  }
  throw error
}
