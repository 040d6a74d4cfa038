// Open resources through queues and pipes: once put they are there, whoever dies, and none stays open (CPython:
// _TestConnection.test_fd_transfer, _TestPicklingConnections).
import { expect, test } from 'vitest'
import { program } from '../process/program'

async function lines(...args: string[]): Promise<string[]> {
  const { code, lines, stderr } = await program('../descriptors/channels.mjs', args)
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return lines
}
const there = 'true true true true true'

test('what was put stays when its sender has ended', async () => {
  expect(await lines('queue', 'ends')).toEqual(['ended 0', there, 'fewer are open true'])
})
test('what was put stays when its sender was killed', async () => {
  expect(await lines('queue', 'killed')).toEqual(['ended -9', there, 'fewer are open true'])
})
test('a hundred connections for two processes', async () => {
  expect(await lines('sockets')).toEqual(['100 true 0 0'])
})
test('there and back through a pipe', async () => {
  expect(await lines('pipe')).toEqual(['Open'])
})
test('dropped, refused, read by the same thread: none stays open', async () => {
  expect(await lines('none')).toEqual(['kept true', 'ERR_MP_QUEUE_FULL', 'value.bad', 'left 0'])
})
