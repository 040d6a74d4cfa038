// RWLock: readers together, a writer alone and preferred; in both forms, in the main thread and in worker threads.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { EVERYWHERE } from './places'

afterEach(() => expect(mp.activeChildren()).toEqual([]))

const code = (c: string) => expect.objectContaining({ code: c })

describe.each(EVERYWHERE)('%s, %s', (_place, _form, run) => {
  it('readers of several processes are inside together, a writer waits for them', () =>
    run(async (mp, t, form) => {
      const rw = new mp.RWLock()
      const inside = new mp.Value('i', 0)
      const leave = new mp.Value('bool', false)
      for (let i = 0; i < 3; i++)
        t.start(async () => {
          const held = (form === 'sync' ? rw.readSync() : await rw.read())!
          inside.add(1)
          while (!leave.value) await new Promise((resolve) => setTimeout(resolve, 1))
          inside.sub(1)
          held.release()
        })
      await t.until(() => inside.value === 3, 'three readers at once')
      t.assert.equal(form === 'sync' ? rw.writeSync({ timeout: 0 }) : await rw.write({ timeout: 0 }), null)
      t.assert.equal(form === 'sync' ? rw.writeSync({ timeout: 20 }) : await rw.write({ timeout: 20 }), null)
      // The writer gave up, so that readers are let in again.
      const here = (form === 'sync' ? rw.readSync() : await rw.read())!
      here.release()
      leave.value = true
      const held = (form === 'sync' ? rw.writeSync() : await rw.write())!
      t.assert.equal(inside.value, 0)
      t.assert.equal(held.abandoned, false)
      held.release()
    }))

  it('a writer keeps everybody out', () =>
    run(async (mp, t, form) => {
      const rw = new mp.RWLock()
      const writer = (form === 'sync' ? rw.writeSync() : await rw.write())!
      const [refused, entered] = [new mp.Value('i', 0), new mp.Value('i', 0)]
      for (const how of ['read', 'write'])
        t.start(async (way) => {
          if (way === 'read') {
            if ((form === 'sync' ? rw.readSync({ timeout: 20 }) : await rw.read({ timeout: 20 })) !== null)
              throw new Error('a reader beside a writer')
            refused.add(1)
            ;(form === 'sync' ? rw.readSync() : await rw.read())!.release()
          } else {
            if ((form === 'sync' ? rw.writeSync({ timeout: 20 }) : await rw.write({ timeout: 20 })) !== null)
              throw new Error('two writers')
            refused.add(1)
            ;(form === 'sync' ? rw.writeSync() : await rw.write())!.release()
          }
          entered.add(1)
        }, how)
      await t.until(() => refused.value === 2, 'two time-outs')
      await t.settle()
      t.assert.equal(entered.value, 0)
      writer.release()
      writer.release()
      await t.joinAll()
      t.assert.equal(entered.value, 2)
    }))

  it('a waiting writer goes before readers that come later', () =>
    run(async (mp, t, form) => {
      const rw = new mp.RWLock()
      const order = new mp.Value('i', 0)
      const wrote = new mp.Value('i', 0)
      const about = new mp.Value('bool', false)
      const first = (form === 'sync' ? rw.readSync() : await rw.read())!
      t.start(async () => {
        about.value = true
        const held = (form === 'sync' ? rw.writeSync() : await rw.write())!
        wrote.value = order.add(1) + 1
        held.release()
      })
      await t.until(() => about.value, 'the writer')
      await t.settle()
      // Readers come and would never end; the writer waits, so they queue behind it.
      const read = new mp.Value('i', 0)
      t.start(async () => {
        const held = (form === 'sync' ? rw.readSync() : await rw.read())!
        read.value = order.add(1) + 1
        held.release()
      })
      await t.settle()
      await t.settle()
      t.assert.deepEqual([wrote.value, read.value], [0, 0])
      first.release()
      await t.joinAll()
      t.assert.deepEqual([wrote.value, read.value].sort(), [wrote.value, read.value])
    }))

  it('nobody reads what is half written, nothing written is lost', () =>
    run(async (mp, t, form) => {
      const rw = new mp.RWLock()
      const data = new mp.SharedArray('i', 2, { lock: false })
      const torn = new mp.Value('i', 0)
      const work = async (blocking: boolean) => {
        for (let i = 0; i < 200; i++) {
          const write = i % 4 === 0
          const held = write
            ? blocking
              ? rw.writeSync()
              : await rw.write()
            : blocking
              ? rw.readSync()
              : await rw.read()
          if (data[0] !== data[1]) torn.add(1)
          if (write) {
            data[0]! += 1
            if (!blocking && i % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
            data[1]! += 1
          }
          held!.release()
        }
      }
      for (let i = 0; i < 4; i++) t.start(work, form === 'sync' || i % 2 === 0)
      await work(form === 'sync')
      await t.joinAll()
      t.assert.equal(torn.value, 0)
      t.assert.deepEqual([...data], [250, 250])
    }))
})

it('an aborted or timed-out writer no longer keeps readers out', async () => {
  const rw = new mp.RWLock()
  const reason = new Error('changed my mind')
  const reader = (await rw.read())!
  for (let i = 0; i < 20; i++) {
    const control = new AbortController()
    const writer = rw.write({ signal: control.signal })
    const late = rw.write({ timeout: 2 })
    const next = rw.read()
    control.abort(reason)
    await expect(writer).rejects.toBe(reason)
    expect(await late).toBeNull()
    ;(await next)!.release()
  }
  reader.release()
  ;(await rw.write())!.release()
})

it('tasks of one thread are kept apart as processes are', async () => {
  const rw = new mp.RWLock()
  let readers = 0
  let writers = 0
  let together = 0
  const task = async (write: boolean) => {
    const held = (write ? await rw.write() : await rw.read())!
    if (write) writers++
    else readers++
    together = Math.max(together, readers)
    expect(writers === 0 || (writers === 1 && readers === 0)).toBe(true)
    await new Promise((resolve) => setImmediate(resolve))
    if (write) writers--
    else readers--
    held.release()
  }
  await Promise.all(Array.from({ length: 500 }, (_, i) => task(i % 5 === 0)))
  expect(together).toBeGreaterThan(1)
})

it('one release of a Held counts, in any order', async () => {
  const rw = new mp.RWLock()
  const [a, b] = [rw.readSync()!, rw.readSync()!]
  a.release()
  a.release()
  expect(rw.writeSync({ timeout: 0 })).toBeNull()
  b.release()
  const writer = rw.writeSync()!
  a.release()
  b.release()
  expect(rw.readSync({ timeout: 0 })).toBeNull()
  writer[Symbol.dispose]()
  const again = rw.writeSync()!
  writer.release()
  expect(await rw.read({ timeout: 0 })).toBeNull()
  again.release()
})

it('arrives in a child as the same lock, shows its state, and says when it is closed', async () => {
  const rw = new mp.RWLock({ name: 'table' })
  const held = rw.writeSync()!
  const child = new mp.Process({
    target: (l: any) => {
      if (l.constructor.name !== 'RWLock' || l.name !== 'table') throw new Error('another class')
      if (l.readSync({ timeout: 0 }) !== null) throw new Error('another lock')
    },
    args: [rw],
  })
  child.start()
  await child.join()
  expect(child.exitCode).toBe(0)
  expect(inspect(rw)).toMatch(/^RWLock \{ name: 'table'/)
  expect(inspect(rw)).toContain('writing: true')
  held.release()
  rw.close()
  rw[Symbol.dispose]()
  for (const call of [() => rw.readSync(), () => rw.writeSync()]) expect(call).toThrow(code('ERR_MP_CLOSED'))
  await expect(rw.read()).rejects.toThrow(mp.ClosedError)
  await expect(rw.write()).rejects.toThrow(mp.ClosedError)
  expect(inspect(rw)).toBe('RWLock { closed: true }')
})

it('options are checked', async () => {
  expect(() => new mp.RWLock('table' as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
  const rw = new mp.RWLock()
  await expect(rw.read({ timeout: '1' } as any)).rejects.toThrow(code('ERR_INVALID_ARG_TYPE'))
  expect(() => rw.writeSync({ timeout: Number.NaN })).toThrow(code('ERR_OUT_OF_RANGE'))
  expect(() => rw.readSync({ signal: new AbortController().signal } as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
})
