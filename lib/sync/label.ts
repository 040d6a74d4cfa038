// How a shared object is called in messages of other processes: its name, or else where it was made. 32 bytes beside it.
import { join } from 'node:path'
import { inWindow, viewsAt } from '../memory'

const BYTES = 32
/** The user calls a stand-in, which calls the constructor (lib/chunks.ts). */
const STAND_INS = join(__dirname, 'multiproc.cjs')

/** `name`; or the file and line that call `constructor`, after an @. */
export function writeLabel(offset: number, name: string | undefined, constructor: unknown): void {
  const bytes = Buffer.from(name ?? `@${whereMade(constructor as () => void)}`, 'utf8')
  const { u8 } = viewsAt(offset)
  u8.set(bytes.subarray(0, BYTES - 1), inWindow(offset))
}

/** `server.mjs:12`, as V8 says it; the end of it where it is too long. */
function whereMade(constructor: () => void): string {
  const limit = Error.stackTraceLimit
  const holder: { stack?: string } = {}
  Error.stackTraceLimit = 2
  Error.captureStackTrace(holder, constructor)
  Error.stackTraceLimit = limit
  const frame = String(holder.stack)
    .split('\n')
    .slice(1)
    .find((line) => !line.includes(STAND_INS))
  const [, site = 'an unknown place'] = /([^/\\(\s]+:\d+):\d+\)?$/.exec(frame ?? '') ?? []
  return site.slice(-(BYTES - 2))
}
