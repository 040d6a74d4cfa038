// What a copy of a process must change about itself before it is one of its own. Used by children of fork and of the
// forkserver, in which the parent's (or the template's) heap goes on.
//
//   before the fork   prepareCopy(): what can only be had ahead: the queues of timers, an unused Math.random
//   in the child      leaveBehind(): timers, listeners, random state, pid, the way to exit
import type { Context } from 'node:vm'
import { binding } from '../../binding'
import { UnsupportedError } from '../../errors'
import { inspectFunction, withInspector } from '../../serialize/inspector'
import { mainUrl } from '../is-main'
import { hasLoaded, weWereForked } from '../start/forkable'

interface TimerList {
  _idlePrev: NodeJS.Timeout | TimerList
}
interface ImmediateLink extends NodeJS.Immediate {
  _idleNext: ImmediateLink | null
}
interface Queues {
  timers: Record<string, TimerList>
  immediates: { head: ImmediateLink | null }
}

let queues: Queues | undefined
let spareRandom: (() => number) | undefined

/** Throws UnsupportedError where node keeps its timers in another way. What is loaded here no child has to load. */
export function prepareCopy(): void {
  if (queues === undefined) {
    for (const name of ['node:v8', 'node:os', 'node:fs'] as const) process.getBuiltinModule(name)
    mainUrl()
  }
  queues ??= findQueues()
  // A context whose Math.random was never called: V8 seeds it at its first use, in the child.
  spareRandom ??= process.getBuiltinModule('node:vm').runInNewContext('Math.random', {} as Context)
}

/** Node's queues of timers are variables of its own modules: the inspector sees what its functions close over. */
function findQueues(): Queues {
  const found = closedOver([setTimeout, clearTimeout, clearImmediate, setImmediate], ['timerListMap', 'immediateQueue'])
  const { timerListMap: timers, immediateQueue: immediates } = found as {
    timerListMap?: Queues['timers']
    immediateQueue?: Queues['immediates']
  }
  if (timers === undefined || immediates === undefined || !('head' in immediates))
    throw new UnsupportedError(
      `node keeps its timers in another way (found: ${Object.keys(found).join(', ') || 'nothing'})`,
    )
  return { timers, immediates }
}

function closedOver(functions: readonly object[], names: readonly string[]): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  withInspector(() => {
    for (const f of functions)
      for (const scope of inspectFunction(f).scopes())
        for (const name of names)
          if (!(name in found) && scope.object !== undefined && name in scope.object) found[name] = scope.object[name]
  })
  return found
}

/** The parent's timers and immediates never fire here. By node's own functions, so that its counts stay right. */
function dropTimers({ timers, immediates }: Queues): void {
  const pending: NodeJS.Timeout[] = []
  for (const list of Object.values(timers))
    for (let t = list._idlePrev; t !== list; t = (t as unknown as TimerList)._idlePrev)
      pending.push(t as NodeJS.Timeout)
  for (const timer of pending) clearTimeout(timer)
  const soon: NodeJS.Immediate[] = []
  for (let i = immediates.head; i !== null && i !== undefined; i = i._idleNext) soon.push(i)
  for (const immediate of soon) clearImmediate(immediate)
}

/** In the child. The loop has forgotten its handles already. `ppid`: what `process.ppid` is to say, if not the truth. */
export function leaveBehind(ppid?: number): void {
  weWereForked()
  dropTimers(queues!)
  const own = { enumerable: true, configurable: true }
  Object.defineProperty(process, 'pid', { value: binding().currentPid(), writable: true, ...own })
  if (ppid !== undefined) Object.defineProperty(process, 'ppid', { get: () => ppid, ...own })
  dropListeners()
  renewRandom()
  replaceExit()
}

/** What the parent would do on its exit, its signals, its errors and its messages, it does there. */
function dropListeners(): void {
  const { signals } = process.getBuiltinModule('node:os').constants
  const theirs = [
    'exit',
    'beforeExit',
    'uncaughtException',
    'uncaughtExceptionMonitor',
    'unhandledRejection',
    'rejectionHandled',
    'message',
    'internalMessage',
    'disconnect',
  ]
  // With the listeners node's own handlers of signals go. What was sent meanwhile comes now, and does what it should.
  for (const event of process.eventNames())
    if (theirs.includes(event as string) || event in signals) process.removeAllListeners(event)
  binding().admitSignals()
  if (process.hasUncaughtExceptionCaptureCallback()) process.setUncaughtExceptionCaptureCallback(null)
  for (const name of ['send', 'disconnect', 'connected', 'channel', '_channel'])
    if (name in process) Object.defineProperty(process, name, { value: undefined, writable: true, configurable: true })
  ;(process as { _exiting?: boolean })._exiting = false
  process.exitCode = undefined
}

/** Siblings must not draw the same numbers. What OpenSSL gives differs anyway; what node has drawn ahead does not. */
function renewRandom(): void {
  const { setFlagsFromString } = process.getBuiltinModule('node:v8')
  const seed = (): void => {
    const [a, b, c, d] = binding().randomBytes(4) as unknown as [number, number, number, number]
    setFlagsFromString(`--random-seed=${1 + (a | (b << 8) | (c << 16) | ((d & 63) << 24))}`)
  }
  seed()
  Math.random = spareRandom!
  spareRandom = undefined
  Math.random()
  seed() // for contexts to come
  if (!cachesExhausted) drawAhead(AHEAD.uuids, AHEAD.integers)
  cachesExhausted = false // for copies of this copy
}

/** What node draws ahead at most (20 to 26). */
const AHEAD = { uuids: 128, integers: 1024 }
let cachesExhausted = false

function drawAhead(uuids: number, integers: number): void {
  if (!hasLoaded('internal/crypto/random')) return
  const crypto = process.getBuiltinModule('node:crypto')
  for (let i = 0; i < uuids; i++) crypto.randomUUID()
  for (let i = 0; i < integers; i++) crypto.randomInt(2)
}

/** In a template: draws what node has ahead, so that each child draws anew by itself and need not do this 1,000 times. */
export function exhaustRandomCaches(): void {
  if (!hasLoaded('internal/crypto/random')) return
  const { randomInt, randomUUID } = process.getBuiltinModule('node:crypto')
  const look = (): [number, number, number] => {
    const { randomCache, randomCacheOffset, uuidBatch } = closedOver(
      [randomInt, randomUUID],
      ['randomCache', 'randomCacheOffset', 'uuidBatch'],
    )
    return [(randomCache as Uint8Array).length, randomCacheOffset as number, uuidBatch as number]
  }
  try {
    const [length, offset, batch] = look()
    drawAhead((AHEAD.uuids - batch) % AHEAD.uuids, (length - offset) / 6)
    const after = look()
    cachesExhausted = after[0] === after[1] && after[2] === 0
  } catch {
    // Kept in another way here: the children draw.
  }
}

/** In a template: runs those functions of node that each child runs before its target, so that they are compiled here. */
export function rehearse(): void {
  const nothing = (): void => {}
  process.on('multiproc', nothing)
  process.removeAllListeners('multiproc')
  process.hasUncaughtExceptionCaptureCallback()
  clearTimeout(setTimeout(nothing, 2 ** 30))
  clearImmediate(setImmediate(nothing))
  Buffer.from('', 'base64')
  ;(process as unknown as { _tickCallback(): void })._tickCallback()
  try {
    process.chdir(process.cwd()) // it forgets what it knew
    process.cwd()
  } catch {
    // there is no such folder any more
  }
}

/**
 * Exit handlers run, then the process is gone: node's own teardown would end what the parent and all siblings share.
 */
function replaceExit(): void {
  const { exitNow, loopAlive } = binding()
  const code = (value: unknown): number => (Number(process.exitCode ?? value) || 0) & 255
  ;(process as unknown as { reallyExit: unknown }).reallyExit = (value: unknown) => exitNow(code(value))
  const emit = process.emit as (...args: unknown[]) => boolean
  process.emit = function (this: NodeJS.Process, ...args: unknown[]) {
    const result = Reflect.apply(emit, this, args)
    if (args[0] === 'exit') exitNow(code(args[1]))
    if (args[0] === 'beforeExit' && !loopAlive()) {
      // Node would look now whether the parent's main module has been evaluated to its end: not here it has not.
      ;(process as unknown as { _tickCallback(): void })._tickCallback()
      if (!loopAlive()) process.exit()
    }
    return result
  } as typeof process.emit
}
