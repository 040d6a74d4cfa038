// The server of a manager on a network: who comes must have the key, by TLS if that was asked for; then he is a client whose
// messages are data only (transport.ts).
//
//   Listener, or a TLS server ──▶ handshake ──▶ NetTransport ──▶ server.serve()
//
// A client that vanishes without a word (its machine lost power) is dropped when it has not been heard of for the time of its lease.
import { unlinkSync } from 'node:fs'
import type { TLSSocket, TlsOptions } from 'node:tls'
import { makeConnection } from '../channel/connection'
import { type Address, connectSync, listen } from '../socket'
import { Handshake } from '../socket/handshake'
import { DEFAULT_MAX_MESSAGE } from '../socket/listener'
import type { ServedClient } from './served-client'
import type { Server } from './server'
import { StreamLink } from './stream-link'
import { NetTransport } from './transport'

/** How long a peer may take to prove its key, in ms. */
const HANDSHAKE_MS = 10_000

export interface NetworkConfig {
  readonly address: Address
  readonly authKey: Uint8Array
  readonly tls?: TlsOptions | undefined
  readonly maxMessageLength?: number | undefined
  readonly lease: number
}

/** Serves until close() is called. Rejects with the system's error if the address cannot be had. */
export async function serveNetwork(
  server: Server,
  config: NetworkConfig,
): Promise<{ address: Address; close(): void }> {
  const clients = new Set<ServedClient>()
  server.lease = config.lease
  const leases = setInterval(() => {
    const now = performance.now()
    for (const client of clients)
      if (client.ended) clients.delete(client)
      else if (now - client.heard > config.lease) client.end()
  }, config.lease / 3)
  leases.unref()
  const admit = (transport: NetTransport): void => void clients.add(server.serve(transport))
  const { address, close } = await (config.tls === undefined ? plain : secure)(config, admit)
  return {
    address,
    close() {
      clearInterval(leases)
      close()
    },
  }
}

type Listening = { address: Address; close(): void }
type Admit = (transport: NetTransport) => void

async function plain(config: NetworkConfig, admit: Admit): Promise<Listening> {
  const { address, authKey, maxMessageLength } = config
  const options = { authKey, maxMessageLength }
  let listener: Awaited<ReturnType<typeof listen>>
  try {
    listener = await listen(address, options)
  } catch (error) {
    if (!isLeft(address, error)) throw error
    unlinkSync(address as string)
    listener = await listen(address, options)
  }
  const accept = async (): Promise<void> => {
    for (;;)
      try {
        admit(new NetTransport(await listener.accept()))
      } catch (error) {
        // Those who do not have the key cost themselves only.
        if ((error as { code?: string }).code === 'ERR_MP_CLOSED') return
      }
  }
  void accept()
  return { address: listener.address, close: () => listener.close() }
}

/** Is it the file of a server that was killed? */
function isLeft(address: Address, error: unknown): boolean {
  if (typeof address !== 'string' || (error as { code?: string }).code !== 'EADDRINUSE') return false
  try {
    connectSync(address, { timeout: 1000 }).close()
    return false
  } catch (refused) {
    return (refused as { code?: string }).code === 'ECONNREFUSED'
  }
}

async function secure(config: NetworkConfig, admit: Admit): Promise<Listening> {
  const { address, authKey, maxMessageLength = DEFAULT_MAX_MESSAGE } = config
  const tls = process.getBuiltinModule('node:tls')
  const listening = tls.createServer({ handshakeTimeout: HANDSHAKE_MS, ...config.tls })
  listening.on('tlsClientError', () => {})
  listening.on('secureConnection', (socket: TLSSocket) => {
    socket.on('error', () => {})
    socket.setNoDelay(true)
    socket.setKeepAlive(true)
    const link = new StreamLink(socket, maxMessageLength)
    const timer = setTimeout(() => link.close(), HANDSHAKE_MS)
    shake(link, authKey, 'listener').then(
      () => {
        clearTimeout(timer)
        admit(new NetTransport(makeConnection(link)))
      },
      () => {
        clearTimeout(timer)
        link.close()
      },
    )
  })
  await new Promise<void>((resolve, reject) => {
    listening.once('error', reject)
    const done = (): void => {
      listening.off('error', reject)
      resolve()
    }
    if (typeof address === 'string') listening.listen(address, done)
    else listening.listen(address[1], address[0], done)
  })
  const at = listening.address()
  return {
    address: typeof at === 'string' || at === null ? (at ?? '') : [at.address, at.port],
    close: () => void listening.close(),
  }
}

/** Proves the key to each other. */
export async function shake(link: StreamLink, key: Uint8Array, role: 'listener' | 'client'): Promise<void> {
  const handshake = new Handshake(link, { key, allowMd5: false }, role)
  while (!handshake.advance()) await new Promise<void>((resolve) => void link.whenReadable(resolve))
}
