// A client's connection by TLS. Node's TLS needs an event loop, and calls of `proxy.sync` block theirs: so it runs on a thread of its
// own, which passes the messages on through a pipe.
//
//   this thread ◀── pipe (bytes) ──▶ tlsThread ◀── TLS ──▶ server
import { once } from 'node:events'
import type { ConnectionOptions as TlsConnectOptions } from 'node:tls'
import type { Connection } from '../channel/connection'
import { Pipe } from '../channel/pipe'
import { TimeoutError } from '../errors'
import { fromHandle, toHandle } from '../handle'
import type { Address } from '../socket'
import { DEFAULT_MAX_MESSAGE } from '../socket/listener'
import { asyncWait, type WaitOptions } from '../wait-options'
import { readFailure, writeFailure } from './failure'
import { shake } from './network'
import { StreamLink } from './stream-link'

interface TlsData {
  index: string
  pipe: string
  address: Address
  options: TlsConnectOptions
  authKey: Uint8Array
  maxMessageLength: number
}

const ENTRY = `const { workerData } = require('node:worker_threads')
require(workerData.index).__tlsThread(workerData)`

export async function connectTls(
  address: Address,
  options: TlsConnectOptions,
  authKey: Uint8Array,
  maxMessageLength: number | undefined,
  wait: WaitOptions,
): Promise<Connection> {
  const { timeout, signal } = asyncWait(wait)
  signal?.throwIfAborted()
  const { Worker } = process.getBuiltinModule('node:worker_threads')
  const [ours, theirs] = Pipe({ capacity: 0 })
  const data: TlsData = {
    index: `${__dirname}/index.cjs`,
    pipe: toHandle(theirs),
    address,
    options,
    authKey: Uint8Array.from(authKey),
    maxMessageLength: maxMessageLength ?? DEFAULT_MAX_MESSAGE,
  }
  const worker = new Worker(ENTRY, { eval: true, workerData: data, name: 'multiproc TLS' })
  worker.unref()
  worker.on('error', () => ours.close())
  try {
    const answer = await ours.recv({ timeout, signal })
    if (answer !== null) throw await readFailure(answer, false)
    return ours
  } catch (error) {
    ours.close()
    void worker.terminate()
    throw error instanceof TimeoutError ? new TimeoutError('no connection with the manager in time') : error
  } finally {
    theirs.close()
  }
}

/** What the thread runs. */
export async function tlsThread(data: TlsData): Promise<void> {
  const pipe = fromHandle<Connection>(data.pipe)
  const { address, options } = data
  const place = typeof address === 'string' ? { path: address } : { host: address[0], port: address[1] }
  const socket = process.getBuiltinModule('node:tls').connect({ ...options, ...place })
  socket.setNoDelay(true)
  socket.setKeepAlive(true)
  let link: StreamLink
  try {
    await once(socket, 'secureConnect')
    socket.on('error', () => {})
    link = new StreamLink(socket, data.maxMessageLength)
    await shake(link, data.authKey, 'client')
  } catch (error) {
    socket.destroy()
    await pipe.send(writeFailure(error, false))
    pipe.close()
    return
  }
  await pipe.send(null)
  const close = (): void => {
    link.close()
    pipe.close()
  }
  await Promise.race([outwards(pipe, link), inwards(pipe, link)]).then(close, close)
}

async function outwards(pipe: Connection, link: StreamLink): Promise<void> {
  for (;;) {
    const bytes = await pipe.recvBytes()
    while (!link.trySend(bytes)) await new Promise<void>((resolve) => void link.whenWritable(resolve))
  }
}
async function inwards(pipe: Connection, link: StreamLink): Promise<void> {
  for (;;) {
    const received = link.tryReceive()
    if (received === undefined) await new Promise<void>((resolve) => void link.whenReadable(resolve))
    else await pipe.sendBytes(received.bytes)
  }
}
