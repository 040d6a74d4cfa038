// Ctrl-C. It reaches all processes of the terminal: workers ignore it, and the process with the pool, unless the program has a
// handler of its own, ends its pools in order and then itself by the same signal. A second one is not caught: it ends all at once.
// While a Sync call blocks the thread no handler could run, so none is installed, and the first one ends all at once. It is
// installed again when the event loop has turned: many Sync calls in a row pay for that once.

export interface Interruptible {
  /** Ends the workers; resolves when they are gone. */
  interrupted(): Promise<void>
}

const pools = new Set<Interruptible>()
let installed = false
let blocked = false
let main: boolean | undefined

function onInterrupt(): void {
  if (process.listenerCount('SIGINT') > 1) return
  remove()
  const again = (): void => void process.kill(process.pid, 'SIGINT')
  Promise.all([...pools].map((pool) => pool.interrupted())).then(again, again)
}
function install(): void {
  main ??= process.getBuiltinModule('node:worker_threads').isMainThread
  if (installed || blocked || pools.size === 0 || !main) return
  installed = true
  process.on('SIGINT', onInterrupt)
}
function remove(): void {
  if (!installed) return
  installed = false
  process.removeListener('SIGINT', onInterrupt)
}

export function onCtrlC(pool: Interruptible): () => void {
  pools.add(pool)
  install()
  return () => {
    pools.delete(pool)
    if (pools.size === 0) remove()
  }
}
/** This thread is about to block, perhaps for long. */
export function aboutToBlock(): void {
  if (blocked || pools.size === 0) return
  blocked = true
  remove()
  setImmediate(() => {
    blocked = false
    install()
  }).unref()
}
