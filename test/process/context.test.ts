// Contexts and start methods (CPython: TestStartMethod).
import { execFileSync } from 'node:child_process'
import { inspect } from 'node:util'
import {
  activeChildren,
  cpuCount,
  currentProcess,
  getAllStartMethods,
  getContext,
  getStartMethod,
  isMain,
  Process,
  parentProcess,
  setForkserverPreload,
  setStartMethod,
  startMethodStatus,
} from 'multiproc'
import { expect, test } from 'vitest'

test('which methods there are', () => {
  const forkable = startMethodStatus('fork').available
  expect(getAllStartMethods()).toEqual(forkable ? ['spawn', 'forkserver', 'fork'] : ['spawn'])
  expect(getStartMethod()).toBe('spawn')
  expect(startMethodStatus('spawn')).toEqual({ available: true })
  for (const method of ['fork', 'forkserver'] as const)
    expect(startMethodStatus(method)).toEqual(
      forkable ? { available: true } : { available: false, reason: expect.any(String) },
    )
})

test('where a method is not there: fork is refused with the reason, forkserver is not', () => {
  const program = `const { getContext, setStartMethod, startMethodStatus, ensureForkserver } = require('multiproc')
    const { reason } = startMethodStatus('fork')
    for (const use of [() => getContext('fork'), () => setStartMethod('fork'), () => getContext('forkserver'), ensureForkserver])
      try { use(); console.log('nothing') } catch (error) { console.log(error.name, error.code, error.message.endsWith(reason)) }`
  const env = { ...process.env, NODE_OPTIONS: undefined, UV_USE_IO_URING: '1' }
  const refused = 'UnsupportedError ERR_MP_UNSUPPORTED true'
  expect(execFileSync(process.execPath, ['-e', program], { env }).toString().trim().split('\n')).toEqual([
    refused,
    refused,
    'nothing',
    refused,
  ])
})

test('an unknown method is a wrong argument', () => {
  const wrong = expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' })
  for (const use of [getContext, setStartMethod, startMethodStatus])
    expect(() => use('thread' as 'spawn')).toThrow(wrong)
  expect(() => getContext('spawn', { main: 'export' as 'import' })).toThrow(wrong)
})

test('a context', () => {
  const context = getContext('spawn')
  expect(getContext('spawn')).toBe(context)
  expect(getContext()).toBe(context)
  expect(context.getContext()).toBe(context)
  expect(context.getStartMethod()).toBe('spawn')
  expect(() => context.setStartMethod('spawn')).toThrow(expect.objectContaining({ code: 'ERR_MP_STATE' }))
  expect(context.Process.name).toBe('SpawnProcess')
  const p = new context.Process({ target: () => {} })
  expect(p).toBeInstanceOf(Process)
  expect(p.name).toMatch(/^SpawnProcess-\d+$/)
  expect(inspect(p)).toBe(`<SpawnProcess name='${p.name}' parent=${process.pid} initial>`)
  expect(getContext('spawn', { main: 'import' })).not.toBe(context)
})

test('the default method is set once', () => {
  setStartMethod('spawn')
  expect(() => setStartMethod('spawn')).toThrow(expect.objectContaining({ name: 'StateError' }))
  setStartMethod('spawn', { force: true })
  for (const options of [5, { force: 'no' }])
    expect(() => setStartMethod('spawn', options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    )
  expect(getStartMethod()).toBe('spawn')
})

test('the preload list is checked', () => {
  setForkserverPreload(['a', new URL('file:///b.js')])
  expect(() => setForkserverPreload([1] as never)).toThrow(/"modules\[0\]" must be a string or a URL; received number/)
  expect(() => setForkserverPreload([], { onError: 'never' as 'warn' })).toThrow(/"options.onError" must be 'ignore'/)
  expect(() => setForkserverPreload([], { warmUp: 1 as never })).toThrow(/"options.warmUp" must be a function/)
  setForkserverPreload([])
})

test('what is known outside of any child', () => {
  expect(currentProcess().name).toBe('MainProcess')
  expect(parentProcess()).toBe(null)
  expect(activeChildren()).toEqual([])
  expect(isMain(import.meta)).toBe(false)
  expect(() => isMain(1 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
})

test('cpuCount knows the affinity mask', () => {
  expect(cpuCount()).toBeGreaterThanOrEqual(1)
  const program = "console.log(require('multiproc').cpuCount())"
  expect(execFileSync('taskset', ['-c', '0', process.execPath, '-e', program]).toString()).toBe('1\n')
})

test('a program without a file is a main module, and its children do not run it', () => {
  const text = `const p = new Process({ target: (n) => console.log('child', n), args: [1] }); p.start(); p.joinSync()`
  const commonjs = `const { Process, isMain } = require('multiproc'); console.log(isMain(module)); ${text}`
  const module = `import { Process, isMain } from 'multiproc'; console.log(isMain(import.meta)); ${text}`
  const run = (args: string[], input = '') =>
    execFileSync(process.execPath, args, { input, timeout: 20_000 }).toString()
  expect(run(['-e', commonjs])).toBe('true\nchild 1\n')
  // A declared function is a property of the global object there; it is no global of the child.
  const declared = `const { Process } = require('multiproc'); function f(n) { console.log('declared', n) }\nnew Process({ target: f, args: [1] }).start()`
  expect(run(['-e', declared])).toBe('declared 1\n')
  expect(run(['-e', commonjs, 'an argument'])).toBe('true\nchild 1\n')
  expect(run(['-'], commonjs)).toBe('true\nchild 1\n')
  expect(run(['--input-type=module', '-e', module])).toBe('true\nchild 1\n')
})

test('wrong options', () => {
  const wrong = (options: unknown) => () => new Process(options as never)
  const type = expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' })
  for (const options of [
    1,
    { target: 1 },
    { args: 1 },
    { name: 1 },
    { daemon: 1 },
    { env: 1 },
    { cwd: 1 },
    { execArgv: [1] },
    { signal: {} },
    { authKey: 1 },
  ])
    expect(wrong(options)).toThrow(type)
  expect(wrong({ stdio: 'ipc' })).toThrow(
    /argument "options.stdio" must be 'inherit', 'pipe' or 'ignore'; received 'ipc'/,
  )
})

test('functions of a test file', async () => {
  const answer = 41
  const p = new Process({ target: (n: number) => process.exit(answer + n), args: [1] })
  expect(p.exitCode).toBe(null)
  p.start()
  expect(activeChildren()).toEqual([p])
  expect(await p.join({ timeout: 20_000 })).toBe(true)
  expect(p.exitCode).toBe(42)
  expect(activeChildren()).toEqual([])
})

test('sentinel', async () => {
  const p = new Process({ target: () => {} })
  expect(() => p.sentinel).toThrow('process not started')
  p.start()
  expect(p.sentinel).toBe(p.sentinel)
  await p.join()
  expect(inspect(p.sentinel)).toBe(`<Sentinel pid=${p.pid} ended>`)
})
