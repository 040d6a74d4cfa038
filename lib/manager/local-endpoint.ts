// The server as its own process sees it: proxies of its objects call them directly.
import type { Connection } from '../channel/connection'
import { MultiprocError, StateError } from '../errors'
import type { Call, Client } from './call'
import { type Door, type Endpoint, Handle, makeProxy } from './handle'
import { get, invoke, isThenable, set } from './invocation'
import { Entry } from './served'
import type { Server } from './server'
import { Op, randomId, type Shape } from './wire'

export class LocalEndpoint implements Endpoint {
  readonly id: string
  readonly managerId: string
  readonly door: Door
  readonly fork = -1
  readonly #server: Server
  readonly #entries = new Map<number, Entry>()
  readonly #proxies = new WeakMap<Entry, WeakRef<object>>()
  #index = 1

  constructor(server: Server) {
    this.#server = server
    this.managerId = server.managerId
    this.id = randomId()
    this.door = server.door
  }
  proxyOf(entry: Entry): object {
    const known = this.#proxies.get(entry)?.deref()
    if (known !== undefined) return known
    const proxy = makeProxy(this.#handle(entry))
    this.#proxies.set(entry, new WeakRef(proxy))
    return proxy
  }
  #handle(entry: Entry): Handle {
    const index = this.#index++
    this.#entries.set(index, entry)
    return new Handle(this, index, entry.type.shape)
  }
  entryAt(index: number): Entry | undefined {
    return this.#entries.get(index)
  }
  async call(handle: Handle, op: number, name: string, content: unknown): Promise<unknown> {
    return await this.#do(handle, op, name, content)
  }
  callSync(handle: Handle, op: number, name: string, content: unknown): unknown {
    const result = this.#do(handle, op, name, content)
    if (!isThenable(result)) return result
    throw new StateError('a Sync call that waits would wait for this very thread: in the server, await its promise')
  }
  #do(handle: Handle, op: number, name: string, content: unknown): unknown {
    const entry = this.#entries.get(handle.index)
    if (entry === undefined) throw new MultiprocError('there is no such object', 'ERR_MP_GONE')
    const call: Call | undefined = entry.type.waits ? { client: LOCAL, onCancel: undefined } : undefined
    if (op === Op.get) return get(entry, name)
    if (op === Op.set) return set(entry, name, content)
    if (op !== Op.batch) {
      const result = invoke(entry, name, content, call)
      return result === entry.target ? makeProxy(handle) : result
    }
    const list = content as unknown[]
    const run = async (): Promise<unknown[]> => {
      const results: unknown[] = []
      for (let i = 0; i < list.length; i += 2) results.push(await invoke(entry, list[i], list[i + 1], call))
      return results
    }
    return run()
  }
  targetOf(index: number): unknown {
    return this.#entries.get(index)?.target
  }
  tell(): void {}
  drop(index: number): void {
    this.#entries.delete(index)
  }
  keep(handle: Handle, token: Connection): string {
    const ticket = `${this.id}:${handle.index}`
    this.#server.keep(ticket, this.#entries.get(handle.index)!, token)
    return ticket
  }
  open(ticket: string, shape: Shape): Handle {
    const found = this.#server.find(ticket)
    if (found instanceof Entry) return this.#handle(found)
    const index = this.#index++
    void found.then(
      (entry) => this.#entries.set(index, entry),
      () => {},
    )
    return new Handle(this, index, shape)
  }
}

/** Who holds what code of the server's own process holds. */
const LOCAL: Client = { holds: new Set(), ended: false }
