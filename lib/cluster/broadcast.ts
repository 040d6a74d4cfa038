// broadcast(): one call in each worker of each node that is there now. Nodes are asked directly: what is not there runs nothing.

import type { Ending } from '../pool/calls'
import type { Settings } from '../pool/job'
import { decodeFailure, MapJob, StateError } from './core'
import type { TaskHeader } from './frames'
import { packFrame, packParts, unpackFrames } from './frames'
import type { ClusterFunction } from './functions'
import type { CheckedOptions } from './options'
import type { Submitter } from './submitter'
import { decodeValue } from './tame'

const NODES_MS = 1000
const ANSWER_MS = 60_000

export class Broadcast extends MapJob {
  readonly #submitter: Submitter
  readonly #bytes: ClusterFunction

  constructor(submitter: Submitter, fn: object, call: ClusterFunction, settings: Settings, ending: Ending) {
    super(submitter, fn, call, settings, ending, 0)
    this.#submitter = submitter
    this.#bytes = call
    submitter.begin(this)
  }
  async run(options: CheckedOptions, args: Uint8Array): Promise<void> {
    const submitter = this.#submitter
    const { ref, name, bytes } = this.#bytes
    try {
      const { nc, names } = await submitter.opened
      const header: TaskHeader = {
        v: 1,
        pool: names.pool,
        session: submitter.session,
        unit: 'broadcast',
        fn: ref,
        name,
        count: 1,
        grace: 0,
        retries: 0,
        priority: 0,
      }
      const message = packFrame(header, [packParts(bytes === undefined ? [args] : [bytes, args])])
      const nodes = await submitter.presence.present(NODES_MS)
      if (nodes.length === 0) throw new StateError('no node of the pool is there')
      const answers = await Promise.all(
        nodes.map(async ({ id }) => {
          const answer = await nc.request(names.broadcast(id), message, { timeout: ANSWER_MS })
          const [frame] = unpackFrames<{ kind: string }>(answer.data)
          const { header, parts } = frame!
          const values = await Promise.all(parts.map(async (part) => (await decodeValue(part, options.free)).value))
          if (header.kind === 'failed') throw await decodeFailure(values[0], `node ${id}`)
          return values
        }),
      )
      this.end(true, answers.flat())
    } catch (error) {
      this.end(false, error)
    }
  }
}
