// How a shared object is called in messages of other processes: its name, or else where it was made. 32 bytes beside it.
import { sep } from 'node:path'
import { inWindow, viewsAt } from '../memory'

const BYTES = 32
/** What is called there is ours: the stand-in of a class (lib/chunks.ts), or an object that makes another one. */
const OURS = __dirname + sep
/** More of the stack costs more time: they are looked at where the first is not enough. */
const FRAMES = [2, 12]

/** `name`; or the file and line that call `constructor`, after an @. */
export function writeLabel(offset: number, name: string | undefined, constructor: unknown): void {
  const bytes = Buffer.from(name ?? `@${whereMade(constructor as () => void)}`, 'utf8')
  const { u8 } = viewsAt(offset)
  u8.set(bytes.subarray(0, BYTES - 1), inWindow(offset))
}

/** `server.mjs:12`, as V8 says it; the end of it where it is too long. */
function whereMade(constructor: () => void): string {
  const limit = Error.stackTraceLimit
  let frame: string | undefined
  for (const frames of FRAMES) {
    const holder: { stack?: string } = {}
    Error.stackTraceLimit = frames
    Error.captureStackTrace(holder, constructor)
    Error.stackTraceLimit = limit
    frame = String(holder.stack)
      .split('\n')
      .slice(1)
      .find((line) => !line.includes(OURS))
    if (frame !== undefined) break
  }
  const [, site = 'an unknown place'] = /([^/\\(\s]+:\d+):\d+\)?$/.exec(frame ?? '') ?? []
  return site.slice(-(BYTES - 2))
}
