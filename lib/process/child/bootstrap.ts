// A started child becomes somebody, then runs; or becomes the template from which others are copied.
//
//   entry.ts ──▶ becomeChild ──▶ life.ts: load, run() ──▶ the loop drains ──▶ exit hooks
//                           └──▶ template.ts
import { useAddon } from '../../binding'
import { loadChunks, useCompiledChunks } from '../../chunks'
import { inherit } from '../../log/log'
import { attach } from '../../memory'
import { whenMissing } from '../../serialize/shared'
import { makeContexts } from '../context'
import { becomeChild } from '../current'
import { inheritStartMethod } from '../start/default'
import { compileAll, type Ticket } from '../ticket'
import { type Header, introduce } from '../travel'
import { live, raiseLater } from './life'
import { watchParent } from './parent-watch'
import { reportUncaught } from './report'
import { serveTemplate } from './template'

/** @internal The whole of a child, once it has its parcel (entry.ts). */
export function runChild(
  ticket: Ticket,
  headerBytes: Uint8Array,
  body: Uint8Array,
  codes: readonly Uint8Array[],
): void {
  useCompiledChunks(codes)
  const header: Header = JSON.parse(Buffer.from(headerBytes).toString('utf8'))
  useAddon(ticket.addon)
  attach(0)
  introduce(header)
  becomeChild(header)
  inheritStartMethod(header.method)
  inherit(header.log)
  whenMissing(makeContexts)
  if (header.template) {
    compileAll(loadChunks)
    serveTemplate(header, body)
    return
  }
  watchParent()
  reportUncaught()
  raiseLater(live(header, body))
}
