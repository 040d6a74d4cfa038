// Everything that a program may do works in a child, whatever started it.
import { expect, test } from 'vitest'
import { METHODS, program } from './program'

test.each(METHODS)('a child of %s can do what any node can', async (method) => {
  const { code, lines, stderr } = await program('suite.mjs', [], { method, timeout: 50_000 })
  expect(stderr).toMatch(/^Debugger listening on .*\nFor help, see: .*\n$/) // node says so itself
  expect(lines).toEqual(['passed 30 of 30', 'exit handler 7', 'exit code 7'])
  expect(code).toBe(0)
})
