// A manager's server in the process of its user: what getServer() gives.
import type { Address } from '../socket'
import { type NetworkConfig, serveNetwork } from './network'
import { type ServerConfig, typesOf } from './process'
import { Server } from './server'

/** Serves on a network, until shutdown(). */
export class ManagerServer {
  readonly #server: Server
  readonly #network: NetworkConfig
  #address: Address | null = null
  #listening: Promise<{ address: Address; close(): void }> | undefined

  /** @internal getServer() makes them. */
  constructor(types: ServerConfig['types'], network: NetworkConfig) {
    this.#server = new Server(typesOf(types))
    this.#network = network
  }
  /** null until it listens. */
  get address(): Address | null {
    return this.#address
  }
  /** Begins to listen; gives the address. Rejects with the system's error (EADDRINUSE …). */
  async listen(): Promise<Address> {
    this.#listening ??= serveNetwork(this.#server, this.#network)
    this.#address = (await this.#listening).address
    return this.#address
  }
  /** Listens, and resolves after shutdown(). */
  async serveForever(): Promise<void> {
    await this.listen()
    await this.#server.ended
  }
  /** Ends all connections, and listening. */
  async shutdown(): Promise<void> {
    this.#server.shutDown()
    const listening = await this.#listening?.catch(() => undefined)
    listening?.close()
  }
  /** How many objects clients have references to. */
  numberOfObjects(): number {
    return this.#server.numberOfObjects()
  }
}
