// How a process is started: standard streams, environment, flags, keys, subclasses, failures.
import { rmSync, symlinkSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { fixture, METHODS, type ProgramOptions, program } from './program'

describe.each(METHODS)('%s', (method) => {
  async function lines(name: string, options: ProgramOptions = {}, more: string[] = []): Promise<string[]> {
    const { code, lines, stderr } = await program('options.mjs', [name, ...more], { method, ...options })
    expect(stderr).toBe('')
    expect(code).toBe(0)
    return lines
  }

  test('stdio: pipe', async () => expect(await lines('pipe')).toEqual(['true out err']))
  test('joinSync reads full pipes', async () => expect(await lines('drain')).toEqual(['true 0', '1048577 524289']))
  test('stdio: ignore', async () => expect(await lines('ignore')).toEqual(['0']))
  test('standard input is empty', async () => expect(await lines('stdin')).toEqual(['stdin ended', '0']))
  test('env is merged, cwd is set, our variables are gone', async () => {
    expect(await lines('env')).toEqual(['kept added   /tmp'])
  })
  test.runIf(method === 'spawn')(
    'flags of node reach the child, without the inspector and what was to be run (CPython: TestFlags)',
    async () => {
      const { lines } = await program('options.mjs', ['flags', 'a', 'b'], {
        flags: ['--max-old-space-size=300', '--inspect-port=0', '--conditions', 'x'],
      })
      expect(lines).toEqual([
        '--max-old-space-size=300 --inspect-port=0 --conditions',
        '--max-old-space-size=300 --conditions x',
        '--no-warnings',
        'flags a b',
      ])
    },
  )
  test('the authentication key is inherited, can be set, and does not travel', async () => {
    expect(await lines('authKey')).toEqual([
      'true',
      'secret',
      method === 'fork' ? 'nothing' : expect.stringMatching(/^SerializationError ERR_MP_SERIALIZATION/),
      '1,2',
    ])
  })
  test.skipIf(method === 'fork')('a failed start throws and leaves nothing', async () => {
    expect(await lines('failures')).toEqual([
      'SerializationError ERR_MP_SERIALIZATION',
      'can only join a started process ',
      expect.stringMatching(/^Error ENOENT: ENOENT: no such file or directory, (spawn|chdir)/),
      expect.stringMatching(/^Error ENOENT: ENOENT: no such file or directory, spawn \/does\/not\/exist/),
      'started ENOENT',
      'true 0',
      'nothing left',
    ])
  })
  test('setExecutable takes a path, its bytes or a URL', async () =>
    expect(await lines('executable')).toEqual(['0', '0', '0']))
  test('a child inherits no stray descriptor (CPython: TestCloseFds, test_child_fd_inflation)', async () => {
    expect(await lines('descriptors')).toEqual([method === 'fork' ? 'true' : 'false', '0', 'true'])
  })
  test('a subclass travels with its class and its own properties (CPython: _TestSubclassingProcess)', async () => {
    expect(await lines('subclass')).toEqual([
      'Adder true true adder 3 true true',
      'true 0 1',
      `Other-2 ${method} ${method[0]!.toUpperCase()}${method.slice(1)}Process-2:1`,
    ])
  })
  test('a child starts its own as it was started', async () =>
    expect(await lines('startMethod')).toEqual([`${method} ${method} true`]))
  test('await using joins', async () => expect(await lines('dispose')).toEqual(['0', '0']))
  test('join times out, can be aborted, and waits for several callers', async () => {
    expect(await lines('waits')).toEqual(['false false true', 'enough true', 'before', 'true,true'])
  })
})

test('isMain', async () => {
  const link = fixture('link-to-main.mjs')
  symlinkSync(fixture('main.mjs'), link)
  try {
    const direct = await program('main.mjs')
    expect(direct.lines).toEqual(['main true', 'other false', 'by value false', 'imported false'])
    expect((await program('link-to-main.mjs')).lines).toEqual(direct.lines)
    expect((await program('main.cjs')).lines).toEqual(['main true', 'other false', 'by value false'])
    expect((await program('main')).lines).toEqual(['main true', 'other false', 'by value false'])
    const tsx = ['--import', 'tsx']
    expect((await program('main.mts', [], { flags: tsx })).lines).toEqual(['main true', 'by value false', 'enum 2'])
    expect((await program('main.cts', [], { flags: tsx })).lines).toEqual(['main true', 'by value false'])
  } finally {
    rmSync(link)
  }
})
