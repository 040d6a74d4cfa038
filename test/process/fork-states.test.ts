// Forks from a process that is busy in every way that is known to be dangerous. A bounded number here; `npm run soak -- fork`
// does the long one (docs/start-methods.md has the results). MULTIPROC_NODES: paths of other versions of node.
import { describe, expect, test } from 'vitest'
import { METHODS, program } from './program'

const FORKS = Number(process.env.MULTIPROC_FORKS ?? 100)
const NODES = process.env.MULTIPROC_NODES?.split(',') ?? [process.execPath]
const STATES = ['idle', 'jit', 'gc', 'fs', 'crypto', 'http', 'all']
const PER_FORK_MS = 600
const LANES = '4'

describe.each(NODES)('%s', (node) => {
  describe.each(METHODS.filter((method) => method !== 'spawn'))('%s', (method) => {
    // The forkserver's template is idle whatever its owner does.
    const states = method === 'fork' ? STATES : ['idle', 'all']
    test.each(states)(
      'state %s',
      async (state) => {
        const timeout = 30_000 + FORKS * PER_FORK_MS
        const { stdout } = await program('states.mjs', [state, String(FORKS), LANES], { method, node, timeout })
        const { ok, refused, hung, wrong, why } = JSON.parse(stdout)
        expect({ ok, refused, hung, wrong, why }).toEqual({ ok: FORKS, refused: 0, hung: 0, wrong: {}, why: undefined })
      },
      60_000 + FORKS * PER_FORK_MS,
    )
  })
})
