// What a server knows of the types that it serves, and of the objects of them.
import { StateError } from '../errors'
import type { Call } from './call'
import { ITERATE, type Shape } from './wire'

export type Method = (this: any, ...args: any[]) => unknown

/** A type as the server has it. */
export interface ServedType {
  readonly shape: Shape
  make(args: readonly unknown[], call: Call): unknown
  /** Its methods take the call as their first argument: they may wait, and hold things for a client. */
  readonly waits: boolean
  /** The method of this name, if clients may call it. */
  method(target: any, name: string): Method | undefined
  /** May clients read and set this property? */
  property(target: any, name: string): boolean
  get?(target: any, name: string): unknown
  set?(target: any, name: string, value: unknown): void
  /** Which type the results of a method are objects of, instead of being copied. */
  resultType?(name: string): ServedType | undefined
}

/** An object that clients have references to. It lives as long as somebody has: a client, or another object. */
export class Entry {
  constructor(
    readonly target: any,
    readonly type: ServedType,
  ) {}
}

/** A type whose methods are those of a class of ours, and nothing else. */
export function builtin(
  type: string,
  methods: string,
  properties: string,
  make: ServedType['make'],
  more: Partial<ServedType> = {},
): ServedType {
  const exposed = new Set(methods.split(' ').filter(Boolean))
  const readable = new Set(properties.split(' ').filter(Boolean))
  return {
    shape: { type, kind: type, methods: [...exposed], properties: [...readable] },
    make,
    waits: false,
    method: (target, name) => (exposed.has(name) ? target[name] : undefined),
    property: (_target, name) => readable.has(name),
    ...more,
  }
}

export interface Registration {
  readonly callable?: ((...args: any[]) => unknown) | undefined
  readonly exposed?: readonly string[] | undefined
  readonly resultTypes?: Readonly<Record<string, string>> | undefined
}

/** A type that a user has registered: a class, or a function that gives an object. */
export function registered(type: string, registration: Registration, typeOf: (name: string) => ServedType): ServedType {
  const { callable, exposed, resultTypes } = registration
  const known = exposed === undefined ? undefined : new Set(exposed)
  const isClass = callable !== undefined && isClassText(callable)
  const methods: string[] = []
  const properties: string[] = []
  if (isClass) {
    for (const [name, isMethod] of membersOf((callable as any).prototype))
      if (known === undefined ? isPublic(name) : known.has(name)) (isMethod ? methods : properties).push(name)
    for (const name of known ?? []) if (!methods.includes(name) && !properties.includes(name)) properties.push(name) // the constructor makes it
  }
  const allowed = (target: object, name: string): boolean =>
    known === undefined ? isPublic(name) && hasMember(target, name) : known.has(name)
  return {
    shape: { type, kind: 'object', methods, properties, open: !isClass || known === undefined },
    make(args) {
      if (callable === undefined)
        throw new StateError(
          `'${type}' was registered without a function: only its server can make it`,
          'ERR_MP_NOT_EXPOSED',
        )
      return isClass ? new (callable as any)(...args) : callable(...args)
    },
    waits: false,
    method(target, name) {
      if (name === ITERATE) return known === undefined || known.has(name) ? iterator(target) : undefined
      if (!allowed(target, name)) return undefined
      const member = target[name]
      return typeof member === 'function' ? member : undefined
    },
    property: allowed,
    resultType: (name) =>
      resultTypes !== undefined && Object.hasOwn(resultTypes, name) ? typeOf(resultTypes[name]!) : undefined,
  }
}

/** The items of an object, for who iterates over its proxy. */
function iterator(target: any): Method | undefined {
  if (typeof target[Symbol.asyncIterator] === 'function')
    return async function* () {
      yield* target
    }
  if (typeof target[Symbol.iterator] !== 'function') return undefined
  return function* () {
    yield* target
  }
}

export function isClassText(callable: (...args: any[]) => unknown): boolean {
  return /^class\b/.test(Function.prototype.toString.call(callable))
}
function isPublic(name: string): boolean {
  return name !== 'constructor' && name !== 'then' && !name.startsWith('_')
}
/** Has the object, or a class of it, this member? What every object has does not count. */
function hasMember(target: object, name: string): boolean {
  for (let o = target; o !== null && o !== Object.prototype && o !== Function.prototype; o = Object.getPrototypeOf(o))
    if (Object.hasOwn(o, name)) return true
  return false
}
function membersOf(prototype: object): Map<string, boolean> {
  const members = new Map<string, boolean>()
  for (let o = prototype; o !== null && o !== Object.prototype; o = Object.getPrototypeOf(o))
    for (const name of Object.getOwnPropertyNames(o)) {
      const d = Object.getOwnPropertyDescriptor(o, name)!
      if (name !== 'constructor' && !members.has(name)) members.set(name, typeof d.value === 'function')
    }
  return members
}
