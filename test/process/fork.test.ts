// Start method "fork": what the child has of its parent, what it must not have, and where it is refused.
import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { fixture, METHODS, program } from './program'

const it = test.runIf(METHODS.includes('fork'))

async function lines(name: string, flags: string[] = []): Promise<string[]> {
  const { code, lines, stderr } = await program('fork.mjs', [name], { method: 'fork', flags })
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return lines
}

it('start() only schedules; the child sees the state at the end of the tick', async () => {
  const early = "a forked process when it is there: 'await process.started' first"
  expect(await lines('started')).toEqual([
    ' false  false',
    `StateError ERR_MP_STATE: can only join ${early}`,
    `StateError ERR_MP_STATE: can only terminate ${early}`,
    'StateError ERR_MP_STATE: process not started',
    'StateError ERR_MP_STATE: cannot start a process twice',
    `can only join ${early}`,
    'child sees 2',
    'true true true 0',
  ])
})

it('nothing is serialised: private fields, closures, weak maps are there', async () => {
  expect(await lines('heap')).toEqual(['7 true true Process-1 MainProcess', '6 0'])
})

it("timers, I/O, pending work, exit and signal handlers are the parent's alone", async () => {
  const all = await lines('leftBehind')
  expect(all).not.toContainEqual(expect.stringContaining('CHILD'))
  expect(all.sort()).toEqual(
    [
      '-15',
      '0',
      'beforeExit parent',
      'by parent',
      'exit parent',
      'file parent',
      'immediate parent',
      'timer parent',
    ].sort(),
  )
})

it('several forks in one tick are each one process', async () => {
  const all = await lines('several')
  expect(all.sort()).toEqual(['0,0,0,0 4', 'child 0', 'child 1', 'child 2', 'child 3'])
})

it('forks can be nested', async () => expect(await lines('nested')).toEqual(['4']))

it('a chain of generations ends at the limit', async () => {
  const { stderr, lines } = await program('deep.mjs', ['fork'], { env: { MULTIPROC_MAX_DEPTH: '3' } })
  expect(lines).toEqual(['generation undefined', 'generation 1', 'generation 2', 'generation 3'])
  expect(stderr).toMatch(/StateError: a process cannot be started 4 generations deep: the limit is 3/)
})

it('it is refused where it would not be safe, and works again afterwards', async () => {
  const { lines, code } = await program('fork.mjs', ['refusals'], { method: 'fork' })
  expect(lines).toEqual([
    expect.stringMatching(/^TypeError ERR_INVALID_ARG_VALUE: argument "options.execArgv"/),
    expect.stringMatching(/^Error ENOENT: .*chdir \/does\/not\/exist/),
    "UnsupportedError ERR_MP_UNSUPPORTED: start method 'fork' cannot be used: the inspector is open",
    expect.stringMatching(
      /^UnsupportedError ERR_MP_UNSUPPORTED this process cannot be forked now: it has N threads? that (is|are) not known to be safe/,
    ),
    ' false ',
    'again UnsupportedError',
    'true 0',
    'true 0',
    'UnsupportedError only the main thread can fork',
  ])
  expect(code).toBe(0)
})

it('a failure that nobody awaits is not lost', async () =>
  expect(await lines('unawaited')).toEqual(['uncaught UnsupportedError']))

it("what the parent holds stays the parent's (CPython: TestForkAwareThreadLock)", async () => {
  expect(await lines('locks')).toEqual([
    'true true 0 true',
    ' StateError ERR_MP_NOT_OWNER',
    '0 1111 false 1',
    '-9 true',
  ])
})

it('inherited waits reject, and end tasks that do not care quietly', async () => {
  expect(await lines('waits')).toEqual([
    "StateError ERR_MP_STATE the parent process waits for Lock 'mine', not this forked child: start a wait of your own",
    '0',
    'only in the parent true',
  ])
})

it('shared objects live as long as the child, whatever the parent does with its own', async () =>
  expect(await lines('collected', ['--expose-gc'])).toEqual(['7', '0']))

it('a child collects what is garbage in its parent, too', async () =>
  expect(await lines('garbage', ['--expose-gc'])).toEqual(['still here', '0']))

it.each(METHODS.filter((method) => method !== 'spawn'))(
  'siblings, generations and the parent draw different numbers: %s',
  async (method) => {
    const { lines, stderr } = await program('fork.mjs', ['random'], { method })
    expect({ lines, stderr }).toEqual({ lines: ['7 7,7,7,7,7,7,7,7'], stderr: '' })
  },
)

it('what the parent has in a buffer is written once', async () => {
  const { stdout, stderr } = await program('fork.mjs', ['output'], { method: 'fork' })
  expect({ stdout, stderr }).toEqual({ stdout: 'child\nonce\nlog\nwrite\n', stderr: 'error\n' })
})

it("the parent's handlers of errors do not run in the child", async () => {
  const { lines, stderr } = await program('fork.mjs', ['uncaught'], { method: 'fork' })
  expect(lines).toEqual(['1'])
  expect(stderr).toMatch(/^Process Thrower:\nRangeError: boom\n +at .*fork\.mjs/)
})

it("the parent's unfinished main module does not end the child", async () =>
  expect(await lines('topLevel')).toEqual(['0 ']))

// With spawn it is node's own affair: it opens the inspector, which aborts node if that is just ending.
it.each(METHODS.filter((method) => method !== 'spawn'))('SIGUSR1 does not end a child: %s', async (method) => {
  const { lines } = await program('fork.mjs', ['sigusr1'], { method })
  expect(lines).toEqual(['0 '])
})

it.each(METHODS)('a terminal is one for the child, too: %s', (method) => {
  const command = `import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))`
  const out = execFileSync('python3', ['-c', command, process.execPath, fixture('fork.mjs'), 'terminal'], {
    env: { ...process.env, NODE_OPTIONS: undefined, NO_COLOR: '1', MULTIPROC_TEST_METHOD: method },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 20_000,
  })
  expect(out.toString().replaceAll('\r', '')).toBe('parent true\nchild true false\npiped false\nend\n')
})

it('the methods can be mixed in one program', async () =>
  expect(await lines('mixed')).toEqual(['spawn 3, forkserver 3, fork 3']))
