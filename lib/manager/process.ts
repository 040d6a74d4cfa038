// The process of a manager's server.
//
//   manager.start() ── spawns ──▶ managerServer(config, ready)
//                    ◀── ready ── its door, or why there is none
import type { Connection } from '../channel/connection'
import { registry } from '../process/registry'
import type { Address } from '../socket'
import { writeFailure } from './failure'
import type { Door } from './handle'
import { type NetworkConfig, serveNetwork } from './network'
import { type Registration, registered, type ServedType } from './served'
import { Server } from './server'
import { BUILTIN } from './types'

/** What a server is told at its start. */
export interface ServerConfig {
  /** The types that clients may make, in their order. */
  readonly types: readonly [name: string, registration: Registration | null][]
  readonly initializer?: ((...args: any[]) => unknown) | undefined
  readonly initargs: readonly unknown[]
  readonly network?: NetworkConfig | undefined
}
export type Ready =
  | { managerId: string; door: Door; address: Address | null }
  /** What writeFailure() wrote. */
  | { failure: unknown }

/** `null` stands for a type of the package's own. */
export function typesOf(types: ServerConfig['types']): Map<string, ServedType> {
  const all = new Map<string, ServedType>()
  const typeOf = (name: string): ServedType => {
    const type = all.get(name) ?? BUILTIN.get(name)
    if (type === undefined) throw new TypeError(`there is no type '${name}'`)
    return type
  }
  for (const [name, registration] of types)
    all.set(name, registration === null ? BUILTIN.get(name)! : registered(name, registration, typeOf))
  return all
}

/** @internal What the process of a server runs. */
export async function managerServer(config: ServerConfig, ready: Connection<Ready>): Promise<void> {
  // Ctrl-C goes to the whole group of processes: the one that started us decides.
  process.on('SIGINT', () => {})
  registry.mayHaveChildren = true
  let server: Server
  let network: Awaited<ReturnType<typeof serveNetwork>> | undefined
  try {
    await config.initializer?.(...config.initargs)
    server = new Server(typesOf(config.types))
    if (config.network !== undefined) network = await serveNetwork(server, config.network)
    server.openDoor()
  } catch (error) {
    await ready.send({ failure: writeFailure(error, false) })
    ready.close()
    return
  }
  // The file of a socket is removed by an orderly end.
  process.on('SIGTERM', () => server.shutDown())
  await ready.send({ managerId: server.managerId, door: server.door, address: network?.address ?? null })
  ready.close()
  await server.ended
  network?.close()
  process.exit(0)
}
