// Why a function or value cannot travel, before the walk adds where it was found.

export class Refusal extends Error {
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
