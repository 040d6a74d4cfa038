// A worker's thread. It shares this process's memory root, and is otherwise as far away as a process: the same lanes, the same
// control block.
import { inspect } from 'node:util'
import type { Worker } from 'node:worker_threads'
import { binding } from '../binding'
import type { BlockHandle } from '../memory'
import type { ExitStatus } from '../process/start/method'
import { Control } from './control'
import { Lane } from './lane'
import type { Host, Member } from './member'
import type { CheckedPoolOptions } from './options'
import { PoolWorker, type WorkerConfig } from './worker/worker'

interface ThreadData {
  index: string
  tasks: BlockHandle
  results: BlockHandle
  control: BlockHandle
  config: WorkerConfig
}

const TAIL = 4096
const ENTRY = `const { workerData } = require('node:worker_threads')
require(workerData.index).__threadWorker(workerData)`

export class ThreadHost implements Host {
  readonly pid = process.pid
  readonly threadId: number
  readonly #worker: Worker
  readonly #member: Member
  #ended: () => void
  #status: ExitStatus | null = null
  /** It was told to end: if it is no owner yet it never runs anything. */
  #ending = false
  #tail = ''

  constructor(
    member: Member,
    results: Lane,
    config: WorkerConfig,
    options: Pick<CheckedPoolOptions, 'env' | 'execArgv' | 'resourceLimits'>,
    ended: () => void,
  ) {
    const { Worker } = process.getBuiltinModule('node:worker_threads')
    // The pool holds all three for as long as the thread lives.
    const held = (): void => {}
    const data: ThreadData = {
      index: `${__dirname}/index.cjs`,
      tasks: member.tasks.handle(held),
      results: results.handle(held),
      control: member.control.handle(held),
      config,
    }
    this.#member = member
    this.#ended = ended
    this.#worker = new Worker(ENTRY, {
      eval: true,
      workerData: data,
      name: `PoolWorker-${member.id}`,
      ...(options.env && { env: { ...process.env, ...options.env } }),
      ...(options.execArgv && { execArgv: [...options.execArgv] }),
      ...(options.resourceLimits && { resourceLimits: options.resourceLimits }),
    })
    this.threadId = this.#worker.threadId
    this.#worker.unref()
    this.#worker.on('error', (error) => {
      this.#tail = `${inspect(error)}\n`.slice(-TAIL)
    })
    this.#worker.on('exit', (exitCode) => this.#end(exitCode))
  }
  get stderr(): string {
    return this.#tail
  }
  /** While the event loop does not turn, its owner in shared memory tells of its end. */
  status(): ExitStatus | null {
    if (this.#status !== null) return this.#status
    const { owner } = this.#member.control
    if (owner === 0 ? this.#ending : binding().ownerInfo(owner) === null) this.#end(1)
    return this.#status
  }
  signal(): void {
    this.#ending = true
    void this.#worker.terminate()
  }
  drain(): void {}
  outOfMemory(): boolean {
    return /ERR_WORKER_OUT_OF_MEMORY/.test(this.#tail)
  }
  #end(exitCode: number): void {
    if (this.#status !== null) return
    this.#status = { exitCode, signal: null }
    this.#ended()
  }
}

/** What a worker thread runs. */
export function threadWorker(data: ThreadData): void {
  new PoolWorker(new Lane(data.tasks), new Lane(data.results), new Control(data.control), data.config).start()
}
