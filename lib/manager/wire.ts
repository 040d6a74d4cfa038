// What a client and the server of a manager say to each other.
//
//   client ──▶ server   [Op, …], one after the other. Its number, which both count, names its answer; so a message that cannot be
//                       read has a name, too
//   server ──▶ client   [number, Status, value], in any order; number * 2 alone: undefined; number * 2 + 1: the
//                       object itself. A value that may be unreadable for want of a class is announced:
//                       [number, Status.next], then a message that is the value
//
// Objects are named by the indices of this connection: those that the client chose (even) or the server did (odd). What a client
// has indices for lives; when the connection ends, all of them end.

import { binding } from '../binding'

export const Op = {
  /** id of the client */
  hello: 0,
  /** index, method, and the arguments one by one */
  call: 1,
  /** index, property */
  get: 2,
  /** index, property, value */
  set: 3,
  /** index, type, arguments */
  create: 4,
  /** index; answered by nobody */
  drop: 5,
  /** index, ticket: another client's object */
  open: 6,
  /** index, token: the object lives as long as somebody holds the other end of this connection */
  keep: 7,
  /** number of a call; answered by nobody */
  cancel: 8,
  /** index, [method, arguments, …]: all of them, to the first that fails */
  batch: 9,
  shutdown: 10,
  /** What Server.numberOfObjects says. */
  count: 11,
  /** The client is there: see network.ts. */
  alive: 12,
} as const

export const Status = {
  ok: 0,
  /** value: what failure.ts wrote */
  failed: 1,
  /** The result is the object itself. */
  self: 2,
  cancelled: 3,
  next: 4,
  /** The property is a method. */
  method: 5,
} as const

/** What a client knows of a type of objects. */
export interface Shape {
  /** The name under which it is registered. */
  readonly type: string
  /** Which proxies it has: the name of a built-in type, or 'object'. */
  readonly kind: string
  readonly methods: readonly string[]
  readonly properties: readonly string[]
  /** There may be more members than these: only the server knows. */
  readonly open?: boolean
}

/** The method that gives the items of an object. */
export const ITERATE = 'Symbol.iterator'

/** What reading a property gives that is a method. */
export const METHOD: unique symbol = Symbol('multiproc.method')

export type Message = readonly unknown[]

/** How many bytes of chance are in a random name. */
export const ID_BYTES = 16

/** A random name that nobody guesses. */
export function randomId(): string {
  return Buffer.from(binding().randomBytes(ID_BYTES)).toString('base64url')
}
