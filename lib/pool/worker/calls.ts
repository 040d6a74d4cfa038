// What the calls of functions have in common.

/** Microseconds since then, by performance.now(). */
export function since(begun: number): number {
  return Math.min(0xffffffff, (performance.now() - begun) * 1000)
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    (typeof value === 'object' || typeof value === 'function') &&
    value !== null &&
    typeof (value as PromiseLike<unknown>).then === 'function'
  )
}
