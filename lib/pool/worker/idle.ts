// Has the event loop of a worker anything to do? Then the worker must not block beneath it, nor end.

let outputs: NodeJS.WriteStream[] | undefined

/** Nothing keeps this thread's event loop alive but what waits for tasks. */
export function hasNothingToDo(): boolean {
  let resources = process.getActiveResourcesInfo()
  if (resources.length > 0 && outputs === undefined && resources.some(isOutput)) {
    // They have been used. As such they keep a loop alive and have nothing to do: what counts is what is not written yet.
    outputs = [process.stdout, process.stderr]
    for (const stream of outputs) (stream as unknown as { _handle?: { unref?(): void } })._handle?.unref?.()
    resources = process.getActiveResourcesInfo()
  }
  return resources.length === 0 && unwritten().length === 0
}
function isOutput(type: string): boolean {
  return type === 'PipeWrap' || type === 'TTYWrap' || type === 'TTY'
}
function unwritten(): NodeJS.WriteStream[] {
  return (outputs ?? []).filter((stream) => stream.writableLength > 0 && !stream.destroyed)
}

/** Ends this process, or thread, when what it has written has left it. */
export function endInOrder(): void {
  hasNothingToDo()
  const left = unwritten()
  let waiting = left.length
  if (waiting === 0) process.exit(0)
  const one = (): void => {
    if (--waiting === 0) process.exit(0)
  }
  for (const stream of left) {
    ;(stream as unknown as { _handle?: { ref?(): void } })._handle?.ref?.()
    stream.once('error', one)
    stream.write('', one)
  }
}
