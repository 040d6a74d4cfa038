// The areas of memory through which records pass to and from the addon, one set for each thread.
//
//   out   records to be put           JavaScript writes, channelPut copies into the channel
//   into  records to be taken         channelTake copies out of the channel, JavaScript reads them, channelCommit takes them
//   info  what else a call tells
//
//   record   u32 length · u32 what · bytes, up to a multiple of 8
import { binding } from '../binding'
import { attach } from '../memory'
import { type Area, area } from '../serialize/flat'

export const HEAD = 8
/** In a record: a value, or bytes as they are. */
export const VALUE = 1
export const BYTES = 2

const OUT_BYTES = 64 << 10
const INTO_BYTES = 1 << 20

interface Areas {
  out: Area
  outWords: Uint32Array
  into: Area
  intoWords: Uint32Array
  info: Float64Array
  maxInline: number
}

let made: Areas | undefined

export function areas(): Areas {
  made ??= make()
  return made
}

function make(): Areas {
  attach()
  const out = new ArrayBuffer(OUT_BYTES)
  const into = new ArrayBuffer(INTO_BYTES)
  const info = new Float64Array(4)
  binding().channelAreas(new Uint8Array(out), new Uint8Array(into), info)
  return {
    out: area(out),
    outWords: new Uint32Array(out),
    into: area(into),
    intoWords: new Uint32Array(into),
    info,
    maxInline: binding().maxInline,
  }
}

/** The bytes that a record of so long a message takes. */
export function recordBytes(length: number): number {
  return HEAD + ((length + 7) & ~7)
}
