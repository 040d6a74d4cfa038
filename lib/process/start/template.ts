// The owner's side of a template: it boots one, asks it for children, and learns from it how they ended.
import { binding } from '../../binding'
import { log } from '../../log/log'
import { encode } from '../../serialize'
import { mainUrl } from '../is-main'
import { giveBack, holdFor, inherited, ownerOf, reserve, type Seat, send } from '../parcel'
import { registry } from '../registry'
import { COMPILE_ALL } from '../ticket'
import type { Header } from '../travel'
import { type Answer, Control, type Preparation, type Request, type SpareRequest } from './control'
import { getExecutable } from './executable'
import type { ExitStatus, Launch } from './method'
import type { Outputs } from './pipes'
import { exitStatus, openProcess, RunningChild, UNKNOWN } from './running'
import { Spare } from './spare'
import { bootNode, childEnvironment, discard } from './spawn'

/** How long a template may take to boot, with all that it preloads, ms. */
const BOOT_MS = 60_000
/** How long it may take to answer: it waits 5 s for its own threads. */
const ANSWER_MS = 15_000
/** How long after a child's end its template may take to tell of it. */
const TELL_MS = 2000

let preparation: Preparation = { modules: [], onError: 'warn', warmUp: undefined }
/** Counts the changes of what is to be preloaded. */
let edition = 0
const templates = new Map<string, Template>()
const all = new Set<Template>()

/** From now on templates preload this; one that preloads something else is replaced. */
export function setPreparation(next: Preparation): void {
  preparation = next
  edition++
}
export function preparationEdition(): number {
  return edition
}

/** Thrown where a template cannot be used; the message says why. */
export class TemplateFailure extends Error {
  constructor(
    message: string,
    /** Another one may do better. */
    readonly passing = false,
  ) {
    super(message)
  }
}

/** The template for children that import the main module, or do not. Blocks while it boots. Throws TemplateFailure. */
export function templateFor(main: 'import' | undefined): Template {
  const key = main ?? ''
  const known = templates.get(key)
  const plan = `${edition} ${getExecutable()}`
  if (known !== undefined && known.plan === plan && known.usable) return known
  known?.retire()
  const template = new Template(plan, main)
  templates.set(key, template)
  return template
}

/** In a forked child: the templates are the parent's. */
export function closeTemplates(): void {
  for (const template of all) template.disown()
  all.clear()
  templates.clear()
}

export class Template {
  readonly plan: string
  readonly handle: number
  readonly control: Control
  lost = false
  readonly #children = new Map<number, TemplateChild>()
  readonly #statuses = new Map<number, ExitStatus>()
  readonly #answers = new Map<number, Answer>()
  readonly #alive = new Set<TemplateChild>()
  /** Children that got nothing to run. */
  readonly #discarded = new Set<number>()
  #state: Answer = {}
  #watch = 0
  #retired = false
  #requests = 0
  #spare: Spare | undefined
  #spareRequest = 0

  constructor(plan: string, main: 'import' | undefined) {
    this.plan = plan
    const seat = reserve()
    const [ours, theirs] = binding().controlPair()
    let child: ReturnType<typeof bootNode> | undefined
    try {
      const stdio = ['ignore', 'inherit', 'inherit', ...inherited(), theirs] as const
      const options = { stdio: 'inherit', env: undefined, execArgv: undefined, cwd: undefined } as const
      child = bootNode(seat, { options, depth: 1, daemon: true }, [...stdio])
      const hold = (offset: number) => holdFor(seat, offset)
      const body = encode(preparation, { name: 'what the forkserver preloads', hold, ...(main && { main }) })
      send(seat, [Buffer.from(JSON.stringify(templateHeader(main)), 'utf8'), COMPILE_ALL, body])
      this.handle = binding().processOpen(child.pid!)
    } catch (error) {
      if (child !== undefined) discard(child)
      binding().closeDescriptor(ours)
      giveBack(seat)
      throw error
    } finally {
      binding().closeDescriptor(theirs)
    }
    child.once('exit', () => giveBack(seat))
    child.unref()
    this.control = new Control(ours)
    binding().ownDescriptor(ours)
    this.#await(BOOT_MS, () => this.#state.ready !== undefined || this.#state.failed !== undefined)
    if (this.#state.ready !== true) {
      const why =
        this.#state.failed ?? (this.lost ? 'the template ended while it booted' : 'the template took too long to boot')
      child.kill('SIGKILL')
      this.#close()
      throw new TemplateFailure(why)
    }
    this.#watch = binding().watch(ours, () => this.receive())
    all.add(this)
    log('debug', () => `a forkserver template is ready (pid ${child!.pid})`)
  }

  get usable(): boolean {
    return !this.lost && !this.#retired
  }

  /** Asks for a child, which then waits for its parcel. answerTo() tells what became of it. */
  ask(seat: Seat, launch: Launch, outputs: Outputs): number {
    const request = requestFor(++this.#requests, seat, launch, outputs)
    if (!this.control.send(request, descriptorsOf(outputs))) this.#lose()
    return request.id
  }

  /** Makes the next child ahead of need, if there is room for it. Does not wait for it. */
  askForSpare(): void {
    if (!this.usable || this.#spare !== undefined) return
    let spare: Spare
    try {
      spare = new Spare()
    } catch {
      return
    }
    this.#spare = spare
    this.#spareRequest = ++this.#requests
    const { slot, generation } = spare.seat
    const request: SpareRequest = { id: this.#spareRequest, slot, generation, spare: true }
    const sent = this.control.send(request, [spare.theirs])
    binding().closeDescriptor(spare.theirs)
    if (!sent) this.#lose()
  }

  /** The child that was made ahead, and now becomes this one; it waits for its parcel. undefined: there is none. */
  takeSpare(launch: Launch, outputs: Outputs): Spare | undefined {
    const spare = this.#spare
    if (spare === undefined) return undefined
    this.#await(ANSWER_MS, () => this.#spare !== spare || spare.pid !== undefined)
    if (this.#spare !== spare) return undefined
    if (spare.pid === undefined) {
      binding().processSignal(this.handle, 9) // the template hangs
      this.#lose()
      return undefined
    }
    this.#spare = undefined
    const request = requestFor(++this.#requests, spare.seat, launch, outputs)
    if (spare.tell(request, descriptorsOf(outputs))) return spare
    this.discardSpare(spare)
    return undefined
  }

  /** Blocks until it has become a child. False: it has been killed, and another one is needed. */
  confirm(spare: Spare): boolean {
    if (spare.confirm(ANSWER_MS)) return true
    this.discardSpare(spare)
    return false
  }

  /** Ends what was taken, and got nothing to run. */
  discardSpare(spare: Spare): void {
    if (!this.#statuses.delete(spare.pid!)) this.#discarded.add(spare.pid!)
    spare.release()
  }

  /** Blocks until there is a child: its pid. undefined: the template is lost. Throws TemplateFailure where it refuses. */
  answerTo(id: number): number | undefined {
    this.#await(ANSWER_MS, () => this.#answers.has(id))
    const answer = this.#answers.get(id)
    this.#answers.delete(id)
    if (answer?.failed !== undefined) {
      this.retire()
      throw new TemplateFailure(answer.failed, true)
    }
    if (answer === undefined && !this.lost) {
      binding().processSignal(this.handle, 9) // it hangs: nothing of this start may come to life later
      this.#lose()
    }
    return answer?.pid
  }

  /** Ends the child that was asked for: it has got nothing to run. */
  discard(id: number): void {
    let pid: number | undefined
    try {
      pid = this.answerTo(id)
    } catch {
      return // there is none
    }
    if (pid === undefined) return
    this.#discarded.add(pid)
    const handle = openProcess(pid)
    if (handle < 0) return
    binding().processSignal(handle, 9)
    binding().processClose(handle)
  }

  adopt(child: TemplateChild): void {
    this.#children.set(child.pid!, child)
    // It may have ended, and been told of, within the call that started it.
    if (this.#statuses.has(child.pid!)) setImmediate(() => child.poll())
  }

  /** Reads what the template tells. Does not block. */
  receive(): void {
    if (this.lost) return
    for (const { content } of this.control.receive()) {
      const answer = content as Answer
      if (answer.id !== undefined && answer.id === this.#spareRequest) this.#spareIsThere(answer)
      else if (answer.exit !== undefined && answer.exit === this.#spare?.pid) this.#dropSpare()
      else if (answer.id !== undefined) this.#answers.set(answer.id, answer)
      else if (answer.exit === undefined) this.#state = answer
      else if (!this.#discarded.delete(answer.exit)) {
        this.#statuses.set(answer.exit, exitStatus({ exitCode: answer.exitCode!, signal: answer.signal! }))
        // Who listens is not called from here: the caller may be in the midst of starting another child.
        const child = this.#children.get(answer.exit)
        if (child !== undefined) process.nextTick(() => child.poll())
      }
    }
    if (this.control.ended) this.#lose()
  }

  #spareIsThere(answer: Answer): void {
    try {
      if (answer.pid !== undefined && this.#spare?.born(answer.pid) === true) return
    } catch {
      // there is no descriptor for it
    }
    if (answer.pid !== undefined) this.#discarded.add(answer.pid) // it ends: nobody has the other end any more
    this.#dropSpare()
  }

  #dropSpare(): void {
    this.#spare?.release()
    this.#spare = undefined
  }

  statusOf(pid: number): ExitStatus | undefined {
    return this.#statuses.get(pid)
  }

  /** Blocks until it has told how the child ended, which has ended. */
  awaitStatus(pid: number): ExitStatus | undefined {
    this.#await(TELL_MS, () => this.#statuses.has(pid))
    return this.#statuses.get(pid)
  }

  keepAlive(child: TemplateChild, alive: boolean): void {
    if (alive) this.#alive.add(child)
    else this.#alive.delete(child)
    if (!this.lost) binding().watchRef(this.#watch, this.#alive.size > 0)
  }

  ended(child: TemplateChild): void {
    this.#children.delete(child.pid!)
    this.#statuses.delete(child.pid!)
    this.keepAlive(child, false)
    if (this.#retired && this.#children.size === 0) this.#close()
  }

  /** No new children; it stays until it has told of those that it has. */
  retire(): void {
    this.#retired = true
    if (this.#spare?.pid !== undefined) this.#discarded.add(this.#spare.pid)
    this.#dropSpare()
    if (this.#children.size === 0) this.#close()
  }

  /** In a forked child of the owner, whose descriptors and pollers are gone already. */
  disown(): void {
    this.lost = true
    this.#spare = undefined
  }

  #await(ms: number, done: () => boolean): void {
    const deadline = performance.now() + ms
    const fds = Int32Array.of(this.control.fd)
    for (;;) {
      this.receive()
      const left = deadline - performance.now()
      if (done() || this.lost || left <= 0) return
      if (binding().processWait(this.handle, left, fds, 0) === 1) {
        this.receive()
        if (!done()) this.#lose()
      }
    }
  }

  #lose(): void {
    if (this.lost) return
    const children = [...this.#children.values()]
    this.#close()
    for (const child of children) child.orphaned()
  }

  #close(): void {
    if (this.lost) return
    this.lost = true
    this.#dropSpare()
    all.delete(this)
    if (this.#watch !== 0) binding().unwatch(this.#watch)
    binding().closeDescriptor(this.control.fd)
    binding().processClose(this.handle)
  }
}

function requestFor(id: number, { slot, generation }: Seat, launch: Launch, outputs: Outputs): Request {
  const { daemon, depth, options } = launch
  const cwd = options.cwd ?? process.cwd()
  const env = childEnvironment(depth, options.env)
  return { id, slot, generation, daemon, depth, cwd, env, ignore: outputs.theirs[0] < 0 }
}

/** What goes with a request: the child's outputs. */
function descriptorsOf(outputs: Outputs): readonly number[] {
  return outputs.theirs[0] < 0 ? [] : outputs.theirs
}

function templateHeader(main: 'import' | undefined): Header {
  return {
    name: 'forkserver',
    identity: registry.identity,
    daemon: true,
    authKey: '',
    parentPid: process.pid,
    parentName: registry.current.name,
    method: 'forkserver',
    main,
    mainUrl: mainUrl(),
    template: true,
  }
}

/** A child that a template has made: it is a stranger's child to the system, so the template tells of its end. */
export class TemplateChild extends RunningChild {
  readonly #template: Template
  readonly #handle: number
  #watch = 0

  constructor(template: Template, pid: number, seat: Seat, outputs: Outputs) {
    super(seat, outputs.stdout, outputs.stderr)
    this.pid = pid
    this.#template = template
    // Its end is told before it is reaped: if the pid were another's by now, that message would be there.
    this.#handle = openProcess(pid)
    template.adopt(this)
  }

  protected ask(): ExitStatus | null {
    this.#template.receive()
    const told = this.#template.statusOf(this.pid!)
    if (told !== undefined) return told
    return this.#template.lost && this.#hasEnded() ? UNKNOWN_FOR_EVER : null
  }
  #hasEnded(): boolean {
    return this.#handle < 0 || binding().processWait(this.#handle, 0, new Int32Array(0), 0) === 1
  }
  protected sleep(ms: number, fds: Int32Array): number {
    if (this.#handle < 0) return 1
    const more = this.#template.lost ? fds : Int32Array.of(this.#template.control.fd, ...fds)
    return binding().processWait(this.#handle, ms, more, ownerOf(this.seat))
  }
  protected endedUnseen(): void {
    this.end(this.#template.awaitStatus(this.pid!) ?? UNKNOWN_FOR_EVER)
  }
  protected keepAlive(alive: boolean): void {
    if (this.#watch !== 0) binding().watchRef(this.#watch, alive)
    else this.#template.keepAlive(this, alive)
  }
  protected send(signal: NodeJS.Signals): void {
    const { constants } = process.getBuiltinModule('node:os')
    if (this.#handle >= 0) binding().processSignal(this.#handle, constants.signals[signal])
  }
  protected ended(): void {
    this.#template.ended(this)
    if (this.#watch !== 0) binding().unwatch(this.#watch)
    if (this.#handle >= 0) binding().processClose(this.#handle)
    giveBack(this.seat)
  }

  /** Its template was killed: that it has ended can still be seen, how cannot. */
  orphaned(): void {
    if (this.poll()) return
    this.#watch = binding().watch(this.#handle, () => void this.poll())
    this.applyRef()
  }
}

const UNKNOWN_FOR_EVER: ExitStatus = { ...UNKNOWN }
