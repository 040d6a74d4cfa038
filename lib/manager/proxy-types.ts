// What TypeScript knows of proxies.
import type { Held } from '../sync'
import type { WaitOptions, WaitSyncOptions } from '../wait-options'

/** @inline */
type Fn = (...args: any[]) => unknown

/** The proxy of a T: methods and properties give promises; those of `sync` block and give values. */
export type Remote<T> = {
  readonly [K in keyof T as T[K] extends Fn ? K : never]: T[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never
} & { readonly [K in keyof T as T[K] extends Fn ? never : K]: Promise<T[K]> } & Twin<T>

/** What the blocking twin of each proxy also has. */
export interface SyncBatch {
  /** Many calls as one message, blocking this thread; their results. */
  batch(write: (batch: any) => unknown): any[]
}
/** What all proxies have. */
export interface Twin<S> {
  /** The blocking twin. */
  readonly sync: S & SyncBatch
  /** Many calls as one message; their results. */
  batch(write: (batch: any) => unknown): Promise<any[]>
  /** Notes calls, which its run() sends as one message. */
  batch(): any
}

/** What a dictionary of a manager has beside the methods of a Map. */
export interface DictMore<K, V> {
  /** All of it, as a plain copy. */
  copy(): Map<K, V>
  /** The values of several keys at one moment; undefined where there is none. */
  getMany(keys: readonly K[]): (V | undefined)[]
  /** Sets all of these pairs. */
  assign(entries: Iterable<readonly [K, V]> | Readonly<Record<string, V>>): void
  /** Removes a key and gives its value. */
  pop(key: K, otherwise?: V): V | undefined
  /** The value of a key; if there is none `value` becomes it. */
  setDefault(key: K, value: V): V
  /** Read-modify-write with nobody between: `change` runs in the server. */
  update(key: K, change: (value: V | undefined) => V | Promise<V>): V
}
/** What a list of a manager has beside the methods of an Array. */
export interface ListMore<T> {
  /** All of it, as a plain copy. */
  copy(): T[]
  /** Item `index`; undefined: there is none. */
  get(index: number): T | undefined
  /** Replaces item `index`. */
  set(index: number, value: T): void
  /** Adds all of these. */
  extend(items: Iterable<T>): number
  /** Empties it. */
  clear(): void
  /** Removes the first that equals `value`. False: there was none. */
  remove(value: T): boolean
  /** Puts `value` before item `index`. */
  insert(index: number, value: T): void
}
/** What a set of a manager has beside the methods of a Set. */
export interface SetMore<T> {
  /** All of it, as a plain copy. */
  copy(): Set<T>
  /** Removes and gives one. */
  pop(): T | undefined
  /** Adds all of these members. */
  extend(members: Iterable<T>): void
}
/** Of a dictionary: the methods of Map and DictMore, which give promises. */
export type DictProxy<K = any, V = any> = Remote<Map<K, V> & DictMore<K, V>> & AsyncIterable<[K, V]>
/** Of a list: the methods of Array and ListMore, which give promises. */
export type ListProxy<T = any> = Remote<T[] & ListMore<T>> & AsyncIterable<T>
/** Of a set: the methods of Set and SetMore, which give promises. */
export type SetProxy<T = any> = Remote<Set<T> & SetMore<T>> & AsyncIterable<T>
/** `any` where nothing is known of the names. */
export type NamespaceProxy<T = any> = unknown extends T
  ? any
  : { [K in keyof T]: Promise<T[K]> } & {
      /** The blocking twin. */
      readonly sync: T
      /** Takes the next message; waits for one at most `timeout` ms, then QueueEmptyError. */
      get<K extends keyof T>(name: K): Promise<T[K]>
      /** Sets it. */
      set<K extends keyof T>(name: K, value: T[K]): Promise<void>
    }

/** Of a lock, blocking. */
export interface LockSync {
  /** Waits until it is acquired; `null` after `timeout` ms. As of Lock. */
  acquire(options?: { timeout?: undefined }): Held
  /** Waits until it is acquired; `null` after `timeout` ms. As of Lock. */
  acquire(options?: WaitSyncOptions): Held | null
  /** Acquires it if that needs no waiting, else gives `null`. */
  tryAcquire(): Held | null
  /** Releases what this client has acquired. Throws StateError (`ERR_MP_NOT_OWNER`, `ERR_MP_RELEASED_TOO_OFTEN`). */
  release(): void
  /** Is it held by anybody? Of a semaphore: are there no permits? */
  locked(): boolean
  /** Runs `fn` here, while it is held. */
  with<R>(fn: (held: Held) => R, options?: WaitSyncOptions): R
}
/** Of what can be acquired. */
export interface Lockable<S> extends Twin<S> {
  /** Waits until it is acquired; `null` after `timeout` ms. As of Lock. */
  acquire(options?: { timeout?: undefined; signal?: AbortSignal }): Promise<Held>
  /** Waits until it is acquired; `null` after `timeout` ms. As of Lock. */
  acquire(options?: WaitOptions): Promise<Held | null>
  /** Waits until it is acquired; `null` after `timeout` ms. As of Lock. Blocks this thread. */
  acquireSync(options?: { timeout?: undefined }): Held
  /** Waits until it is acquired; `null` after `timeout` ms. As of Lock. Blocks this thread. */
  acquireSync(options?: WaitSyncOptions): Held | null
  /** Acquires it if that needs no waiting, else gives `null`. */
  tryAcquire(): Promise<Held | null>
  /** Releases what this client has acquired. Throws StateError (`ERR_MP_NOT_OWNER`, `ERR_MP_RELEASED_TOO_OFTEN`). */
  release(): Promise<void>
  /** Is it held by anybody? Of a semaphore: are there no permits? */
  locked(): Promise<boolean>
  /** Runs `fn` here, while it is held. */
  with<R>(fn: (held: Held) => R | PromiseLike<R>, options?: WaitOptions): Promise<R>
  /** Runs `fn` here, while it is held. Blocks this thread. */
  withSync<R>(fn: (held: Held) => R, options?: WaitSyncOptions): R
}
/** Of a Lock or an RLock. What a client holds is released when the client ends. */
export interface LockProxy extends Lockable<LockSync> {}
/** Of a Semaphore or a BoundedSemaphore, blocking. */
export interface SemaphoreSync extends LockSync {
  /** How many permits are free. */
  readonly value: number
}
/** Of a Semaphore or a BoundedSemaphore. What a client has acquired comes back when the client ends. */
export interface SemaphoreProxy extends Lockable<SemaphoreSync> {
  /** How many permits are free. */
  readonly value: Promise<number>
}
/** Of a Condition, blocking. */
export interface ConditionSync extends LockSync {
  /** Waits, at most `timeout` ms. As of the class of that name. */
  wait(options?: WaitSyncOptions): boolean
  /** Waits until `predicate`, which runs here, is true; false after `timeout` ms. */
  waitFor(predicate: () => unknown, options?: WaitSyncOptions): boolean
  /** Lets `n` of those that wait go on. */
  notify(n?: number): void
  /** Lets all go on that wait. */
  notifyAll(): void
}
/** Of a Condition. Its lock must be held for wait() and notify(). */
export interface ConditionProxy extends Lockable<ConditionSync> {
  /** Waits, at most `timeout` ms. As of the class of that name. */
  wait(options?: WaitOptions): Promise<boolean>
  /** Waits, at most `timeout` ms. As of the class of that name. Blocks this thread. */
  waitSync(options?: WaitSyncOptions): boolean
  /** Waits until `predicate`, which runs here, is true; false after `timeout` ms. */
  waitFor(predicate: () => unknown, options?: WaitOptions): Promise<boolean>
  /** Waits until `predicate`, which runs here, is true; false after `timeout` ms. Blocks this thread. */
  waitForSync(predicate: () => unknown, options?: WaitSyncOptions): boolean
  /** Lets `n` of those that wait go on. */
  notify(n?: number): Promise<void>
  /** Lets all go on that wait. */
  notifyAll(): Promise<void>
}
/** Of an Event, blocking. */
export interface EventSync {
  /** Is it set? */
  isSet(): boolean
  /** Sets it. */
  set(): void
  /** Empties it. */
  clear(): void
  /** Waits, at most `timeout` ms. As of the class of that name. */
  wait(options?: WaitSyncOptions): boolean
}
/** Of an Event. */
export interface EventProxy extends Twin<EventSync> {
  /** Is it set? */
  isSet(): Promise<boolean>
  /** Sets it. */
  set(): Promise<void>
  /** Empties it. */
  clear(): Promise<void>
  /** Waits, at most `timeout` ms. As of the class of that name. */
  wait(options?: WaitOptions): Promise<boolean>
  /** Waits, at most `timeout` ms. As of the class of that name. Blocks this thread. */
  waitSync(options?: WaitSyncOptions): boolean
}
/** Of a Barrier, blocking. */
export interface BarrierSync {
  /** Waits, at most `timeout` ms. As of the class of that name. */
  wait(options?: WaitSyncOptions): number
  /** Makes it as new; those that wait get BrokenBarrierError. */
  reset(): void
  /** Breaks it: those that wait, and come, get BrokenBarrierError. */
  abort(): void
  /** How many it waits for. */
  readonly parties: number
  /** How many wait now. */
  readonly waiting: number
  /** Is it broken? */
  readonly broken: boolean
}
/** Of a Barrier. */
export interface BarrierProxy extends Twin<BarrierSync> {
  /** Waits, at most `timeout` ms. As of the class of that name. */
  wait(options?: WaitOptions): Promise<number>
  /** Waits, at most `timeout` ms. As of the class of that name. Blocks this thread. */
  waitSync(options?: WaitSyncOptions): number
  /** Makes it as new; those that wait get BrokenBarrierError. */
  reset(): Promise<void>
  /** Breaks it: those that wait, and come, get BrokenBarrierError. */
  abort(): Promise<void>
  /** How many it waits for. */
  readonly parties: Promise<number>
  /** How many wait now. */
  readonly waiting: Promise<number>
  /** Is it broken? */
  readonly broken: Promise<boolean>
}
/** Of a Queue, blocking. */
export interface QueueSync<T> {
  /** Adds a message; waits until there is room, at most `timeout` ms, then QueueFullError. */
  put(value: T, options?: WaitSyncOptions): void
  /** Adds a message if there is room. */
  tryPut(value: T): boolean
  /** Adds messages, in one call of the server. */
  putMany(values: Iterable<T>, options?: WaitSyncOptions): void
  /** Takes the next message; waits for one at most `timeout` ms, then QueueEmptyError. */
  get(options?: WaitSyncOptions): T
  /** The next message, or undefined. */
  tryGet(): T | undefined
  /** Takes all messages that are there, `most` at most; waits for the first. */
  getMany(most?: number, options?: WaitSyncOptions): T[]
  /** How many messages there are. */
  qsize(): number
  /** Is there no message? */
  empty(): boolean
  /** Are there `maxSize` messages? */
  full(): boolean
  /** As of Queue: no more puts; ShutDownError. */
  shutdown(options?: { immediate?: boolean }): void
}
/** Of a Queue. */
export interface QueueProxy<T = any> extends Twin<QueueSync<T>>, AsyncIterable<T> {
  /** Adds a message; waits until there is room, at most `timeout` ms, then QueueFullError. */
  put(value: T, options?: WaitOptions): Promise<void>
  /** Adds a message; waits until there is room, at most `timeout` ms, then QueueFullError. Blocks this thread. */
  putSync(value: T, options?: WaitSyncOptions): void
  /** Adds a message if there is room. */
  tryPut(value: T): Promise<boolean>
  /** Adds messages, in one call of the server. */
  putMany(values: Iterable<T>, options?: WaitOptions): Promise<void>
  /** Adds messages, in one call of the server. Blocks this thread. */
  putManySync(values: Iterable<T>, options?: WaitSyncOptions): void
  /** Takes the next message; waits for one at most `timeout` ms, then QueueEmptyError. */
  get(options?: WaitOptions): Promise<T>
  /** Takes the next message; waits for one at most `timeout` ms, then QueueEmptyError. Blocks this thread. */
  getSync(options?: WaitSyncOptions): T
  /** The next message, or undefined. */
  tryGet(): Promise<T | undefined>
  /** Takes all messages that are there, `most` at most; waits for the first. */
  getMany(most?: number, options?: WaitOptions): Promise<T[]>
  /** Takes all messages that are there, `most` at most; waits for the first. Blocks this thread. */
  getManySync(most?: number, options?: WaitSyncOptions): T[]
  /** How many messages there are. */
  qsize(): Promise<number>
  /** Is there no message? */
  empty(): Promise<boolean>
  /** Are there `maxSize` messages? */
  full(): Promise<boolean>
  /** As of Queue: no more puts; ShutDownError. */
  shutdown(options?: { immediate?: boolean }): Promise<void>
}
/** Of a JoinableQueue. */
export interface JoinableQueueProxy<T = any> extends QueueProxy<T> {
  /** One message that was taken is done. */
  taskDone(): Promise<void>
  /** Waits until all is done: true; false after `timeout` ms. */
  join(options?: WaitOptions): Promise<boolean>
  /** Waits until all is done: true; false after `timeout` ms. Blocks this thread. */
  joinSync(options?: WaitSyncOptions): boolean
}
/** Of a value, blocking. */
export interface ValueSync {
  /** The value. */
  value: any
  /** The value. */
  get(): any
  /** Sets the value. */
  set(value: any): void
  /** Adds; gives the value from before. */
  add(n: any): any
  /** Subtracts; gives the value from before. */
  sub(n: any): any
  /** Bitwise and; gives the value from before. */
  and(n: any): any
  /** Bitwise or; gives the value from before. */
  or(n: any): any
  /** Bitwise exclusive or; gives the value from before. */
  xor(n: any): any
  /** Stores `value`; gives the one from before. */
  exchange(value: any): any
  /** Stores `next` if the value is `expected`; gives what was found. */
  compareExchange(expected: any, next: any): any
  /** The value. */
  load(): any
  /** Stores `value`, and gives it. */
  store(value: any): any
  /** Read-modify-write under its lock. */
  update(change: (value: any) => any): any
  /** The lock of the value or array, as a proxy. */
  getLock(): LockProxy
}
/** Of a value; `value` itself is read by `await` and set in order. */
export type ValueProxy = {
  /** A promise of the value; what is assigned is sent in order. */ value: any
} & Omit<Remote<ValueSync>, 'value' | 'sync' | 'getLock'> & {
    /** The blocking twin. */
    readonly sync: ValueSync
    /** The lock of the value or array, as a proxy. */
    getLock(): Promise<LockProxy>
  }
/** Of an array, blocking. */
export interface ArraySync {
  [index: number]: any
  /** How many elements. */
  readonly length: number
  /** Element `index`. */
  get(index: number): any
  /** Sets element `index`, or elements from `offset` on. */
  set(index: number, value: any): void
  /** Sets element `index`, or elements from `offset` on. */
  set(values: ArrayLike<any>, offset?: number): void
  /** Element `index`; a negative one counts from the end. */
  at(index: number): any
  /** A plain copy of a part. */
  slice(start?: number, end?: number): any
  /** All of it, as a plain copy. */
  copy(): any
  /** Fills a part with `value`. */
  fill(value: any, start?: number, end?: number): void
  /** The lock of the value or array, as a proxy. */
  getLock(): LockProxy
  /** Its elements, in one call of the server. */
  [Symbol.iterator](): Iterator<any>
}
/** Of a typed array. */
export interface ArrayProxy extends Twin<ArraySync>, AsyncIterable<any> {
  [index: number]: any
  /** How many elements. */
  readonly length: Promise<number>
  /** Element `index`. */
  get(index: number): Promise<any>
  /** Sets element `index`, or elements from `offset` on. */
  set(index: number, value: any): Promise<void>
  /** Sets element `index`, or elements from `offset` on. */
  set(values: ArrayLike<any>, offset?: number): Promise<void>
  /** Element `index`; a negative one counts from the end. */
  at(index: number): Promise<any>
  /** A plain copy of a part. */
  slice(start?: number, end?: number): Promise<any>
  /** All of it, as a plain copy. */
  copy(): Promise<any>
  /** Fills a part with `value`. */
  fill(value: any, start?: number, end?: number): Promise<void>
  /** The lock of the value or array, as a proxy. */
  getLock(): Promise<LockProxy>
}
/** A pool whose workers are children of the manager's server. Functions travel by value or by reference, as everywhere. */
export interface PoolProxy {
  /** The blocking twin. */
  readonly sync: any
  /** As Pool.apply(). */
  apply<R>(fn: (...args: any[]) => R, args?: readonly unknown[], options?: object): Promise<Awaited<R>>
  /** As Pool.map(). */
  map<T, R>(fn: (item: T) => R, items: Iterable<T>, options?: object): Promise<Awaited<R>[]>
  /** As Pool.starmap(). */
  starmap<R>(fn: (...args: any[]) => R, items: Iterable<readonly unknown[]>, options?: object): Promise<Awaited<R>[]>
  /** As Pool.imap(). */
  imap<T, R>(fn: (item: T) => R, items: Iterable<T>, options?: object): Promise<AsyncIterable<Awaited<R>>>
  /** As Pool.imapUnordered(). */
  imapUnordered<T, R>(fn: (item: T) => R, items: Iterable<T>, options?: object): Promise<AsyncIterable<Awaited<R>>>
  /** As Pool.close(). */
  close(): Promise<void>
  /** As Pool.terminate(). */
  terminate(): Promise<void>
  /** As Pool.join(). */
  join(options?: WaitOptions): Promise<boolean>
  /** As Pool.join(). Blocks this thread. */
  joinSync(options?: WaitSyncOptions): boolean
  /** As Pool.stats(). */
  stats(): Promise<any>
}
