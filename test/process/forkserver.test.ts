// Start method "forkserver": its template is prepared ahead, replaced when it is killed, and gone with its owner.
import { expect, test } from 'vitest'
import { METHODS, type ProgramOptions, program } from './program'

const it = test.runIf(METHODS.includes('forkserver'))

async function lines(name: string, options: ProgramOptions = {}): Promise<string[]> {
  const { code, lines, stderr } = await program('forkserver.mjs', [name], options)
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return lines
}

it('modules are loaded once, in the template; their timers stay there', async () => {
  expect(await lines('preload')).toEqual(['loaded', 'true true 1000', 'true true 1000', 'without '])
})

it('a preload that fails is ignored, told of, or ends the forkserver', async () => {
  const { lines, stderr } = await program('forkserver.mjs', ['errors'])
  expect(lines).toEqual([
    'runs forkserver',
    'ignore 0 true',
    'runs forkserver',
    'warn 0 true',
    'runs forkserver',
    'fail 0 false',
    'mended true',
  ])
  expect(stderr).toMatch(/MultiprocWarning: preload of \S+does-not-exist.mjs failed, children do it themselves/)
  expect(stderr).toMatch(
    /forkserver' cannot be used, children are spawned instead: preload of \S+does-not-exist.mjs failed/,
  )
})

it('a killed template is replaced; its children go on, and their end is seen (CPython: test_forkserver_sigkill)', async () => {
  expect(await lines('replaced')).toEqual(['new template true', '0 true ', 'survived', 'true 255 ', 'true 255'])
})

it('a template may be killed again and again', async () => {
  expect(await lines('killedWhileIdle')).toEqual(['still', '0'])
})

it('the template survives Ctrl-C (CPython: test_forkserver_sigint)', async () => {
  expect((await lines('interrupt')).sort()).toEqual(['-2', 'SIGINT', 'true'])
})

it('where there is none children are spawned, and one warning says why', async () => {
  const { lines, code } = await program('forkserver.mjs', ['fallback'], { env: { UV_USE_IO_URING: '1' } })
  const reason = 'UV_USE_IO_URING is set, and rings cannot be shared with a child'
  // The warning comes on a later tick: the first child may be faster.
  expect(lines.sort()).toEqual(
    [
      `false ${reason}`,
      'spawn',
      `MultiprocWarning MULTIPROC_FORKSERVER start method 'forkserver' cannot be used, children are spawned instead: ${reason}`,
      'child forkserver',
      '0',
      'child forkserver',
      '0',
      `UnsupportedError ERR_MP_UNSUPPORTED: start method 'forkserver' cannot be used: ${reason}`,
      `UnsupportedError ERR_MP_UNSUPPORTED: start method 'fork' cannot be used: ${reason}`,
    ].sort(),
  )
  expect(code).toBe(0)
})

it('what a copy cannot be given is refused', async () => {
  expect(await lines('refused')).toEqual([
    expect.stringMatching(/^TypeError ERR_INVALID_ARG_VALUE: argument "options.execArgv" must be absent/),
    expect.stringMatching(/^Error ENOENT: .*chdir \/does\/not\/exist/),
  ])
})

it('no descriptor is lost', async () => expect(await lines('leaks')).toEqual(['none true']))

it('a child is kept ready: it does not see Ctrl-C before it is started, and is replaced when it is killed', async () => {
  expect(await lines('spare')).toEqual(['true 7', 'true 8', 'true', '-2', 'SerializationError', '9', '10'])
})

it('150 children at once, joined without the event loop', async () => expect(await lines('many')).toEqual(['true']))

it("{ main: 'import' } works as with spawn", async () =>
  expect(await lines('mainImport')).toEqual(['exported false', '0']))

it('children have the environment and folder of the moment they are started', async () => {
  expect(await lines('environment')).toEqual(['changed  /tmp environment', 'own'])
})

it('a template obeys its owner only', async () => {
  expect(await lines('stranger')).toEqual(['template gone', 'a new one true'])
})

it('the template of a thread ends with the thread', async () => expect(await lines('thread')).toEqual(['true', 'gone']))
