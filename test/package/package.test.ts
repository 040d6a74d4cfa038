// What the package is outside of its code: one instance for import and require, only public names, and an addon that has
// just the functions that binding.d.ts says.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import * as esm from 'multiproc'
import { expect, it } from 'vitest'

const require = createRequire(import.meta.url)
const root = fileURLToPath(new URL('../..', import.meta.url))

it('import and require give the same objects', () => {
  const cjs = require('multiproc')
  for (const [name, value] of Object.entries(esm)) if (name !== 'default') expect(value, name).toBe(cjs[name])
  expect(
    Object.keys(cjs)
      .filter((name) => !name.startsWith('__'))
      .sort(),
  ).toEqual(
    Object.keys(esm)
      .filter((name) => name !== 'default')
      .sort(),
  )
})

it('exports what it should, and no more (as CPython tests __all__)', () => {
  expect(Object.keys(esm).sort()).toMatchInlineSnapshot(`
    [
      "Array",
      "AuthenticationError",
      "Barrier",
      "BaseManager",
      "BaseProxy",
      "BoundedSemaphore",
      "BrokenBarrierError",
      "BufferTooShortError",
      "CancelledError",
      "ClosedError",
      "Condition",
      "Connection",
      "DeadlockError",
      "EOFError",
      "Event",
      "Future",
      "ImapIterator",
      "ImapSyncIterator",
      "JoinableQueue",
      "Listener",
      "Lock",
      "Manager",
      "ManagerServer",
      "MultiprocError",
      "Pipe",
      "Pool",
      "PoolBrokenError",
      "Process",
      "ProcessPoolExecutor",
      "Queue",
      "QueueEmptyError",
      "QueueFullError",
      "RLock",
      "RWLock",
      "RawArray",
      "RawValue",
      "RemoteError",
      "Semaphore",
      "Sentinel",
      "SerializationError",
      "ShareableList",
      "SharedArray",
      "SharedDict",
      "SharedList",
      "SharedMemory",
      "SharedMemoryManager",
      "ShutDownError",
      "SimpleQueue",
      "StateError",
      "SyncManager",
      "Task",
      "ThreadPool",
      "ThreadPoolExecutor",
      "TimeoutError",
      "UnsupportedError",
      "Value",
      "WorkerLostError",
      "activeChildren",
      "array",
      "asCompleted",
      "bytes",
      "connect",
      "connectSync",
      "cpuCount",
      "currentProcess",
      "default",
      "ensureForkserver",
      "fnRef",
      "fromHandle",
      "getAllStartMethods",
      "getContext",
      "getLogger",
      "getStartMethod",
      "isMain",
      "listen",
      "logToStderr",
      "parentProcess",
      "progressBar",
      "setExecutable",
      "setForkserverPreload",
      "setLogger",
      "setSerializer",
      "setStartMethod",
      "startMethodStatus",
      "struct",
      "taskContext",
      "toHandle",
      "transfer",
      "wait",
      "waitFutures",
      "waitSync",
      "withOptions",
    ]
  `)
})

it('the addon has exactly what binding.d.ts says', () => {
  const declared = [
    ...readFileSync(`${root}/binding.d.ts`, 'utf8')
      .split('export interface Binding')[1]!
      .matchAll(/^ {2}(?:readonly )?(\w+)(?=\(|:)/gm),
  ].map(([, name]) => name!)
  const addon = require('node-gyp-build')(root)
  expect(Object.keys(addon).sort()).toEqual(declared.sort())
})

it('a class of errors is recognised across two loaded copies', () => {
  const code = `
    const path = require.resolve('multiproc')
    const first = require('multiproc')
    delete require.cache[path]
    const second = require('multiproc')
    const error = new second.TimeoutError()
    console.log(first !== second, error instanceof first.TimeoutError, error instanceof first.MultiprocError,
      error instanceof first.StateError, new (class Mine extends first.StateError {})('x') instanceof second.StateError)`
  const out = execFileSync(process.execPath, ['-e', code], { cwd: root, encoding: 'utf8' })
  expect(out.trim()).toBe('true true true false true')
})

it('loading it starts no thread, opens no descriptor and makes no shared memory', () => {
  const code = `
    const { readdirSync } = require('node:fs')
    const count = () => [readdirSync('/proc/self/fd').length, readdirSync('/proc/self/task').length]
    const before = count()
    require('multiproc')
    console.log(JSON.stringify([before, count()]))`
  const [before, after] = JSON.parse(execFileSync(process.execPath, ['-e', code], { cwd: root, encoding: 'utf8' }))
  expect(after).toEqual(before)
})
