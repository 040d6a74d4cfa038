// What messages hold, and what queues cost: shared objects in messages, memory that grows and is given back, the end of a process
// with promises that wait.
import { spawn } from 'node:child_process'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { KILLED } from '../killed'
import { memoryStats, settledMemory } from '../memory-use'
import { until } from '../until'

afterEach(() => expect(mp.activeChildren()).toEqual([]))

describe('shared objects in messages', () => {
  it('arrive as the same class on the same memory, nested, through queues and pipes', async () => {
    const [there, back] = [new mp.Queue<any>(), new mp.Queue<any>()]
    const child = new mp.Process({
      target: async (there: mp.Queue, back: mp.Queue) => {
        const { lock, deep } = there.getSync()
        const [array, inner, connection] = deep.list
        if (!(lock instanceof mp.Lock && inner instanceof mp.JoinableQueue && connection instanceof mp.Connection))
          throw new Error('another class')
        lock.acquireSync()
        array[1] = 42
        inner.putSync('from the child')
        connection.sendSync('hello')
        back.putSync(lock.locked())
        lock.release()
      },
      args: [there, back],
    })
    child.start()
    const lock = new mp.Lock()
    const array = new mp.SharedArray('i', 4)
    const inner = new mp.JoinableQueue()
    const [a, b] = mp.Pipe()
    there.putSync({ lock, deep: { list: [array, inner, b] } })
    b.close()
    expect(await back.get()).toBe(true)
    expect(await inner.get()).toBe('from the child')
    expect(array[1]).toBe(42)
    expect(await a.recv()).toBe('hello')
    await child.join()
    expect(child.exitCode).toBe(0)
    for (const object of [there, back, lock, inner, a]) object.close()
  })

  it('live as long as the message, though their sender has dropped them and is gone', async () => {
    const queue = new mp.Queue<any>()
    const child = new mp.Process({
      target: (queue: mp.Queue) => {
        const array = new mp.SharedArray('d', 100_000).fill(1.5)
        const inner = new mp.Queue()
        inner.putSync({ value: new mp.Value('i', 7), text: 'x'.repeat(50_000) })
        queue.putSync({ array, inner })
        inner.close()
        process.kill(process.pid, 'SIGKILL')
      },
      args: [queue],
    })
    child.start()
    await child.join()
    expect(child.exitCode).toBe(KILLED)
    for (let i = 0; i < 50; i++) new mp.SharedArray('d', 100_000).fill(9) // would lie where it lay
    const { array, inner } = await queue.get()
    expect(array.every((x: number) => x === 1.5)).toBe(true)
    const { value, text } = inner.getSync()
    expect([value.value, text.length]).toEqual([7, 50_000])
    queue.close()
  })

  it('go with the queue that nobody got them from; a queue inside itself can be got', async () => {
    const before = await settledMemory()
    const queue = new mp.Queue<any>()
    const inside = new mp.Queue()
    inside.putSync({ value: new mp.Value('i'), bytes: new Uint8Array(100_000) })
    queue.putSync([inside, new mp.Lock()])
    queue.putSync(queue)
    inside.close()
    expect(queue.getSync()).toHaveLength(2)
    const same = queue.getSync()
    same.putSync('to itself')
    expect(queue.getSync()).toBe('to itself')
    queue.putSync([new mp.Lock(), new mp.SharedArray('d', 10_000)])
    same.close()
    queue.close()
    expect(await settledMemory()).toEqual(before)
  })
})

describe('memory', () => {
  it('messages bigger than anything else: 20 MB', async () => {
    const before = await settledMemory()
    const queue = new mp.Queue<Float64Array>({ capacity: 1000 })
    const child = new mp.Process({
      target: (q: mp.Queue) => {
        for (let i = 1; i <= 3; i++) q.putSync(new Float64Array(2_500_000).fill(i))
      },
      args: [queue],
    })
    child.start()
    const check = (array: Float64Array, i: number) => {
      expect(array.length).toBe(2_500_000)
      expect(array.every((x) => x === i)).toBe(true)
    }
    for (let i = 1; i <= 3; i++) check(i % 2 ? await queue.get() : queue.getSync(), i)
    await child.join()
    queue.close()
    expect((await settledMemory()).blocks).toBe(before.blocks) // the arrays themselves are shared memory
  })

  it('100,000 messages unread: memory grows, and is given back', async () => {
    const before = await settledMemory()
    const queue = new mp.Queue<any>()
    for (let i = 0; i < 100_000; i++) queue.putSync({ i, text: 'some text' })
    expect(queue.qsize()).toBe(100_000)
    const full = memoryStats()
    expect(full.bytes - before.bytes).toBeGreaterThan(100_000 * 20)
    for (let i = 0; i < 100_000; i++) if (queue.getSync().i !== i) throw new Error('out of order')
    const drained = memoryStats()
    expect(drained.bytes - before.bytes).toBeLessThan((full.bytes - before.bytes) * 0.75)
    queue.close()
    expect(memoryStats().blocks).toBeLessThanOrEqual(before.blocks)
  })
})

describe('the event loop', () => {
  const run = (source: string) =>
    new Promise<string>((resolve) => {
      const child = spawn(process.execPath, ['-e', `const mp = require('multiproc');${source}`], {
        stdio: ['ignore', 'pipe', 'inherit'],
        timeout: 20_000,
      })
      let out = ''
      child.stdout!.setEncoding('utf8').on('data', (text) => {
        out += text
      })
      child.once('close', (exit, signal) => resolve(`${out}${exit ?? signal}`))
    })

  it('a pending get keeps the process alive, an idle queue does not, nor one that is unref’d', async () => {
    expect(await run(`globalThis.q = new mp.Queue(); globalThis.p = mp.Pipe(); console.log('idle')`)).toBe('idle\n0')
    expect(await run(`new mp.Queue().unref().get(); mp.Pipe()[0].unref().recv(); console.log('unref')`)).toBe(
      'unref\n0',
    )
    expect(
      await run(
        `const q = new mp.Queue(); q.get().then(console.log)
         const [a, b] = mp.Pipe(); b.recv().then(() => q.putSync('came'))
         setTimeout(() => a.sendSync(1), 100).unref(); setTimeout(() => {}, 150)`,
      ),
    ).toBe('came\n0')
    expect(await run(`new mp.Queue().get(); setTimeout(() => process.exit(3), 100)`)).toBe('3')
  })

  it('timers fire while a get waits', async () => {
    const queue = new mp.Queue<number>()
    const got = queue.get()
    await new Promise((resolve) => setTimeout(resolve, 5))
    queue.putSync(1)
    expect(await got).toBe(1)
    queue.close()
  })

  it('a message for one whose event loop is busy goes to another', async () => {
    const queue = new mp.Queue<string>()
    const [ready, got] = [new mp.Value('i'), new mp.Value('i')]
    const children = [0, 1].map(() => {
      const child = new mp.Process({
        target: async () => {
          const first = queue.get()
          ready.add(1)
          // One of the two is busy for as long as nobody has got anything.
          if (ready.value === 1) {
            await new Promise((resolve) => setTimeout(resolve, 20))
            while (got.value === 0);
          }
          await first
          got.add(1)
        },
      })
      child.start()
      return child
    })
    await until(() => ready.value === 2, 'both')
    await new Promise((resolve) => setTimeout(resolve, 60))
    queue.putSync('one')
    await until(() => got.value === 1, 'the message, at the one that is not busy')
    queue.putSync('two')
    for (const child of children) expect(await child.join({ timeout: 20_000 })).toBe(true)
    queue.close()
  })

  it('places that become free at once are all taken', async () => {
    const queue = new mp.Queue<number>({ maxSize: 4 })
    queue.putManySync([0, 0, 0, 0])
    const waiting = new mp.Value('i')
    const children = [true, false, true, false].map((sync, n) => {
      const child = new mp.Process({
        target: async () => {
          waiting.add(1)
          if (sync) queue.putSync(n)
          else await queue.put(n)
        },
      })
      child.start()
      return child
    })
    await until(() => waiting.value === 4, 'all')
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(queue.getManySync()).toHaveLength(4)
    for (const child of children) expect(await child.join({ timeout: 20_000 })).toBe(true)
    expect(queue.getManySync().sort()).toEqual([0, 1, 2, 3])
    queue.close()
  })
})
