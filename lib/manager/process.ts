// The process of a manager's server.
//
//   manager.start() ── spawns ──▶ managerServer(config, ready)
//                    ◀── ready ── its door, or why there is none
import type { Connection } from '../channel/connection'
import { registry } from '../process/registry'
import { writeFailure } from './failure'
import type { Door } from './handle'
import { type Registration, registered, type ServedType } from './served'
import { Server } from './server'
import { BUILTIN } from './types'

/** What a server is told at its start. */
export interface ServerConfig {
  /** The types that clients may make, in their order. */
  readonly types: readonly [name: string, registration: Registration | null][]
  readonly initializer?: ((...args: any[]) => unknown) | undefined
  readonly initargs: readonly unknown[]
}
export type Ready =
  | { managerId: string; door: Door }
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
  try {
    await config.initializer?.(...config.initargs)
    server = new Server(typesOf(config.types))
  } catch (error) {
    await ready.send({ failure: writeFailure(error, false) })
    ready.close()
    return
  }
  await ready.send({ managerId: server.managerId, door: server.door })
  ready.close()
  await server.ended
  process.exit(0)
}
