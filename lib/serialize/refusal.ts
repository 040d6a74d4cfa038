// Why a function or value cannot travel, before the walk adds where it was found. Recognised by a mark: the walk and the function
// reader are in two bundles, each with its own copy of this class.

export class Refusal extends Error {
  readonly isRefusal = true
  constructor(
    /** Follows the path: "is a native function". */
    readonly why: string,
    /** What the user can do instead. */
    readonly wayOut: string,
    /** Appended to the path. */
    readonly where = '',
  ) {
    super(why)
  }
}
export function isRefusal(error: unknown): error is Refusal {
  return (error as Refusal | undefined)?.isRefusal === true
}
