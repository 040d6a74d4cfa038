// The life of a started child: find the parcel, become somebody, load user code, run it.
//
//   receive ──▶ becomeChild ──▶ load (guarded: nothing may be started) ──▶ run() ──▶ the loop drains ──▶ exit hooks
import { decode } from '../../serialize'
import { importMain } from '../../serialize/main-import'
import { makeContexts } from '../context'
import { becomeChild } from '../current'
import { whileLoading } from '../guard'
import { readTicket, receive, type Ticket } from '../parcel'
import { Process } from '../process'
import { registry } from '../registry'
import { inheritStartMethod } from '../start/default'
import { arrive, type Body, type Header, splitParcel } from '../travel'
import { bindToParent, die, watchParent } from './parent-watch'
import { reportUncaught } from './report'

/** @internal The whole of a child. `text` is the ticket that its parent put into the environment. */
export function runChild(text: string): void {
  const ticket = readTicket(text)
  bindToParent(ticket)
  const bytes = parcelOf(ticket)
  const { header, body } = splitParcel(bytes)
  becomeChild(header)
  inheritStartMethod(header.method)
  makeContexts()
  watchParent(ticket, header.daemon)
  reportUncaught()
  // An error is thrown outside of any promise: as one of the main program, so that the program's own handlers see it.
  live(header, body).catch((error) => process.nextTick(() => raise(error)))
}

function parcelOf(ticket: Ticket): Uint8Array {
  try {
    const bytes = receive(ticket)
    if (bytes !== null) return bytes
  } catch (error) {
    if (process.ppid === ticket.parentPid) throw error
  }
  return die() // the parent was killed meanwhile: nobody is left to tell
}

async function live(header: Header, bytes: Uint8Array): Promise<void> {
  // A pending promise does not keep the event loop alive by itself, and run() may be nothing but one.
  const alive = setInterval(() => {}, 2 ** 30)
  try {
    const body = await whileLoading(() => load(header, bytes))
    registry.current = arrive(header, body, Process)
    await registry.current.run()
  } finally {
    clearInterval(alive)
  }
}

async function load(header: Header, bytes: Uint8Array): Promise<Body> {
  if (header.main === 'import' && header.mainUrl !== undefined) await importMain(header.mainUrl)
  return (await decode(bytes)) as Body
}

function raise(error: unknown): never {
  throw error
}
