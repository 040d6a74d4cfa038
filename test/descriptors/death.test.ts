// Open resources and those who die, refuse or run out of descriptors: nothing is lost, nothing leaks, errors say where and why
// (CPython: _TestConnection.test_large_fd_transfer, test_missing_fd_transfer, TestInvalidHandle).
import { expect, test } from 'vitest'
import { program } from '../process/program'

async function lines(...args: string[]): Promise<string[]> {
  const { code, lines, stderr } = await program('../descriptors/death.mjs', args)
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return lines
}

test('what was sent outlives its sender', async () => {
  expect(await lines('killedSender')).toEqual(['kept here true', 'receiver reads 3 true', 'left 0'])
})

test('a receiver that is killed leaves nothing behind', async () => {
  expect(await lines('killedReceiver')).toEqual(['kept true left 0'])
})

test('three hundred in one message, twice', async () => {
  expect(await lines('many')).toEqual(['300 300 true left there 0', '300 300 true left there 0', 'left here 0'])
})

test('nothing stays of a start that fails', async () => {
  expect(await lines('failedStart')).toEqual(['ERR_MP_SERIALIZATION args[1].bad', 'left 0'])
})

test('what cannot be rebuilt closes what was rebuilt before', async () => {
  expect(await lines('failedReceive')).toEqual(['exit code 1'])
})

test('a receiver without room for them says so', async () => {
  expect(await lines('noRoom')).toEqual([
    expect.stringMatching(/^1 SerializationError: cannot receive a FileHandle: EMFILE: .* EMFILE$/),
    'left 0',
  ])
})

test('what cannot travel says where it is, and what to do', async () => {
  const prefix = 'SerializationError ERR_MP_SERIALIZATION '
  const why = (await lines('refused')).map((line) => line.slice(prefix.length))
  const told = 'cannot send a value to another process: args[0].'
  const foreign =
    "which belongs to its process; open it in the child, or give its class a [Symbol.for('multiproc.reduce')]() that says how to rebuild it"
  expect(why).toEqual([
    `${told}closed is a closed FileHandle; send it while it is open`,
    `${told}idle is a net.Server that does not listen; call listen() first`,
    `${told}late is a net.Socket that is still connecting; send it after its 'connect'`,
    `${told}unread is a net.Socket with 6 bytes that came and were not read yet; read them first, or accept it with { pauseOnConnect: true }`,
    `${told}destroyed is a closed net.Socket; send it while it is open`,
    `${told}writing is a net.Socket with 10 bytes that are not written yet; wait for the callback of write() or for 'finish'`,
    `${told}unbound is a dgram.Socket that is not bound; send it after 'listening'`,
    `${told}gone is a closed dgram.Socket; send it while it is open`,
    `${told}mine is an instance of Socket of node:net, ${foreign}`,
    `${told}tls is an instance of TLSSocket of node:tls, ${foreign}`,
    `${told}http is an instance of Server of node:http, ${foreign}`,
    'args[0][0] EBADF cannot send a value to another process: args[0][0] cannot be sent: EBADF: bad file descriptor, dup',
  ])
})
