// Logging and the channels of diagnostics_channel, as programs meet them, with each start method. CPython's _TestLogging is
// among them.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { getLogger, logToStderr, setLogger } from 'multiproc'
import { describe, expect, test } from 'vitest'
import { fixture, METHODS, program } from '../process/program'

const FILE = '../log/logging.mjs'

describe.each(METHODS)('%s', (method) => {
  test('a level alone writes nothing (CPython: test_enable_logging)', async () => {
    const { lines, stderr, code } = await program(FILE, ['enable'], { method })
    expect({ lines, stderr, code }).toEqual({ lines: ['true'], stderr: '', code: 0 })
  })

  test('children have the level of their parent, and its stderr (CPython: test_level)', async () => {
    const { lines, stderr } = await program(FILE, ['levels'], { method })
    expect(lines).toEqual(['error false false', 'error true false', 'error true false'])
    expect(stderr).toBe('')
  })

  test('lines say the level and the process (CPython: test_filename)', async () => {
    const { stderr } = await program(FILE, ['lines'], { method })
    const lines = stderr.replace(/pid \d+/g, 'pid N').split('\n')
    expect(lines).toContain(`[INFO/MainProcess] started 'alice' (pid N, ${method})`)
    expect(lines).toContain('[INFO/alice] calls run() (pid N)')
    expect(lines).toContain('[INFO/alice] 1 and two')
    expect(lines).toContain('[INFO/alice] exits with code 0')
    expect(lines).toContain("[INFO/MainProcess] 'alice' (pid N) has ended: exit code 0")
    expect(stderr).not.toContain('bob')
  })

  test('NODE_DEBUG=multiproc shows all, in children, too', async () => {
    const { stderr } = await program(FILE, ['debug'], { method, env: { NODE_DEBUG: 'http,multiproc' } })
    expect(stderr).toContain("[INFO/MainProcess] started 'alice'")
    expect(stderr).toContain('[DEBUG/alice] from the child')
    const other = await program(FILE, ['debug'], { method, env: { NODE_DEBUG: 'http' } })
    expect(other.stderr).toBe('')
  })

  test("a program's own logger gets the messages, as its level says", async () => {
    const { lines, code } = await program(FILE, ['own'], { method })
    expect(lines.map((line) => line.replace(/pid \d+/g, 'pid N'))).toEqual([
      '0',
      `info [MainProcess] started 'bob' (pid N, ${method})`,
      "info [MainProcess] 'bob' (pid N) has ended: exit code 3",
    ])
    expect(code).toBe(0)
  })

  test('an error of that logger is an uncaught one, and harms nothing', async () => {
    const { lines } = await program(FILE, ['throws'], { method })
    expect(lines.sort()).toEqual(['true', 'uncaught the disk is full'])
  })

  test('lost workers and abandoned locks are warned of', async () => {
    const { lines, stderr } = await program(FILE, ['lost'], { method })
    expect(lines).toEqual(['ERR_MP_WORKER_LOST'])
    expect(stderr).toMatch(/\[WARN\/MainProcess\] .*'ledger'.* was held by a process that was killed/)
    expect(stderr).toMatch(/\[WARN\/MainProcess\] .*SIGKILL/)
    expect(stderr).not.toContain('[INFO')
  })

  test('diagnostics_channel tells of starts and ends', async () => {
    const { lines } = await program(FILE, ['channels'], { method })
    expect(lines).toEqual([
      `start true true {"name":"alice","startMethod":"${method}"}`,
      'exit true true {"name":"alice","exitCode":7,"exitSignal":null}',
      `start true true {"name":"bob","startMethod":"${method}"}`,
      'exit true true {"name":"bob","exitCode":-9,"exitSignal":"SIGKILL"}',
    ])
  })

  test('nobody need read the lines', async () => {
    const child = spawn(process.execPath, [fixture(FILE), 'closed'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, MULTIPROC_TEST_METHOD: method },
    })
    child.stderr.destroy()
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    const [code] = await once(child, 'close')
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'alive\n' })
  })
})

test('wrong arguments', () => {
  expect(() => logToStderr('loud' as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
  expect(() => logToStderr(10 as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  expect(() => setLogger(undefined as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  expect(() => setLogger({ debug() {}, info() {}, warn() {} } as never)).toThrow(
    'argument "logger.error" must be a function; received undefined',
  )
  expect(() => {
    getLogger().level = 'constructor' as never
  }).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
  expect(getLogger().level).toBe('warn')
})
