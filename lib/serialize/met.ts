// The objects that a walk has met. Most values have a handful: those are looked for in a list, which is faster than a Set.
const LISTED = 32

export class Met {
  private readonly list: (object | undefined)[] = []
  private listed = 0
  private others: Set<object> | undefined

  /** Adds the object; false where it was met before. */
  add(object: object): boolean {
    const { list, listed } = this
    for (let k = 0; k < listed; k++) if (list[k] === object) return false
    if (listed < LISTED) {
      list[listed] = object
      this.listed = listed + 1
      return true
    }
    this.others ??= new Set()
    if (this.others.has(object)) return false
    this.others.add(object)
    return true
  }
  forget(): void {
    const { list, listed } = this
    for (let k = 0; k < listed; k++) list[k] = undefined
    this.others?.clear()
    this.listed = 0
  }
}
