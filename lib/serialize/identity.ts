// Which class is which, across processes: a class that travelled by value and comes home, or arrives twice, is the same class.
import { onFork } from '../memory'

let prefix = ''
// A forked child names its own classes otherwise than its parent does from now on.
onFork(() => {
  prefix = ''
})
let count = 0
const ids = new WeakMap<object, string>()
const classes = new Map<string, WeakRef<object>>()
const forget = new FinalizationRegistry<string>((id) => classes.delete(id))

/** The id under which this class travels. */
export function classId(C: object): string {
  const known = ids.get(C)
  if (known) return known
  // No two processes of a machine have the same pid at the same time.
  prefix ||= `${process.pid.toString(36)}.${process.hrtime.bigint().toString(36)}`
  const id = `${prefix}:${count++}`
  setClassId(C, id)
  return id
}
export function setClassId(C: object, id: string): void {
  ids.set(C, id)
  classes.set(id, new WeakRef(C))
  forget.register(C, id)
}
export function classOfId(id: string): object | undefined {
  return classes.get(id)?.deref()
}
