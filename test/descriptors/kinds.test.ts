// Each kind of open resource arrives as its kind, on the same open file of the system (CPython: _TestConnection.test_fd_transfer,
// _TestPicklingConnections).
import { expect, test } from 'vitest'
import { program } from '../process/program'

async function lines(...args: string[]): Promise<string[]> {
  const { code, lines, stderr } = await program('../descriptors/kinds.mjs', args)
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return lines
}

test('a FileHandle: one position for both', async () => {
  expect(await lines('file')).toEqual(['parent reads ab', 'child reads cde', 'child true 10', 'parent reads hi'])
})
