// How a child tells of an error that nobody caught: as Python does, with the name of the process, and exit code 1.
import { inspect } from 'node:util'
import { registry } from '../registry'

/** From here on an uncaught error is printed with the process's name, unless the program has a handler of its own. */
export function reportUncaught(): void {
  process.on('uncaughtException', (error) => {
    if (process.listenerCount('uncaughtException') > 1) return
    try {
      process.stderr.on('error', () => {}) // nobody reads it any more
      process.stderr.write(`Process ${registry.current.name}:\n${describe(error)}\n`)
    } catch {
      // there is no way to tell
    }
    process.exit(1)
  })
}

function describe(error: unknown): string {
  try {
    return inspect(error)
  } catch {
    return 'an error that cannot be shown'
  }
}
