// What becomes of the children when their parent ends: by itself, by process.exit(), by an error, by SIGKILL. The
// runner of the programs fails when one of their processes is left.
import { describe, expect, test } from 'vitest'
import { METHODS, program } from './program'

describe.each(METHODS)('%s', (method) => {
  test('at its normal end a parent joins its non-daemons and terminates its daemons', async () => {
    const { code, lines } = await program('end.mjs', ['normal'], { method })
    expect(lines).toEqual(['done', 'parent exits'])
    expect(code).toBe(0)
  })

  test('an unref()ed child does not keep the loop alive, and is joined all the same', async () => {
    const { lines } = await program('end.mjs', ['unref'], { method })
    expect(lines).toEqual(['beforeExit', 'done', 'parent exits'])
  })

  test('a daemon keeps nothing alive, its pipes neither', async () => {
    const { lines, code } = await program('end.mjs', ['daemonUnawaited'], { method })
    expect({ lines, code }).toEqual({ lines: ['end'], code: 0 })
  })

  test('a pending join keeps the loop alive for a daemon', async () => {
    const { lines } = await program('end.mjs', ['daemonJoined'], { method })
    expect(lines).toEqual(['done', 'true'])
  })

  test('process.exit() waits for nobody; non-daemons go on, daemons do not', async () => {
    const { code, lines } = await program('end.mjs', ['exit'], { method })
    expect(lines).toEqual(['parent exits', 'done'])
    expect(code).toBe(5)
  })

  test('an uncaught error does the same', async () => {
    const { code, lines, stderr } = await program('end.mjs', ['uncaught'], { method })
    expect(code).toBe(1)
    expect(stderr).toContain('parent fails')
    expect(lines).toEqual(['done'])
  })

  test('a child joins its own children', async () => {
    const { lines } = await program('end.mjs', ['childJoinsChildren'], { method })
    expect(lines).toEqual(['done', 'child exits', 'parent exits'])
  })

  test('a SIGKILLed parent leaves no child, whatever they do', async () => {
    let children = 0
    const { signal } = await program('end.mjs', ['orphans'], {
      method,
      onLine: (_, pid) => {
        if (++children === 6) process.kill(pid, 'SIGKILL')
      },
    })
    expect(children).toBe(6)
    expect(signal).toBe('SIGKILL')
  })

  test('a parent that is SIGKILLed while its children boot leaves none', async () => {
    const { signal } = await program('end.mjs', ['booting'], {
      method,
      onLine: (_, pid) => void process.kill(pid, 'SIGKILL'),
    })
    expect(signal).toBe('SIGKILL')
  })

  test.skipIf(method === 'fork')('a thread starts and joins processes', async () => {
    const { lines, code } = await program('end.mjs', ['worker', 'join'], { method })
    expect(lines).toEqual(['main in the worker false', 'child of a thread', 'true 0', 'true 4', 'worker ends 0'])
    expect(code).toBe(0)
  })

  test.skipIf(method === 'fork')('a daemon of a thread ends with the thread', async () => {
    const { lines } = await program('end.mjs', ['worker', 'daemon'], { method })
    expect(lines).toEqual(['main in the worker false', 'worker ends 0'])
  })

  test.skipIf(method === 'fork')(
    'a thread that is blocked in joinSync can be terminated, and leaves no child',
    async () => {
      const { lines } = await program('end.mjs', ['worker', 'terminate'], { method })
      expect(lines).toEqual(['main in the worker false', 'worker ends 1'])
    },
  )
})
