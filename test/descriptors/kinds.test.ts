// Each kind of open resource arrives as its kind, on the same open file of the system (CPython: _TestConnection.test_fd_transfer,
// _TestPicklingConnections).
import { expect, test } from 'vitest'
import { program } from '../process/program'

const expected: Record<string, string[]> = {
  // One position for both: that is what makes it the same open file.
  file: ['parent reads ab', 'child reads cde', 'child true 10', 'parent reads gh XbcdeYghij'],
  append: ['EBADF', 'parent child parent'],
  tcp: ['child true open true true', 'child got to child', 'client got 300001'],
  unix: ['child true open true false', 'child got to child', 'client got hello!'],
  half: ['parent got first', 'child writeOnly false true', 'client got still'],
  unread: ['parent has 0', 'child got early late'],
  kept: ['parent got for the parent', 'client got from child'],
  unixServer: ['child true false  string', 'served by child'],
  lateServer: ['holder true', 'client got late'],
  lateUdp: ['child got late'],
  udp4: ['child true true true', 'client got there and back'],
  udp6: ['child true true true', 'client got there and back'],
  connected: ['child true', 'server got from child'],
  nested: ['true'],
  captured: ['client got captured'],
  exits: ['child got from a process that is gone'],
  lazy: ['false false false false'],
}

async function lines(...args: string[]): Promise<string[]> {
  const { code, lines, stderr } = await program('../descriptors/kinds.mjs', args)
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return lines
}

test.each(Object.keys(expected))('%s', async (name) => {
  expect(await lines(name)).toEqual(expected[name])
})

test('server', async () => {
  const told = await lines('server')
  expect(told.slice(0, 3).sort()).toEqual(['one', 'three', 'two'].map((name) => `${name} true true 5 object`))
  expect(told.slice(3)).toEqual(['served by one three two'])
})
