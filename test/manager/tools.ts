// What the tests of managers share.
import * as mp from 'multiproc'

/** Runs `fn` in a child, and throws if the child does not end well. */
export async function inChild<A extends unknown[]>(
  fn: (...args: A) => unknown,
  args: A,
  context: { Process: typeof mp.Process } = mp,
): Promise<void> {
  const child = new context.Process({ target: fn, args } as any)
  child.start()
  await child.started
  await child.join()
  if (child.exitCode !== 0) throw new Error(`the child ended with ${child.exitCode}`)
}
