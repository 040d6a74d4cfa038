// What a child is to run, as bytes; and the shared objects in it, held by the child's slot.
import { encode } from '../../serialize'
import { mainUrl } from '../is-main'
import { holdFor, type Seat } from '../parcel'
import type { Process } from '../process'
import { travelling } from '../travel'
import type { Launch } from './method'

/** Throws SerializationError. */
export function pack(process_: Process, launch: Launch, seat: Seat): { header: Uint8Array; body: Uint8Array } {
  const { header, body } = travelling(process_, launch, mainUrl())
  return {
    header: Buffer.from(JSON.stringify(header), 'utf8'),
    body: encode(body, {
      name: '',
      items: ['class', 'this', 'target', 'args'],
      ...(launch.main === undefined ? {} : { main: launch.main }),
      hold: (offset: number) => holdFor(seat, offset),
    }),
  }
}
