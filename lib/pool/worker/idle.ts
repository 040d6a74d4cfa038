// Has the event loop of a worker anything to do? Then the worker must not block beneath it.

let stdioLet = false

/** Nothing keeps this thread's event loop alive but what waits for tasks. */
export function hasNothingToDo(): boolean {
  const resources = process.getActiveResourcesInfo()
  if (resources.length === 0) return true
  // Streams that were used for output keep a loop alive as such, and never have anything to do: their writes block.
  if (stdioLet || !resources.every((type) => type === 'PipeWrap' || type === 'TTYWrap' || type === 'TTY')) return false
  stdioLet = true
  for (const stream of [process.stdout, process.stderr])
    (stream as unknown as { _handle?: { unref?(): void } })._handle?.unref?.()
  return process.getActiveResourcesInfo().length === 0
}
