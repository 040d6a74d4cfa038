// What every Value is made of: its type, its block of memory and where in it the value lies. Cell is the base of
// RawValue, LockedCell (with a lock) that of Value; scalar.ts adds the operations of each kind of scalar.
import { type InspectOptions, inspect } from 'node:util'
import { checkFunction } from '../check'
import { ClosedError, StateError } from '../errors'
import { type Views, viewsAt, WINDOW_BYTES } from '../memory'
import type { Lock, RLock } from '../sync'
import type { WaitOptions, WaitSyncOptions } from '../wait-options'
import type { Block } from './block'
import type { Element } from './element'
import { type StructType, typeName } from './struct'
import { StructView } from './struct-view'

export abstract class Cell {
  // Plain properties, as every operation reads them; not part of the public type.
  readonly type: Element | StructType
  readonly block: Block
  readonly index: number
  view: Views[keyof Views] | StructView
  readonly name: string | undefined
  abstract value: unknown

  constructor(type: Element | StructType, block: Block, name: string | undefined) {
    this.type = type
    this.block = block
    this.name = name
    if ('family' in type) {
      const offset = block.scalarOffset
      this.view = viewsAt(offset)[type.view]
      this.index = (offset % WINDOW_BYTES) / type.size
    } else {
      this.view = StructView.over(type, block.buffer!, 0)
      this.index = 0
    }
  }

  /** Throws ClosedError after close(): for what does not read `view`. */
  assertOpen(): void {
    void this.view
  }

  close(): void {
    if (this.#closed()) return
    const label = this.label()
    // Every operation reads `view`, so this closes them all, and while it is open none pays for a check.
    Object.defineProperty(this, 'view', {
      get() {
        throw new ClosedError(`${label} is closed`)
      },
    })
    this.block.drop()
  }
  #closed(): boolean {
    return Object.getOwnPropertyDescriptor(this, 'view')!.get !== undefined
  }
  [Symbol.dispose](): void {
    this.close()
  }

  toJSON(): unknown {
    return this.value
  }
  [inspect.custom](_depth: number, options: InspectOptions): string {
    return this.#closed() ? `${this.label()} [closed]` : `${this.label()} { value: ${inspect(this.value, options)} }`
  }

  /** For messages: `Value<int32> "hits"`. */
  label(): string {
    return `${this.kindName()}<${typeName(this.type)}>${this.name === undefined ? '' : ` ${JSON.stringify(this.name)}`}`
  }
  kindName(): string {
    return 'RawValue'
  }
}

/** A Cell with a lock: its own, one that was given, or (lock: false) none after all. */
export abstract class LockedCell extends Cell {
  readonly #lock: Lock | RLock | undefined

  constructor(type: Element | StructType, block: Block, name: string | undefined, lock: Lock | RLock | undefined) {
    super(type, block, name)
    this.#lock = lock
  }
  /** The lock that was given, which travels with the value. */
  get foreignLock(): Lock | RLock | undefined {
    return this.#lock
  }

  getLock(): Lock | RLock {
    this.assertOpen()
    if (this.#lock !== undefined) return this.#lock
    if (!this.block.locked) throw new StateError(`${this.label()} has no lock (it was made with lock: false)`)
    return this.block.lock()
  }
  async update(fn: (old: any) => unknown, options?: WaitOptions): Promise<unknown> {
    checkFunction('fn', fn)
    return await this.getLock().with(async () => this.#replace(await fn(this.value)), options)
  }
  updateSync(fn: (old: any) => unknown, options?: WaitSyncOptions): unknown {
    checkFunction('fn', fn)
    return this.getLock().withSync(() => this.#replace(fn(this.value)), options)
  }
  // Of a struct, fn may have changed the live view itself and returned it or nothing.
  #replace(next: unknown): unknown {
    if (this.view instanceof StructView) {
      if (next !== undefined && next !== this.view) this.value = next
    } else this.value = next
    return this.value
  }
  override kindName(): string {
    return 'Value'
  }
}
