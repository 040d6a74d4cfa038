// Standard streams of copied processes. Node makes each stream once, for the descriptor as it was then: a copy whose
// descriptors are others needs streams of its own, and must not write what its parent had in a buffer.
import type { Writable } from 'node:stream'
import { binding } from '../../binding'

const OUTPUTS = [
  ['stdout', 1],
  ['stderr', 2],
] as const

/** In the child: descriptors 0, 1 and 2. −1 stands for nothing. */
export function redirectOutputs([stdout, stderr]: readonly [number, number]): void {
  binding().redirect(-1, 0)
  if (stdout !== 1) binding().redirect(stdout, 1)
  if (stderr !== 2) binding().redirect(stderr, 2)
}

type Restore = () => void
let restorers: Restore[] = []

/** In a template: what preloaded modules print comes out at once, and node makes no stream that a child would inherit. */
export function stubOutputs(): void {
  const { writeSync } = process.getBuiltinModule('node:fs')
  const { Writable } = process.getBuiltinModule('node:stream')
  for (const [name, fd] of OUTPUTS) {
    const own = Object.getOwnPropertyDescriptor(process, name)!
    let restored = false
    let stub: Writable | undefined
    const make = () =>
      new Writable({
        decodeStrings: false,
        write(chunk, encoding, done) {
          // A module may have kept the stub: in a child it leads to the real stream.
          if (restored) {
            process[name].write(chunk, encoding, done)
            return
          }
          writeSync(fd, typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)
          done()
        },
      })
    Object.defineProperty(process, name, {
      configurable: true,
      enumerable: true,
      get() {
        stub ??= Object.assign(make(), { fd })
        return stub
      },
    })
    restorers.push(() => {
      restored = true
      Object.defineProperty(process, name, own)
    })
  }
}
/** In a child of a template: from now on node makes its streams as it always does. */
export function restoreOutputs(): void {
  for (const restore of restorers) restore()
  restorers = []
  bindConsole()
}

/** In a forked child: streams of its own, made when they are first used. */
export function renewOutputs(): void {
  for (const [name, fd] of OUTPUTS) defineLazily(name, () => makeOutput(fd))
  defineLazily('stdin', () => {
    const { createReadStream } = process.getBuiltinModule('node:fs')
    return Object.assign(createReadStream('/dev/null', { fd: 0, autoClose: false }), { fd: 0 })
  })
  bindConsole()
}

function defineLazily(name: 'stdin' | 'stdout' | 'stderr', make: () => unknown): void {
  let stream: unknown
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get() {
      stream ??= make()
      return stream
    },
  })
}

function makeOutput(fd: 1 | 2): Writable {
  const { fstatSync, writeSync } = process.getBuiltinModule('node:fs')
  const stat = fstatSync(fd)
  let stream: Writable
  if (stat.isFIFO() || stat.isSocket()) {
    const { Socket } = process.getBuiltinModule('node:net')
    stream = new Socket({ fd, readable: false, writable: true })
    ;(stream as import('node:net').Socket).unref()
  } else if (process.getBuiltinModule('node:tty').isatty(fd)) {
    stream = new (process.getBuiltinModule('node:tty').WriteStream)(fd)
    ;(stream as import('node:tty').WriteStream).unref()
  } else {
    const { Writable } = process.getBuiltinModule('node:stream')
    stream = new Writable({
      decodeStrings: true,
      write(chunk, _, done) {
        for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at)
        done()
      },
    })
  }
  // As node's own: they are never closed.
  const stay = function (this: Writable, error: unknown, done?: (error: unknown) => void) {
    done?.(error)
    return this
  }
  return Object.assign(stream, { fd, _isStdio: true, destroySoon: stay, _destroy: stay })
}

/** The global console keeps the streams that it first used. */
function bindConsole(): void {
  for (const [name] of OUTPUTS)
    Object.defineProperty(console, `_${name}`, { configurable: true, enumerable: false, get: () => process[name] })
}
