// What a starting child is given, in forms that it can read before the package is loaded: the ticket in its environment,
// and the parts of its parcel. No imports: this is part of the child's entry, too.

/** What the child needs to find its parcel, and to load the addon and the package without looking for them. */
export interface Ticket {
  rootId: string
  slot: number
  generation: number
  daemon: boolean
  parentPid: number
  /** The root's descriptor; on Windows, which passes none on: its handle in the parent. */
  root: number
  /** Path of the native addon. */
  addon: string
}

/** Where the child finds the root's descriptor. */
export const ROOT_FD = 3
/** How long a child that is no daemon outlives a parent that was killed, ms: time to notice by parentProcess().join(). */
export const ORPHAN_GRACE_MS = 2000

export function writeTicket(t: Ticket): string {
  return JSON.stringify([t.rootId, t.slot, t.generation, t.daemon, t.parentPid, t.root, t.addon])
}
export function readTicket(text: string): Ticket {
  const [rootId, slot, generation, daemon, parentPid, root, addon] = JSON.parse(text)
  return { rootId, slot, generation, daemon, parentPid, root, addon }
}

/** In the place of compiled code: this process is to be copied, so all of the package is compiled now, and stays. */
export const COMPILE_ALL = new Uint8Array(0)

/** Whatever is loaded meanwhile is compiled whole. */
export function compileAll(load: () => void): void {
  const { setFlagsFromString } = process.getBuiltinModule('node:v8')
  setFlagsFromString('--no-lazy')
  setFlagsFromString('--no-flush-bytecode')
  load()
  setFlagsFromString('--lazy')
}

/** One run of bytes, each part after its length. */
export function joinParts(parts: readonly Uint8Array[]): Uint8Array {
  const lengths = parts.map((part) => {
    const bytes = Buffer.allocUnsafe(4)
    bytes.writeUInt32LE(part.byteLength)
    return bytes
  })
  return Buffer.concat(parts.flatMap((part, i) => [lengths[i]!, part]))
}
export function splitParts(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const parts: Uint8Array[] = []
  for (let at = 0; at < bytes.byteLength; ) {
    const length = view.getUint32(at, true)
    parts.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return parts
}

/** The package as a script that V8 can take from compiled code. The same text on both sides, or V8 refuses it. */
export function packageScript(file: string, cachedData?: Uint8Array): import('node:vm').Script {
  const { readFileSync } = process.getBuiltinModule('node:fs')
  const { Script } = process.getBuiltinModule('node:vm')
  const source = `(function (exports, require, module, __filename, __dirname, multiprocScript) {${readFileSync(file, 'latin1')}\n})` // the build writes ASCII
  return new Script(source, { filename: file, ...(cachedData && { cachedData: Buffer.from(cachedData) }) })
}
