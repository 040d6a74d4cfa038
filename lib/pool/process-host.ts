// A worker's process: a daemon that may have children of its own, with its standard error passed on and its last lines kept.
import { readFileSync } from 'node:fs'
import { invalidValue } from '../check'
import { Process } from '../process'
import { defaultStartMethod } from '../process/start/default'
import type { ExitStatus, Running } from '../process/start/method'
import { CONTEXT, stateOf } from '../process/state'
import { POOL_DEPTH_VARIABLE, poolDepth } from './depth'
import type { Lane } from './lane'
import type { Host, Member } from './member'
import { type CheckedPoolOptions, flagsWithLimits } from './options'
import { poolWorker, type WorkerConfig } from './worker/worker'

const TAIL = 4096

export class ProcessHost implements Host {
  readonly threadId = 0
  readonly #running: Running
  readonly #oomKills: number
  #tail = ''
  startError: unknown

  constructor(member: Member, results: Lane, config: WorkerConfig, options: CheckedPoolOptions, ended: () => void) {
    const Class = options.context?.Process ?? Process
    const method = Class[CONTEXT].method ?? defaultStartMethod()
    if (method !== 'spawn' && options.resourceLimits !== undefined)
      throw invalidValue(
        'options.resourceLimits',
        `absent with start method '${method}', whose children share a node`,
        options.resourceLimits,
      )
    const child = new Class({
      target: poolWorker,
      args: [member.tasks, results, member.control, config],
      name: `PoolWorker-${member.id}`,
      daemon: true,
      env: { ...options.env, [POOL_DEPTH_VARIABLE]: String(poolDepth() + 1) },
      execArgv: flagsWithLimits(options),
      stdio: STDERR_PIPED,
    })
    this.#oomKills = oomKills()
    child.start()
    this.#running = stateOf(child).running!
    child.started.catch((error) => {
      this.startError = error
      ended()
    })
    this.#running.stderr?.on('data', (chunk: Buffer) => this.#wrote(chunk))
    this.#running.onEnd(ended)
  }
  /** 0: it is to be forked, at the end of this turn of the event loop. */
  get pid(): number {
    return this.#running.pid ?? 0
  }
  get stderr(): string {
    return this.#tail
  }
  status(): ExitStatus | null {
    return this.#running.status()
  }
  signal(name: 'SIGTERM' | 'SIGKILL'): void {
    this.#running.signal(name)
  }
  drain(): void {
    this.#running.drain((chunk) => this.#wrote(chunk))
  }
  #wrote(chunk: Buffer): void {
    process.stderr.write(chunk)
    this.#tail = (this.#tail + chunk.toString('utf8')).slice(-TAIL)
  }

  outOfMemory(status: ExitStatus | null): boolean {
    if (/heap out of memory|JavaScript heap|OOM error|Zone Allocation failed/i.test(this.#tail)) return true
    return status?.signal === 'SIGKILL' && oomKills() > this.#oomKills
  }
}

// Beside the API: only the standard error is piped.
const STDERR_PIPED = ['inherit', 'pipe'] as unknown as 'pipe'

/** How many processes of this control group the kernel has killed for want of memory. */
function oomKills(): number {
  if (process.platform !== 'linux') return 0
  for (const file of ['/sys/fs/cgroup/memory.events', '/proc/vmstat'])
    try {
      const found = /^oom_kill (\d+)/m.exec(readFileSync(file, 'latin1'))
      if (found) return Number(found[1])
    } catch {
      // not here
    }
  return 0
}
