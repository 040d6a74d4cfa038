// What becomes of the children when this process ends.
//
//   normal end       'beforeExit': non-daemons are joined (the loop goes on until they have ended), then as below
//   process.exit(),
//   uncaught error   'exit': daemons get SIGTERM (and SIGKILL when we are gone: child/parent-watch.ts), nobody is waited
//                    for; non-daemons are told that we left in order, and go on (those that boot get the time for it)
//   killed           nothing runs here: each child's helper thread sees it (child/parent-watch.ts)
import { registry } from './registry'
import { stateOf } from './state'

const BOOT_MS = 1000

let installed = false

/** At the first start of a child: a program that starts none pays nothing. */
export function installExitHooks(): void {
  if (installed) return
  installed = true
  process.on('beforeExit', joinNonDaemons)
  process.on('exit', leave)
}

/** In a forked child: the hooks of its parent are gone, with all listeners. */
export function resetExitHooks(): void {
  installed = false
}

function joinNonDaemons(): void {
  // Only unref()ed ones can still run here. Each keeps the loop alive from now on, and beforeExit comes again.
  for (const child of registry.children) if (!child.daemon) stateOf(child).running!.setRef(true)
}

function leave(): void {
  const deadline = performance.now() + BOOT_MS
  for (const child of registry.children) {
    const running = stateOf(child).running!
    if (child.daemon) running.signal('SIGTERM')
    else running.letGo(Math.max(0, deadline - performance.now()))
  }
}
