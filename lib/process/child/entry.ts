// The first file that a child runs (dist/child.cjs): as little as possible, since node's own start is what costs.
import { CHILD_VARIABLE } from '../environment'

const ticket = process.env[CHILD_VARIABLE]
if (ticket === undefined) {
  process.stderr.write('this file is run by multiproc, in the processes that it starts\n')
  process.exit(1)
}
delete process.env[CHILD_VARIABLE]
// The package itself, not a copy: user code in this child must find the same instance.
require('./index.cjs').__runChild(ticket)
