// The environment variables by which a parent speaks to its child.

/** What the child is told on its way in: set by the parent, deleted by the child's entry before user code runs. */
export const CHILD_VARIABLE = 'MULTIPROC_CHILD'
/** How many processes of this package stand between the first one and this one. */
export const DEPTH_VARIABLE = 'MULTIPROC_DEPTH'
/** The deepest generation that may be started; read in the process that starts. Users may set it. */
export const MAX_DEPTH_VARIABLE = 'MULTIPROC_MAX_DEPTH'
