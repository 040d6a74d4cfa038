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

export abstract class Cell {
  readonly #type: Element | StructType
  readonly #block: Block
  readonly #name: string | undefined
  abstract value: unknown

  constructor(type: Element | StructType, block: Block, name: string | undefined) {
    this.#type = type
    this.#block = block
    this.#name = name
  }

  // For the classes of this folder; the public types do not show them. No own properties: an assertion library that
  // walks a Value would print the whole window of memory that it lies in.
  get type(): Element | StructType {
    return this.#type
  }
  get element(): Element {
    return this.#type as Element
  }
  get block(): Block {
    return this.#block
  }
  get name(): string | undefined {
    return this.#name
  }
  scalarView(): Views[keyof Views] {
    return viewsAt(this.#block.scalarOffset)[this.element.view]
  }
  scalarIndex(): number {
    return (this.#block.scalarOffset % WINDOW_BYTES) / this.element.size
  }
  /** Lets go of the memory, so that no operation kept from before reaches it. */
  detach(): void {}

  assertOpen(): void {
    if (this.#block.dropped) throw new ClosedError(`${this.label()} is closed`)
  }

  close(): void {
    this.#block.drop()
    this.detach()
    // A closed value is of another class: the open ones pay nothing for a check.
    Object.setPrototypeOf(this, closedPrototype(this instanceof LockedCell ? LockedCell.prototype : Cell.prototype))
  }
  [Symbol.dispose](): void {
    this.close()
  }
  toJSON(): unknown {
    return this.value
  }
  [inspect.custom](_depth: number, options: InspectOptions): string {
    return this.#block.dropped
      ? `${this.label()} [closed]`
      : `${this.label()} { value: ${inspect(this.value, options)} }`
  }

  /** For messages: `Value<int32> "hits"`. */
  label(): string {
    return `${this.kindName()}<${typeName(this.#type)}>${this.#name === undefined ? '' : ` ${JSON.stringify(this.#name)}`}`
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
    const unchanged = 'family' in this.type ? false : next === undefined || next === this.value
    if (!unchanged) this.value = next
    return this.value
  }
  override kindName(): string {
    return 'Value'
  }
}

const OPERATIONS = ['load', 'store', 'exchange', 'compareExchange', 'add', 'sub', 'and', 'or', 'xor']
const closedPrototypes = new Map<object, object>()

function closedPrototype(base: object): object {
  let closed = closedPrototypes.get(base)
  if (closed === undefined) {
    const raise = function (this: Cell): void {
      this.assertOpen()
    }
    closed = Object.create(base, { value: { get: raise, set: raise } }) as object
    for (const name of OPERATIONS) Object.defineProperty(closed, name, { value: raise })
    closedPrototypes.set(base, closed)
  }
  return closed
}
