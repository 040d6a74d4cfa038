// How a shared object is called in messages of other processes: its name, or else where it was made. 32 bytes beside it.
import { inWindow, viewsAt } from '../memory'

const BYTES = 32

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
  Error.stackTraceLimit = 1
  Error.captureStackTrace(holder, constructor)
  Error.stackTraceLimit = limit
  const [, site = 'an unknown place'] = /([^/\\(\s]+:\d+):\d+\)?$/.exec(String(holder.stack)) ?? []
  return site.slice(-(BYTES - 2))
}
