// toHandle and fromHandle: shared objects over channels that are not ours.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import * as mp from 'multiproc'
import { expect, it } from 'vitest'

it('gives a plain worker thread the same objects', async () => {
  const queue = new mp.Queue({ name: 'work' })
  const array = new mp.SharedArray('i', 4)
  const lock = new mp.Lock()
  const condition = new mp.Condition(lock)
  const [here, there] = mp.Pipe()
  const worker = new Worker(
    `const { fromHandle } = require('multiproc')
     const { workerData } = require('node:worker_threads')
     const [queue, array, condition, connection] = workerData.map(fromHandle)
     array[2] = 7
     queue.putSync([queue.name, array.length, condition.constructor.name])
     connection.sendSync('done')
     condition.withSync(() => condition.notifyAll())`,
    { eval: true, workerData: [queue, array, condition, there].map((o) => mp.toHandle(o)) },
  )
  expect(await queue.get()).toEqual(['work', 4, 'Condition'])
  expect(array[2]).toBe(7)
  expect(await here.recv()).toBe('done')
  await once(worker, 'exit')
})

it('gives a started process the same objects, by way of its environment', async () => {
  const value = new mp.Value('i', 5)
  const child = new mp.Process({
    target: () => {
      mp.fromHandle(process.env.COUNTER!).add(1)
    },
    env: { COUNTER: mp.toHandle(value) },
  })
  child.start()
  await child.join()
  expect(child.exitCode).toBe(0)
  expect(value.value).toBe(6)
})

it('names views of shared arrays as such', () => {
  const array = new mp.RawArray('d', 8)
  const view = mp.fromHandle<Float64Array>(mp.toHandle(array.subarray(2, 4)))
  view[1] = 3
  expect([view.length, array[3]]).toEqual([2, 3])
})

it('holds nothing: when the object is gone the handle is of no use', () => {
  const lock = new mp.Lock()
  const handle = mp.toHandle(lock)
  lock.close()
  expect(() => mp.fromHandle(handle)).toThrow(expect.objectContaining({ code: 'ERR_MP_GONE' }))
  expect(() => mp.toHandle(lock)).toThrow(mp.ClosedError)
})

it('refuses what is not shared, and what is no handle', () => {
  for (const wrong of [{}, [], new Float64Array(2), 3, null, undefined, 'x'])
    expect(() => mp.toHandle(wrong as object)).toThrow(/must be a shared object/)
  const good = mp.toHandle(new mp.Lock())
  const [prefix, root, text] = good.split(':')
  const forged = (graph: object) =>
    `${prefix}:${root}:${Buffer.concat([Buffer.of(3), Buffer.from(JSON.stringify(graph))]).toString('base64url')}`
  for (const wrong of [
    '',
    'x',
    `${prefix}:${root}`,
    `${good}:`,
    `${prefix}:${root}:!!!`,
    forged({}),
    forged({ nodes: [] }),
  ])
    expect(() => mp.fromHandle(wrong)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
  // Nothing that runs code comes out of a handle.
  const run = forged({ root: 0, modules: [], nodes: [{ t: 'global', path: ['Function'] }] })
  expect(() => mp.fromHandle(run)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
  expect(() => mp.fromHandle(7 as never)).toThrow(TypeError)
  expect(() => mp.fromHandle(`${prefix}:${'0'.repeat(root!.length)}:${text}`)).toThrow(mp.UnsupportedError)
  const noBlock = forged({
    root: 0,
    modules: [],
    nodes: [{ t: 'shared', tag: 'Lock', data: { offset: 9e9, generation: 1 } }],
  })
  expect(() => mp.fromHandle(noBlock)).toThrow(mp.MultiprocError)
})
