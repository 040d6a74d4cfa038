// A template: a process that only waits, from which the forkserver's children are copied.
//
//   boots ─▶ preloads ─▶ canary: one child that uses everything, and ends ─▶ ready
//   owner's request ─▶ fork ─▶ template: answers with the pid; later: how the child ended (it alone can know)
//                          └─▶ child: takes the place in shared memory that the owner has reserved, and its parcel
//
// It ends with its owner whatever happens: by the end of the control stream, and by the helper thread.
import { binding } from '../../binding'
import { inherit } from '../../log/log'
import { decode } from '../../serialize'
import { importerFrom } from '../../serialize/imports'
import { importMain } from '../../serialize/main-import'
import { rehearseDecoding } from '../../serialize/rehearsal'
import { becomeGeneration, whileLoading } from '../guard'
import { CONTROL_FD, Control, type Message, type Preparation, type Request, type SpareRequest } from '../start/control'
import { PATIENCE_MS, waitingThreads } from '../start/forkable'
import { ORPHAN_GRACE_MS, splitParts } from '../ticket'
import type { Header } from '../travel'
import { becomeCopy, orEnd, settle } from './copied'
import { exhaustRandomCaches, prepareCopy, rehearse } from './copy'
import { live, raiseLater } from './life'
import { redirectOutputs, restoreOutputs, stubOutputs } from './stdio'

const CANARY_EXIT = 42
const CANARY_MS = 10_000

/** @internal The whole of a template's life. */
export function serveTemplate(header: Header, body: Uint8Array): void {
  binding().closeOnExec(CONTROL_FD)
  binding().controlIdentify(CONTROL_FD)
  const control = new Control(CONTROL_FD, (pid, user) => pid === header.parentPid && user === process.getuid!())
  const watch = binding().watch(CONTROL_FD, () => look())
  binding().watchRef(watch, true)
  process.on('SIGINT', () => {}) // Ctrl-C is for the program: it decides what becomes of us
  stubOutputs()
  const children = new Set<number>()
  const waiting: Message[] = []
  let ready = false

  const look = (): void => {
    waiting.push(...control.receive())
    if (control.ended) binding().exitNow(0)
    if (!ready) return
    for (const { content, descriptors } of waiting.splice(0)) copy(content, descriptors)
  }
  const tell = (answer: object): void => {
    if (!control.send(answer, [], Number.POSITIVE_INFINITY)) binding().exitNow(0)
  }
  const copy = (request: Request | SpareRequest, descriptors: number[]): void => {
    forkFor(request, (pid, why) => {
      if (pid === 0) {
        orEnd(() => binding().closeDescriptor(CONTROL_FD))
        if ('spare' in request) runAsSpare(header.parentPid, request, descriptors[0]!)
        else {
          orEnd(() => becomeCopy(request, request.daemon, request.depth, header.parentPid))
          runFromTemplate(request, descriptors)
        }
        return
      }
      for (const fd of descriptors) binding().closeDescriptor(fd)
      if (pid > 0) children.add(pid)
      tell(pid > 0 ? { id: request.id, pid } : { id: request.id, failed: why })
    })
  }
  process.on('SIGCHLD', () => {
    for (const pid of children) {
      // Told first, reaped then: until the owner can know of its end the pid must not become another's.
      const ended = binding().processReap(pid, true)
      if (ended === null) continue
      tell({ exit: pid, ...ended })
      binding().processReap(pid, false)
      children.delete(pid)
    }
  })
  prepare(header, body)
    .then(() => canary())
    .then(
      () => {
        ready = true
        tell({ ready: true })
        look()
      },
      (error) => {
        tell({ failed: String((error as Error)?.message ?? error) })
        binding().exitNow(1)
      },
    )
}

function forkFor(seat: { slot: number; generation: number }, forked: (pid: number, why: string) => void): void {
  prepareCopy()
  binding().forkSoon(seat.slot, seat.generation, PATIENCE_MS, waitingThreads(), forked)
}

/** In a child that was made ahead of need (start/spare.ts): as far as it gets without knowing what it is to be. */
function runAsSpare(ownerPid: number, seat: SpareRequest, fd: number): void {
  let request: Request
  let descriptors: number[]
  try {
    becomeCopy(seat, true, 1, ownerPid)
    binding().ignoreInterrupts(true) // Ctrl-C is for those that were started
  } catch {
    binding().exitNow(1) // nobody waits for it: its owner has ended, or makes another child
  }
  orEnd(() => {
    const control = new Control(fd, (pid, user) => pid === ownerPid && user === process.getuid!())
    const message = control.await()
    if (message === undefined) binding().exitNow(0)
    request = message!.content
    descriptors = message!.descriptors
    binding().ignoreInterrupts(false)
    binding().followParent(request.daemon, ORPHAN_GRACE_MS)
    becomeGeneration(request.depth)
    control.send({ taken: true })
    binding().closeDescriptor(fd)
  })
  runFromTemplate(request!, descriptors!)
}

/** In a copy that knows what it is to be. */
function runFromTemplate(request: Request, descriptors: number[]): void {
  orEnd(() => {
    redirectOutputs(request.ignore ? [-1, -1] : (descriptors as [number, number]))
    for (const fd of descriptors) if (fd > 2) binding().closeDescriptor(fd)
    restoreOutputs()
    for (const name of Object.keys(process.env)) if (!(name in request.env)) delete process.env[name]
    Object.assign(process.env, request.env)
    if (process.cwd() !== request.cwd) process.chdir(request.cwd)
  })
  const parcel = binding().takeDelivery()
  if (parcel === null) binding().exitNow(1) // the owner was killed meanwhile: nobody is left to tell
  const [head, body] = splitParts(parcel!)
  const header: Header = JSON.parse(Buffer.from(head!).toString('utf8'))
  orEnd(() => {
    inherit(header.log)
    settle(header)
  })
  raiseLater(live(header, body!))
}

/** Loads what the children are to have already. Rejects only where that was asked for. */
async function prepare(header: Header, body: Uint8Array): Promise<void> {
  await whileLoading(async () => {
    rehearseDecoding() // what each child would compile anew
    const { modules, onError, warmUp } = (await decode(body)) as Preparation
    const attempt = async (what: string, work: () => unknown): Promise<void> => {
      try {
        await work()
      } catch (error) {
        if (onError === 'fail')
          throw new Error(`${what} failed: ${(error as Error)?.message ?? error}`, { cause: error })
        if (onError === 'warn')
          process.emitWarning(`${what} failed, children do it themselves: ${(error as Error)?.message ?? error}`, {
            type: 'MultiprocWarning',
          })
      }
    }
    if (header.main === 'import' && header.mainUrl !== undefined)
      await attempt(`preload of ${header.mainUrl}`, () => importMain(header.mainUrl!))
    const load = importerFrom(header.mainUrl ?? '')
    for (const module of modules) await attempt(`preload of ${module}`, () => load(module))
    if (warmUp !== undefined) await attempt('warm-up of the forkserver', warmUp)
  })
  process.getBuiltinModule('node:tty') // with node:net: what standard streams are made of, or each child would load it
  exhaustRandomCaches()
  rehearse()
  collectGarbage()
}

/** What is dead by now would be copied, and what lives lies closer together: children write to fewer pages of it. */
function collectGarbage(): void {
  const { setFlagsFromString } = process.getBuiltinModule('node:v8')
  setFlagsFromString('--expose-gc')
  const gc = process.getBuiltinModule('node:vm').runInNewContext('gc') as () => void
  setFlagsFromString('--no-expose-gc')
  gc()
  gc()
  binding().trimMemory()
}

/** One child that compiles, collects garbage and uses the thread pool. If it does not come through, no other shall try. */
async function canary(): Promise<void> {
  const seat = binding().reserveSlot()
  try {
    const pid = await new Promise<number>((resolve, reject) =>
      forkFor(seat, (pid, why) => {
        if (pid === 0) sing()
        else if (pid > 0) resolve(pid)
        else reject(new Error(why))
      }),
    )
    const deadline = performance.now() + CANARY_MS
    for (;;) {
      const ended = binding().processReap(pid, false)
      if (ended !== null) {
        if (ended.exitCode === CANARY_EXIT) return
        throw new Error(
          `a first forked child ended with ${ended.signal ? `signal ${ended.signal}` : `code ${ended.exitCode}`}`,
        )
      }
      if (performance.now() > deadline) {
        process.kill(pid, 'SIGKILL')
        throw new Error(`a first forked child hung for ${CANARY_MS} ms`)
      }
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  } finally {
    binding().releaseSlot(seat.slot, seat.generation)
  }
}

/** The canary's child. */
function sing(): void {
  const { exitNow } = binding()
  try {
    const kept: object[] = []
    const hot = new Function('n', 'let s = 0; for (let i = 0; i < n; i++) s = (s * 31 + i) | 0; return s')
    for (let i = 0; i < 40; i++) hot(2000)
    for (let i = 0; i < 20_000; i++) kept[i % 2000] = { i, a: [i] }
    process.getBuiltinModule('node:fs').stat('/', (error) => setTimeout(() => exitNow(error ? 1 : CANARY_EXIT), 0))
  } catch {
    exitNow(1)
  }
}
