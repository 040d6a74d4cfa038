// How instances of a class say how they are to be rebuilt.

/**
 * A class whose instances cannot be copied field by field (they have private fields, or hold a system resource) gives them a method
 * of this name. It takes nothing and returns `[rebuild, args]`; the receiver calls `rebuild(...args)` and has the instance. It runs
 * during the call that sends, does not wait, and may throw. `rebuild` is one of
 *
 * * the class itself: `new rebuild(...args)`;
 * * a static method of the instance's class or of a class that it extends: called on that class, so `this` is the class;
 * * any other function: called with `this` undefined.
 *
 * `rebuild` and `args` travel as everything else does. The arguments must not contain the instance itself.
 *
 * ```ts
 * class Point {
 *   #x
 *   constructor(x) { this.#x = x }
 *   [Symbol.for('multiproc.reduce')]() { return [Point, [this.#x]] }
 * }
 * ```
 */
export const REDUCE: unique symbol = Symbol.for('multiproc.reduce') as any

export interface Reduced {
  how: 'new' | 'call' | 'static'
  by: object
  key?: string
  args: unknown[]
}

/** What the hook of `object` says, or undefined where it has none. Throws a TypeError when the hook does not return a pair. */
export function reduce(object: object): Reduced | undefined {
  const hook = (object as any)[REDUCE]
  if (typeof hook !== 'function') return undefined
  const pair = hook.call(object)
  if (!Array.isArray(pair) || typeof pair[0] !== 'function' || !Array.isArray(pair[1]))
    throw new TypeError(`[Symbol.for('multiproc.reduce')]() must return [function, arguments]`)
  const [by, args] = pair
  if (/^class\b/.test(Function.prototype.toString.call(by))) return { how: 'new', by, args }
  for (
    let C = (object as any).constructor;
    typeof C === 'function' && C !== Function.prototype;
    C = Object.getPrototypeOf(C)
  ) {
    if (C === by) return { how: 'new', by, args }
    for (const key of Object.getOwnPropertyNames(C))
      if (Object.getOwnPropertyDescriptor(C, key)!.value === by) return { how: 'static', by: C, key, args }
  }
  return { how: 'call', by, args }
}
