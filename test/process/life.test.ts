// Identity, status and the end of processes (CPython: _TestProcess).
import { describe, expect, test } from 'vitest'
import { METHODS, program } from './program'

describe.each(METHODS)('%s', (method) => {
  async function lines(...args: string[]): Promise<string[]> {
    const { code, lines, stderr } = await program('life.mjs', args, { method })
    expect(stderr).toBe('')
    expect(code).toBe(0)
    return lines
  }

  test('a process from its construction to its end', async () => {
    expect(await lines('whole')).toEqual([
      " false false <Process name='Some' parent=PID initial>".replace('false false', ' false false'),
      'true  true true',
      'hello Some true false MainProcess true true',
      'true 0  false false',
      "<Process name='Some' pid=CHILD parent=PID stopped exitcode=0>",
    ])
  })

  test('the main process', async () => {
    expect(await lines('main')).toEqual([
      'MainProcess true true false  32 ',
      "true <MainProcess name='MainProcess' parent=null started>",
    ])
  })

  test('names count the objects of a process, and tell of its ancestors', async () => {
    expect(await lines('names')).toEqual([
      'Process-1 Process-2',
      'MainProcess',
      'Process-3',
      'Process-3:1',
      'Process-3:2',
      'Process-4',
      'Process-4:1',
      'Process-4:2',
    ])
  })

  test('its end is seen without a turn of the event loop, and agrees with what comes later', async () => {
    expect(await lines('unawaitedSyncLoop')).toEqual(['0 0 true true'])
  })

  test.each(['sync', 'async'])('a child can wait for the end of its parent: %s', async (how) => {
    expect(await lines('parentDies', how)).toEqual(['alive, true not alive -15'])
  })

  test('in another process it is only a name', async () => {
    expect(await lines('other')).toEqual([
      'Other true',
      'StateError ERR_MP_STATE: can only start a process object created by the current process',
      'StateError ERR_MP_STATE: can only join a child process',
      'StateError ERR_MP_STATE: can only test a child process',
      'StateError ERR_MP_STATE: can only terminate a child process',
      'true 0',
    ])
  })

  test('several at once', async () => {
    expect(await lines('many')).toEqual(['0 0 0 0 0', Array(5).fill('-15 SIGTERM').join(', ')])
  })

  test('terminate, kill, interrupt, abort', async () => {
    expect(await lines('signals')).toEqual([
      'false false false true',
      'terminate true -15 SIGTERM false 0',
      'false false false true',
      'kill true -9 SIGKILL false 0',
      'false false false true',
      'interrupt true -2 SIGINT false 0',
      'abort true -15',
      'at once true -15',
      'AbortError 20: This operation was aborted',
    ])
  })

  test('close', async () => {
    expect(await lines('close')).toEqual(
      [
        'StateError ERR_MP_STATE: cannot close a process while it is still running: call join() or terminate() first',
        ...Array(6).fill('ClosedError ERR_MP_CLOSED: process object is closed'),
        "<Process name='Process-1' pid=0 parent=PID closed>".replace(/pid=0/, () => expect.anything() && 'pid=0'),
        'ClosedError',
      ].map((line) =>
        line.startsWith('<') ? expect.stringMatching(/^<Process name='Process-1' pid=\d+ parent=PID closed/) : line,
      ),
    )
  })

  test('misuse', async () => {
    expect(await lines('misuse')).toEqual([
      'StateError ERR_MP_STATE: can only join a started process',
      'StateError ERR_MP_STATE: can only terminate a started process',
      'StateError ERR_MP_STATE: process not started',
      'TypeError ERR_INVALID_ARG_TYPE: argument "name" must be a string; received number (1)',
      'TypeError ERR_INVALID_ARG_TYPE: argument "daemon" must be a boolean; received number (1)',
      'TypeError ERR_INVALID_ARG_TYPE: argument "authKey" must be a Uint8Array or a string; received number (1)',
      'StateError can only join a started process',
      'ERR_INVALID_ARG_TYPE',
      'StateError ERR_MP_STATE: cannot start a process twice',
      'StateError ERR_MP_STATE: process has already started',
      expect.stringMatching(/^TypeError ERR_INVALID_ARG_TYPE: argument "options.signal"/),
      'renamed',
      'StateError ERR_MP_STATE: cannot start a process twice',
    ])
  })

  test('daemons may not have children', async () => {
    expect(await lines('daemonParent')).toEqual([
      'true StateError ERR_MP_STATE: daemonic processes are not allowed to have children',
      'true 0',
    ])
  })

  test('exit codes and uncaught errors', async () => {
    const { code, lines, stderr } = await program('life.mjs', ['codes'], { method })
    expect(lines.filter((line) => line !== 'never')).toEqual([
      '0 7 ',
      '1 3 ',
      '2 1 ',
      '3 1 ',
      '4 1 ',
      '5 1 ',
      '6 -9 SIGKILL',
      '7 9 ',
      '8 1 ',
      'settled',
      '9 0 ',
      'beforeExit',
      'exit handler 0',
      '10 0 ',
    ])
    expect(stderr).toMatch(/^Process P2:\nRangeError: boom\n +at .*life\.mjs:\d+/m)
    expect(stderr).toMatch(/^Process P3:\nError: late\n(.*\n)*? +detail: 42/m)
    expect(stderr).toMatch(/^Process P4:\nTypeError: in a timer/m)
    expect(stderr).toMatch(/^Process P5:\nError: unhandled/m)
    expect(stderr).toMatch(/^Process P8:\n'a string'/m)
    expect(stderr).not.toMatch(/P0|P1|P6|P7|P9/)
    expect(code).toBe(0)
  })
})
