// The first file that a child runs (dist/child.cjs): as little as possible, since what a child costs is node's own start
// and the loading of code.
//
//   addon ─▶ root and slot ─▶ parcel ─▶ the package, from code that the parent compiled ─▶ run
import { Module } from 'node:module'
import { join } from 'node:path'
import type { Binding } from '../../../binding'
import { CHILD_VARIABLE } from '../environment'
import { compileAll, ORPHAN_GRACE_MS, packageScript, readTicket, splitParts, type Ticket } from '../ticket'

interface Package {
  __runChild(ticket: Ticket, header: Uint8Array, body: Uint8Array, codes: readonly Uint8Array[]): void
}

const text = process.env[CHILD_VARIABLE]
if (text === undefined) {
  process.stderr.write('this file is run by multiproc, in the processes that it starts\n')
  process.exit(1)
}
delete process.env[CHILD_VARIABLE]
const ticket = readTicket(text)
const [header, compiled, body] = splitParts(receive())
const [code, ...codes] = splitParts(compiled!)
loadPackage(code).__runChild(ticket, header!, body!, codes)

function receive(): Uint8Array {
  const addon: Binding = require(ticket.addon)
  addon.setErrors((code, message) => Object.assign(new Error(`${message} (${code})`), { code }))
  try {
    const { root, rootId, slot, generation, daemon, parentPid } = ticket
    addon.inherit(root, rootId, slot, generation, daemon, ORPHAN_GRACE_MS, parentPid)
    const parcel = addon.takeDelivery()
    if (parcel !== null) return parcel
  } catch (error) {
    if (parentLives()) throw error
  }
  process.kill(process.pid, 'SIGKILL') // the parent was killed meanwhile: nobody is left to tell
  throw new Error('unreachable')
}

function parentLives(): boolean {
  if (process.platform !== 'win32') return process.ppid === ticket.parentPid
  try {
    return process.kill(ticket.parentPid, 0)
  } catch {
    return false
  }
}

/**
 * As lib/load.ts does it, but from compiled code. The package itself, not a copy: user code in this child that requires
 * it must find this instance.
 */
function loadPackage(code: Uint8Array | undefined): Package {
  const index = join(__dirname, 'index.cjs')
  const module = new Module(index) as NodeJS.Module & { filename: string; loaded: boolean }
  module.filename = index
  require.cache[index] = module
  const file = join(__dirname, 'multiproc.cjs')
  const run = (): void => {
    const script = packageScript(file, code)
    script.runInThisContext().call(module.exports, module.exports, require, module, file, __dirname, script)
  }
  if (code === undefined) compileAll(run)
  else run()
  module.loaded = true
  return module.exports
}
