// What TypeScript knows of proxies.
import type { Held } from '../sync'
import type { WaitOptions, WaitSyncOptions } from '../wait-options'

type Fn = (...args: any[]) => unknown

/** The proxy of a T: methods and properties give promises; those of `sync` block and give values. */
export type Remote<T> = {
  readonly [K in keyof T as T[K] extends Fn ? K : never]: T[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never
} & { readonly [K in keyof T as T[K] extends Fn ? never : K]: Promise<T[K]> } & Twin<T>

interface Twin<S> {
  /** The blocking twin. */
  readonly sync: S & { batch(write: (batch: any) => unknown): any[] }
  /** Many calls as one message; their results. */
  batch(write: (batch: any) => unknown): Promise<any[]>
  batch(): any
}

interface DictMore<K, V> {
  copy(): Map<K, V>
  getMany(keys: readonly K[]): (V | undefined)[]
  assign(entries: Iterable<readonly [K, V]> | Readonly<Record<string, V>>): void
  pop(key: K): V | undefined
  setDefault(key: K, value: V): V
  update(key: K, change: (value: V | undefined) => V | Promise<V>): V
}
interface ListMore<T> {
  copy(): T[]
  get(index: number): T | undefined
  set(index: number, value: T): void
  extend(items: Iterable<T>): number
  clear(): void
  remove(value: T): boolean
  insert(index: number, value: T): void
}
interface SetMore<T> {
  copy(): Set<T>
  pop(): T | undefined
  extend(members: Iterable<T>): void
}
export type DictProxy<K = any, V = any> = Remote<Map<K, V> & DictMore<K, V>> & AsyncIterable<[K, V]>
export type ListProxy<T = any> = Remote<T[] & ListMore<T>> & AsyncIterable<T>
export type SetProxy<T = any> = Remote<Set<T> & SetMore<T>> & AsyncIterable<T>
/** `any` where nothing is known of the names. */
export type NamespaceProxy<T = any> = unknown extends T
  ? any
  : { [K in keyof T]: Promise<T[K]> } & {
      readonly sync: T
      get<K extends keyof T>(name: K): Promise<T[K]>
      set<K extends keyof T>(name: K, value: T[K]): Promise<void>
    }

interface AcquirerSync {
  acquire(options?: { timeout?: undefined }): Held
  acquire(options?: WaitSyncOptions): Held | null
  tryAcquire(): Held | null
  release(): void
  locked(): boolean
  with<R>(fn: (held: Held) => R, options?: WaitSyncOptions): R
}
interface Acquirer<S> extends Twin<S> {
  acquire(options?: { timeout?: undefined; signal?: AbortSignal }): Promise<Held>
  acquire(options?: WaitOptions): Promise<Held | null>
  acquireSync(options?: { timeout?: undefined }): Held
  acquireSync(options?: WaitSyncOptions): Held | null
  tryAcquire(): Promise<Held | null>
  release(): Promise<void>
  locked(): Promise<boolean>
  with<R>(fn: (held: Held) => R | PromiseLike<R>, options?: WaitOptions): Promise<R>
  withSync<R>(fn: (held: Held) => R, options?: WaitSyncOptions): R
}
/** Of a Lock or an RLock. What a client holds is released when the client ends. */
export interface LockProxy extends Acquirer<AcquirerSync> {}
export interface SemaphoreProxy extends Acquirer<AcquirerSync & { readonly value: number }> {
  readonly value: Promise<number>
}
interface ConditionSync extends AcquirerSync {
  wait(options?: WaitSyncOptions): boolean
  waitFor(predicate: () => unknown, options?: WaitSyncOptions): boolean
  notify(n?: number): void
  notifyAll(): void
}
export interface ConditionProxy extends Acquirer<ConditionSync> {
  wait(options?: WaitOptions): Promise<boolean>
  waitSync(options?: WaitSyncOptions): boolean
  waitFor(predicate: () => unknown, options?: WaitOptions): Promise<boolean>
  waitForSync(predicate: () => unknown, options?: WaitSyncOptions): boolean
  notify(n?: number): Promise<void>
  notifyAll(): Promise<void>
}
interface EventSync {
  isSet(): boolean
  set(): void
  clear(): void
  wait(options?: WaitSyncOptions): boolean
}
export interface EventProxy extends Twin<EventSync> {
  isSet(): Promise<boolean>
  set(): Promise<void>
  clear(): Promise<void>
  wait(options?: WaitOptions): Promise<boolean>
  waitSync(options?: WaitSyncOptions): boolean
}
interface BarrierSync {
  wait(options?: WaitSyncOptions): number
  reset(): void
  abort(): void
  readonly parties: number
  readonly waiting: number
  readonly broken: boolean
}
export interface BarrierProxy extends Twin<BarrierSync> {
  wait(options?: WaitOptions): Promise<number>
  waitSync(options?: WaitSyncOptions): number
  reset(): Promise<void>
  abort(): Promise<void>
  readonly parties: Promise<number>
  readonly waiting: Promise<number>
  readonly broken: Promise<boolean>
}
interface QueueSync<T> {
  put(value: T, options?: WaitSyncOptions): void
  tryPut(value: T): boolean
  putMany(values: Iterable<T>, options?: WaitSyncOptions): void
  get(options?: WaitSyncOptions): T
  tryGet(): T | undefined
  getMany(most?: number, options?: WaitSyncOptions): T[]
  qsize(): number
  empty(): boolean
  full(): boolean
  shutdown(options?: { immediate?: boolean }): void
}
export interface QueueProxy<T = any> extends Twin<QueueSync<T>>, AsyncIterable<T> {
  put(value: T, options?: WaitOptions): Promise<void>
  putSync(value: T, options?: WaitSyncOptions): void
  tryPut(value: T): Promise<boolean>
  putMany(values: Iterable<T>, options?: WaitOptions): Promise<void>
  putManySync(values: Iterable<T>, options?: WaitSyncOptions): void
  get(options?: WaitOptions): Promise<T>
  getSync(options?: WaitSyncOptions): T
  tryGet(): Promise<T | undefined>
  getMany(most?: number, options?: WaitOptions): Promise<T[]>
  getManySync(most?: number, options?: WaitSyncOptions): T[]
  qsize(): Promise<number>
  empty(): Promise<boolean>
  full(): Promise<boolean>
  shutdown(options?: { immediate?: boolean }): Promise<void>
}
export interface JoinableQueueProxy<T = any> extends QueueProxy<T> {
  taskDone(): Promise<void>
  join(options?: WaitOptions): Promise<boolean>
  joinSync(options?: WaitSyncOptions): boolean
}
interface ValueSync {
  value: any
  get(): any
  set(value: any): void
  add(n: any): any
  sub(n: any): any
  and(n: any): any
  or(n: any): any
  xor(n: any): any
  exchange(value: any): any
  compareExchange(expected: any, next: any): any
  load(): any
  store(value: any): any
  update(change: (value: any) => any): any
  getLock(): LockProxy
}
export type ValueProxy = { value: any } & Omit<Remote<ValueSync>, 'value' | 'sync' | 'getLock'> & {
    readonly sync: ValueSync
    getLock(): Promise<LockProxy>
  }
interface ArraySync {
  [index: number]: any
  readonly length: number
  get(index: number): any
  set(index: number, value: any): void
  set(values: ArrayLike<any>, offset?: number): void
  at(index: number): any
  slice(start?: number, end?: number): any
  copy(): any
  fill(value: any, start?: number, end?: number): void
  getLock(): LockProxy
  [Symbol.iterator](): Iterator<any>
}
export interface ArrayProxy extends Twin<ArraySync>, AsyncIterable<any> {
  [index: number]: any
  readonly length: Promise<number>
  get(index: number): Promise<any>
  set(index: number, value: any): Promise<void>
  set(values: ArrayLike<any>, offset?: number): Promise<void>
  at(index: number): Promise<any>
  slice(start?: number, end?: number): Promise<any>
  copy(): Promise<any>
  fill(value: any, start?: number, end?: number): Promise<void>
  getLock(): Promise<LockProxy>
}
/** A pool whose workers are children of the manager's server. Functions travel by value or by reference, as everywhere. */
export interface PoolProxy {
  readonly sync: any
  apply<R>(fn: (...args: any[]) => R, args?: readonly unknown[], options?: object): Promise<Awaited<R>>
  map<T, R>(fn: (item: T) => R, items: Iterable<T>, options?: object): Promise<Awaited<R>[]>
  starmap<R>(fn: (...args: any[]) => R, items: Iterable<readonly unknown[]>, options?: object): Promise<Awaited<R>[]>
  imap<T, R>(fn: (item: T) => R, items: Iterable<T>, options?: object): Promise<AsyncIterable<Awaited<R>>>
  imapUnordered<T, R>(fn: (item: T) => R, items: Iterable<T>, options?: object): Promise<AsyncIterable<Awaited<R>>>
  close(): Promise<void>
  terminate(): Promise<void>
  join(options?: WaitOptions): Promise<boolean>
  joinSync(options?: WaitSyncOptions): boolean
  stats(): Promise<any>
}
