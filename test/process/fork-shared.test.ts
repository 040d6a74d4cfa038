// Start method "fork": what the child has of the parent's channels, sockets, descriptors, pools and named memory.
import { expect, test } from 'vitest'
import { METHODS, program } from './program'

const it = test.runIf(METHODS.includes('fork'))

async function lines(name: string): Promise<string[]> {
  const { code, lines, stderr } = await program('fork-shared.mjs', [name], { method: 'fork' })
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return lines
}

it("calls on channels that wait are the parent's; the child has its own turn", async () => {
  const all = await lines('channels')
  expect(all.slice().sort()).toEqual(
    ['child took one of two', 'parent took one of two', 'first 20000 nothing', '1 by child', '0 0'].sort(),
  )
})

it('sockets are closed in the child: it throws, and keeps no connection open', async () => {
  expect(await lines('sockets')).toEqual([
    ...Array(3).fill('ClosedError ERR_MP_CLOSED ClosedError ERR_MP_CLOSED'),
    'from server',
    'EOFError ERR_MP_EOF',
    '0',
  ])
})

it('descriptors travel before, between and after forks', async () => {
  expect(await lines('broker')).toEqual(['3 3 0,0,0'])
})

it("the parent's pool is left alone", async () => {
  expect(await lines('pool')).toEqual([
    '2',
    'StateError ERR_MP_STATE StateError ERR_MP_STATE',
    'StateError ERR_MP_STATE',
    '0 slow 3',
    'true',
  ])
})

it('the workers of a pool can be forked', async () => {
  const each = ['1,4,9,16,25', '7', 'WorkerLostError ERR_MP_WORKER_LOST', 'alive', 'true 1']
  expect(await lines('workers')).toEqual(['StateError ERR_MP_STATE', ...each, ...each])
})

it('immediates keep the child going', async () => {
  expect(await lines('immediates')).toEqual(['the third turn', 'true 0', 'the third turn', 'true 0'])
})

it('shared memory with a name is held by both', async () => {
  const all = await lines('named')
  expect(all.filter((line) => line !== '7')).toEqual(['true 7 0', 'true', 'false 0'])
  expect(all).toContain('7') // of the first child, whenever it comes to run
})

it('the child holds it before it has begun to run', async () => {
  expect(await lines('letGo')).toEqual(['true', 'child 7 true', 'false 0'])
})
