// Waits that a forked child inherits: its parent waits there, and the child must not go on where its parent would.
import { StateError } from '../errors'

let unnoticed: Set<unknown> | undefined

/** Why a wait of the parent's rejects in the child. A task of the parent's that does not catch it ends quietly. */
export function inheritedWait(label: string): StateError {
  const error = new StateError(`the parent process waits for ${label}, not this forked child: start a wait of your own`)
  if (unnoticed === undefined) {
    unnoticed = new Set()
    process.on('unhandledRejection', ignore)
  }
  unnoticed.add(error)
  return error
}

function ignore(reason: unknown): void {
  if (unnoticed?.has(reason)) return
  if (process.listenerCount('unhandledRejection') === 1) throw reason // as without a listener
}
