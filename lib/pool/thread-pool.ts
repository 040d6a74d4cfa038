// ThreadPool: the same pool over worker threads.
import type { Engine } from './engine'
import type { Host, Member } from './member'
import type { CheckedPoolOptions } from './options'
import { Pool } from './pool'
import { ThreadHost } from './thread-host'
import type { WorkerConfig } from './worker/worker'

/**
 * A Pool whose workers are threads of this process: they start sooner, and die with it. What ends the process (abort(), a crash
 * of native code) ends all of them; what ends a thread (process.exit(), an uncaught error) costs its task only.
 */
export class ThreadPool extends Pool {
  /** @internal */
  protected override startHost(
    engine: Engine,
    member: Member,
    config: WorkerConfig,
    options: CheckedPoolOptions,
    ended: () => void,
  ): Host {
    return new ThreadHost(member, engine.results, config, options, ended)
  }
}
