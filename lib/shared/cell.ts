// What every Value is made of: its type, its block of memory, its lock; and what all can do whatever they hold. The
// subclasses (scalar.ts, value.ts) add the operations of each kind, locked() what values with a lock have beside them.
import { type InspectOptions, inspect } from 'node:util'
import { checkFunction } from '../check'
import { ClosedError, StateError } from '../errors'
import { inWindow, type Views, viewsAt } from '../memory'
import type { Lock, RLock } from '../sync'
import type { WaitOptions, WaitSyncOptions } from '../wait-options'
import type { Block } from './block'
import type { Element } from './element'
import { type StructType, typeName } from './struct'

export abstract class Cell {
  readonly #type: Element | StructType
  readonly #block: Block
  readonly #name: string | undefined
  readonly #lock: Lock | RLock | undefined
  abstract value: unknown

  /** `lock`: one that was given; a block with a lock at its head needs none. */
  constructor(type: Element | StructType, block: Block, name?: string, lock?: Lock | RLock) {
    this.#lock = lock
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
  /** The lock that was given, which travels with the value. */
  get foreignLock(): Lock | RLock | undefined {
    return this.#lock
  }
  get name(): string | undefined {
    return this.#name
  }
  scalarView(): Views[keyof Views] {
    return viewsAt(this.#block.scalarOffset)[this.element.view]
  }
  scalarIndex(): number {
    return inWindow(this.#block.scalarOffset) / this.element.size
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
    Object.setPrototypeOf(this, closedPrototype(Object.getPrototypeOf(this)))
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

export type CellClass = new (type: Element | StructType, block: Block, name?: string, lock?: Lock | RLock) => Cell

/** The same class with getLock(), update() and updateSync(). */
export function locked(Class: CellClass): CellClass {
  const Locked = class extends (Class as new (...args: any[]) => any) {} as unknown as CellClass
  for (const [name, method] of Object.entries({ getLock, update, updateSync, kindName: () => 'Value' }))
    Object.defineProperty(Locked.prototype, name, { value: method, writable: true, configurable: true })
  return Locked
}

function getLock(this: Cell): Lock | RLock {
  this.assertOpen()
  if (this.foreignLock !== undefined) return this.foreignLock
  if (!this.block.locked) throw new StateError(`${this.label()} has no lock (it was made with lock: false)`)
  return this.block.lock()
}

async function update(this: Cell, fn: (old: any) => unknown, options?: WaitOptions): Promise<unknown> {
  checkFunction('fn', fn)
  return await getLock.call(this).with(() => {
    const next = fn(this.value)
    // Awaited only where there is something to wait for: otherwise read and store are one step of the event loop.
    return isThenable(next) ? next.then((settled) => replace(this, settled)) : replace(this, next)
  }, options)
}

function updateSync(this: Cell, fn: (old: any) => unknown, options?: WaitSyncOptions): unknown {
  checkFunction('fn', fn)
  return getLock.call(this).withSync(() => replace(this, fn(this.value)), options)
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

// Of a struct, fn may have changed the live view itself and returned it or nothing.
function replace(cell: Cell, next: unknown): unknown {
  const unchanged = 'family' in cell.type ? false : next === undefined || next === cell.value
  if (!unchanged) cell.value = next
  return cell.value
}

const OPERATIONS = ['load', 'store', 'exchange', 'compareExchange', 'add', 'sub', 'and', 'or', 'xor']
const closedPrototypes = new WeakMap<object, object>()
const isClosed = new WeakSet<object>()

function closedPrototype(open: object): object {
  if (isClosed.has(open)) return open
  let closed = closedPrototypes.get(open)
  if (closed === undefined) {
    const raise = function (this: Cell): void {
      this.assertOpen()
    }
    closed = Object.create(open, { value: { get: raise, set: raise } }) as object
    for (const name of OPERATIONS) if (name in open) Object.defineProperty(closed, name, { value: raise })
    closedPrototypes.set(open, closed)
    isClosed.add(closed)
  }
  return closed
}
