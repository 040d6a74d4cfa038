// Proxies of dict, list, set, Namespace and of iterators.
import { handleOf } from '../handle'
import { ITERATE, Op } from '../wire'
import { after, BaseProxy, MODE, send, WRAP } from './base'
import { wrapIndexed, wrapNames } from './members'

type Class = new (handle: any, mode?: any) => BaseProxy & AsyncIterable<unknown> & Iterable<unknown>

/** Iteration copies what is there at its beginning. */
function iteration(method: string): Class {
  return class extends BaseProxy {
    async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
      yield* (await handleOf(this)!.call(Op.call, method, [])) as unknown[]
    }
    *[Symbol.iterator](): Generator<unknown> {
      yield* handleOf(this)!.callSync(Op.call, method, [], Number.POSITIVE_INFINITY) as unknown[]
    }
  }
}

export class DictBase extends iteration('entries') {}
export class SetBase extends iteration('values') {}
export class ListBase extends iteration('copy') {
  static [WRAP] = wrapIndexed
}
export class ArrayBase extends ListBase {}
/** Its methods besides get() and set() would hide names: the others are the proxy's `callMethod`. */
export class NamespaceProxy extends BaseProxy {
  static override [WRAP] = wrapNames
  get(name: string): any {
    return send(this, Op.get, name, undefined)
  }
  set(name: string, value: unknown): any {
    return send(this, Op.set, name, value)
  }
}

/** Of a class or function that a user has registered. */
export class ObjectBase extends BaseProxy {
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    yield* (await handleOf(this)!.call(Op.call, ITERATE, [])) as AsyncIterable<unknown>
  }
  *[Symbol.iterator](): Generator<unknown> {
    yield* handleOf(this)!.callSync(Op.call, ITERATE, [], Number.POSITIVE_INFINITY) as Iterable<unknown>
  }
}

interface Lot {
  items: unknown[]
  done: boolean
}

/** What a generator of the server gives: items come in lots. `break` ends the generator. */
export class IteratorProxy extends BaseProxy {
  #lot: Lot = { items: [], done: false }
  #at = 0

  next(): any {
    return this.#next()
  }
  #next(): IteratorResult<unknown> | Promise<IteratorResult<unknown>> {
    const { items, done } = this.#lot
    if (this.#at < items.length) {
      const result = { value: items[this.#at++], done: false }
      return this.#isSync ? result : Promise.resolve(result)
    }
    if (done) return this.#isSync ? END : Promise.resolve(END)
    return after(send(this, Op.call, 'next', []) as Lot | Promise<Lot>, (lot) => {
      this.#lot = lot
      this.#at = 0
      return this.#next()
    }) as IteratorResult<unknown>
  }
  return(): any {
    this.#lot = { items: [], done: true }
    return after(send(this, Op.call, 'return', []), () => END)
  }
  get #isSync(): boolean {
    return this[MODE].kind === 'sync'
  }
  [Symbol.asyncIterator](): this {
    return this
  }
  [Symbol.iterator](): this {
    return this.sync
  }
}
const END = { value: undefined, done: true as const }
