// From what a child was given to its end: decode (guarded: nothing may be started), run, exit when the loop is empty.
import { log, logs } from '../../log/log'
import { decode, decodeAtOnce } from '../../serialize'
import { importMain } from '../../serialize/main-import'
import { doneLoading, whileLoading } from '../guard'
import { Process } from '../process'
import { registry } from '../registry'
import { arrive, type Body, type Header } from '../travel'

/** An error is thrown outside of any promise: as one of the main program, so that the program's own handlers see it. */
export function raiseLater(life: Promise<void>): void {
  life.catch((error) =>
    process.nextTick(() => {
      throw error
    }),
  )
}

/** A child that got its target as bytes. */
export async function live(header: Header, bytes: Uint8Array): Promise<void> {
  // Without modules to import no user code is loaded that could leave anything behind.
  const known = header.main === 'import' ? undefined : decodeAtOnce(bytes)
  const body = known === undefined ? await keptAlive(whileLoading(() => load(header, bytes))) : (known.value as Body)
  doneLoading()
  registry.current = arrive(header, body, Process)
  await runToItsEnd(registry.current)
}

/** Rejects with what run() throws. */
export async function runToItsEnd(process_: Process): Promise<void> {
  log('info', () => `calls run() (pid ${process.pid})`)
  if (logs('info')) process.once('exit', (code) => log('info', () => `exits with code ${code}`))
  const running = process_.run()
  if (running instanceof Promise || typeof (running as PromiseLike<unknown> | undefined)?.then === 'function')
    await keptAlive(running)
}

/** A pending promise does not keep the event loop alive by itself, and run() may be nothing but one. */
export async function keptAlive<T>(promise: T | PromiseLike<T>): Promise<T> {
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
