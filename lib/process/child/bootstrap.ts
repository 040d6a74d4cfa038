// The life of a started child: become somebody, load user code, run it.
//
//   entry.ts ──▶ becomeChild ──▶ load (guarded: nothing may be started) ──▶ run() ──▶ the loop drains ──▶ exit hooks
import { binding, useAddon } from '../../binding'
import { attach } from '../../memory'
import { decode, decodeAtOnce } from '../../serialize'
import { importMain } from '../../serialize/main-import'
import { whenMissing } from '../../serialize/shared'
import { makeContexts } from '../context'
import { becomeChild } from '../current'
import { doneLoading, whileLoading } from '../guard'
import { Process } from '../process'
import { registry } from '../registry'
import { inheritStartMethod } from '../start/default'
import type { Ticket } from '../ticket'
import { arrive, type Body, type Header } from '../travel'
import { watchParent } from './parent-watch'
import { reportUncaught } from './report'

/** @internal The whole of a child, once it has its parcel (entry.ts). */
export function runChild(ticket: Ticket, headerBytes: Uint8Array, body: Uint8Array): void {
  const header: Header = JSON.parse(Buffer.from(headerBytes).toString('utf8'))
  useAddon(ticket.addon)
  attach(0)
  binding().setName(header.name)
  becomeChild(header)
  inheritStartMethod(header.method)
  whenMissing(makeContexts)
  watchParent()
  reportUncaught()
  // An error is thrown outside of any promise: as one of the main program, so that the program's own handlers see it.
  live(header, body).catch((error) => process.nextTick(() => raise(error)))
}

async function live(header: Header, bytes: Uint8Array): Promise<void> {
  // Without modules to import no user code is loaded that could leave anything behind.
  const known = header.main === 'import' ? undefined : decodeAtOnce(bytes)
  const body = known === undefined ? await keptAlive(whileLoading(() => load(header, bytes))) : (known.value as Body)
  doneLoading()
  registry.current = arrive(header, body, Process)
  const running = registry.current.run()
  if (running instanceof Promise || typeof (running as PromiseLike<unknown> | undefined)?.then === 'function')
    await keptAlive(running)
}

/** A pending promise does not keep the event loop alive by itself, and run() may be nothing but one. */
async function keptAlive<T>(promise: T | PromiseLike<T>): Promise<T> {
  const alive = setInterval(() => {}, 2 ** 30)
  try {
    return await promise
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
