// The child's watch over its parent: no orphan stays behind, even if the thread of this child is blocked or busy.
//
//   the parent ended in order      it let go of its non-daemons first (exit.ts): they go on
//   it was killed, or crashed      the native helper thread sees it: it kills a daemon at once, a non-daemon after a
//                                  moment in which it may notice (parentProcess().join()) and end by itself
import { binding } from '../../binding'
import { onRing } from '../../memory'
import { parentEnded } from '../parent'

export function watchParent(): void {
  let known = false
  const look = () => {
    if (known || !binding().parentEnded()) return
    known = true
    parentEnded()
  }
  onRing(look)
  look()
}
