// Messages between a process and its template: a length, then JSON; descriptors travel beside it.
//
//   owner ── {id, slot …} + descriptors 1, 2 ──▶ template        template ── {id, pid} · {exit …} ──▶ owner
//
// The two ends are a pair without a name: nobody else can reach it. The template also checks who sent each message.
import { binding } from '../../binding'

/** Where the template finds its end. */
export const CONTROL_FD = 4

/** What a template is to load. */
export interface Preparation {
  /** As `import` takes them in the main module. */
  modules: readonly string[]
  onError: 'ignore' | 'warn' | 'fail'
  warmUp: (() => unknown) | undefined
}

const NOTHING = new Int32Array(0)
const MAX_MESSAGE = 1 << 26

export interface Message {
  content: any
  descriptors: number[]
}

export class Control {
  readonly fd: number
  /** The other end is gone. */
  ended = false
  #bytes = Buffer.alloc(0)
  #descriptors: number[] = []
  readonly #allowed: ((pid: number, user: number) => boolean) | undefined

  /** `allowed`: who may send. */
  constructor(fd: number, allowed?: (pid: number, user: number) => boolean) {
    this.fd = fd
    this.#allowed = allowed
  }

  /** Blocks until the system has taken it, at most `timeout` ms. False: the other end is gone, or does not read. */
  send(content: object, descriptors: readonly number[] = [], timeout = 5000): boolean {
    const text = Buffer.from(JSON.stringify({ ...content, descriptors: descriptors.length }), 'utf8')
    const bytes = Buffer.allocUnsafe(4 + text.length)
    bytes.writeUInt32LE(text.length)
    text.copy(bytes, 4)
    let fds = Int32Array.from(descriptors)
    const deadline = performance.now() + timeout
    try {
      for (let at = 0; at < bytes.length; ) {
        const taken = binding().controlSend(this.fd, bytes.subarray(at), fds)
        if (taken > 0) fds = NOTHING
        else {
          if (performance.now() > deadline) return false
          binding().controlWait(this.fd, true, 100)
          this.#fill() // both sides may be full
        }
        at += taken
      }
    } catch {
      this.ended = true
      return false
    }
    return true
  }

  /** What has come; does not block. */
  receive(): Message[] {
    this.#fill()
    const messages: Message[] = []
    while (this.#bytes.length >= 4) {
      const length = this.#bytes.readUInt32LE(0)
      if (length > MAX_MESSAGE) {
        this.ended = true
        break
      }
      if (this.#bytes.length < 4 + length) break
      const content = JSON.parse(this.#bytes.toString('utf8', 4, 4 + length))
      messages.push({ content, descriptors: this.#descriptors.splice(0, content.descriptors) })
      this.#bytes = this.#bytes.subarray(4 + length)
    }
    return messages
  }

  /** Blocks until a message is there; undefined: the other end is gone. */
  await(): Message | undefined {
    for (;;) {
      const [message] = this.receive()
      if (message !== undefined) return message
      if (this.ended) return undefined
      binding().controlWait(this.fd, false, Number.POSITIVE_INFINITY)
    }
  }

  #fill(): void {
    while (!this.ended) {
      let got: ReturnType<ReturnType<typeof binding>['controlReceive']>
      try {
        got = binding().controlReceive(this.fd)
      } catch {
        this.ended = true
        return
      }
      if (got === null) return
      if (got.bytes.length === 0 || this.#allowed?.(got.pid, got.user) === false) {
        for (const fd of got.descriptors) binding().closeDescriptor(fd)
        this.ended = true
        return
      }
      this.#bytes = this.#bytes.length === 0 ? Buffer.from(got.bytes) : Buffer.concat([this.#bytes, got.bytes])
      this.#descriptors.push(...got.descriptors)
    }
  }
}

/** What the owner asks for. */
export interface Request {
  id: number
  slot: number
  generation: number
  daemon: boolean
  depth: number
  cwd: string
  env: NodeJS.ProcessEnv
  ignore: boolean
}

/** A child ahead of need: it gets its request later, through the descriptor that comes with this. */
export interface SpareRequest {
  id: number
  slot: number
  generation: number
  spare: true
}

/** What the template answers, and tells. */
export interface Answer {
  ready?: boolean
  /** Why it cannot be used, or why this child could not be made. */
  failed?: string
  id?: number
  pid?: number
  /** Pid of a child that has ended. */
  exit?: number
  exitCode?: number
  signal?: number
}
