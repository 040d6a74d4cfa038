// A script without the isMain guard works or fails with a clear error, never a fork bomb (CPython: TestNoForkBomb).
import { expect, test } from 'vitest'
import { program } from './program'

const REFUSED = /StateError: a process cannot be started while a child loads the program's modules/g

test('an unguarded program works when its functions go by value', async () => {
  const { code, stdout, stderr } = await program('unguarded.mjs', ['value'])
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '123\n', stderr: '' })
})

test('an unguarded program that is imported by its children fails and names the guard', async () => {
  const { code, stdout, stderr } = await program('unguarded.mjs', ['import'])
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(REFUSED)
  expect(stderr).toContain('isMain(import.meta)')
})

test.each([['await'], ['timer'], ['immediate'], ['file'], ['await', 'top-level']])(
  'what an unguarded import leaves behind cannot start processes either: %s %s',
  async (...how) => {
    const { code, stdout, stderr } = await program('bomb.mjs', how)
    expect(stdout).toBe('ended 1 1 1 1 1\n')
    expect(stderr.match(REFUSED)).toHaveLength(5)
    expect(code).toBe(0)
  },
)

test('a preload of node is refused, too', async () => {
  const { code, stdout } = await program('empty.mjs', [], {
    flags: ['--require', new URL('../fixtures/process/preload.cjs', import.meta.url).pathname],
  })
  expect(stdout).toBe('preload refused StateError\npreload started 0\n')
  expect(code).toBe(0)
})

test('a chain of generations ends at the limit', async () => {
  const { code, lines, stderr } = await program('deep.mjs', ['chain'], { env: { MULTIPROC_MAX_DEPTH: '3' } })
  expect(lines).toEqual(['generation undefined', 'generation 1', 'generation 2', 'generation 3'])
  expect(stderr).toMatch(/StateError: a process cannot be started 4 generations deep: the limit is 3/)
  expect(code).toBe(1)
})

test('the limit cannot be raised above its cap', async () => {
  const { stderr } = await program('deep.mjs', ['chain'], {
    env: { MULTIPROC_MAX_DEPTH: '1000', MULTIPROC_DEPTH: '64' },
  })
  expect(stderr).toMatch(/65 generations deep: the limit is 64/)
})

test('the counter survives a chain through child_process', async () => {
  const { code, lines } = await program('deep.mjs', ['again'], { env: { MULTIPROC_MAX_DEPTH: '2' } })
  expect(lines).toEqual(['program 0', 'program 1', 'program 2'])
  expect(code).toBe(1)
})
