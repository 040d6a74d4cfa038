// Pool as the server has it: a pool of the package's own, whose workers are children of the server.
import { Pool, type PoolOptions } from '../../pool'
import { builtin, type ServedType } from '../served'

class ServedPool {
  readonly #pool: Pool
  constructor(options?: number | PoolOptions) {
    this.#pool = new Pool(options as number)
    collected.register(this, this.#pool)
  }
  async apply(fn: any, args: any = [], options?: any): Promise<unknown> {
    return await this.#pool.apply(fn, args, options)
  }
  async map(fn: any, items: any, options?: any): Promise<unknown> {
    return await this.#pool.map(fn, items, options)
  }
  async starmap(fn: any, items: any, options?: any): Promise<unknown> {
    return await this.#pool.starmap(fn, items, options)
  }
  imap(fn: any, items: any, options?: any): AsyncIterator<unknown> {
    return this.#pool.imap(fn, items, options)[Symbol.asyncIterator]()
  }
  imapUnordered(fn: any, items: any, options?: any): AsyncIterator<unknown> {
    return this.#pool.imapUnordered(fn, items, options)[Symbol.asyncIterator]()
  }
  close(): void {
    this.#pool.close()
  }
  terminate(): void {
    this.#pool.terminate()
  }
  async join(timeout?: number): Promise<boolean> {
    return await this.#pool.join(timeout === undefined ? {} : { timeout })
  }
  stats(): unknown {
    return this.#pool.stats()
  }
}

/** A pool that no client has any more ends. */
const collected = new FinalizationRegistry<Pool>((pool) => pool.terminate())

export const POOL: ServedType = builtin(
  'Pool',
  'apply map starmap imap imapUnordered close terminate join stats',
  '',
  ([options]) => new ServedPool(options as number),
)
