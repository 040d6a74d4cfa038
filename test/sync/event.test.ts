// Event: CPython's _TestEvent in both forms, in the main thread and in worker threads; thousands of waiters, and signals.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { EVERYWHERE } from './places'

afterEach(() => expect(mp.activeChildren()).toEqual([]))

const code = (c: string) => expect.objectContaining({ code: c })

describe.each(EVERYWHERE)('%s, %s', (_place, _form, run) => {
  it('is waited for until it is set, by another process too', () =>
    run(async (mp, t, form) => {
      const { assert } = t
      const event = new mp.Event()
      const wait = async (o?: object) => (form === 'sync' ? event.waitSync(o) : event.wait(o))
      assert.equal(event.isSet(), false)
      for (const timeout of [0, -1]) assert.equal(await wait({ timeout }), false)
      const start = performance.now()
      assert.equal(await wait({ timeout: 60 }), false)
      assert.ok(performance.now() - start >= 59)

      assert.equal(event.set(), undefined)
      assert.equal(event.isSet(), true)
      for (const o of [undefined, { timeout: 0 }, { timeout: 60 }]) assert.equal(await wait(o), true)
      event.set()
      assert.equal(event.isSet(), true)

      assert.equal(event.clear(), undefined)
      event.clear()
      assert.equal(event.isSet(), false)
      assert.equal(await wait({ timeout: 5 }), false)
      t.start(async () => {
        await new Promise((resolve) => setTimeout(resolve, 30))
        event.set()
      })
      assert.equal(await wait(), true)
      assert.equal(event.isSet(), true)
    }))

  it('wakes everybody, however many wait and wherever', () =>
    run(async (mp, t, form) => {
      const event = new mp.Event()
      const about = new mp.Value('i', 0)
      const woken = new mp.Value('i', 0)
      const wait = async (blocking: boolean) => {
        about.add(1)
        if (!(blocking ? event.waitSync() : await event.wait())) throw new Error('false without a time-out')
        woken.add(1)
      }
      for (let i = 0; i < 4; i++) t.start(wait, form === 'sync' || i % 2 === 0)
      const here = form === 'sync' ? [] : Array.from({ length: 10 }, () => wait(false))
      await t.until(() => about.value === 4 + here.length, 'all waiters')
      await t.settle()
      t.assert.equal(woken.value, 0)
      event.set()
      await Promise.all(here)
      await t.joinAll()
      t.assert.equal(woken.value, 4 + here.length)
    }))

  it('who waited when it was set is woken even if it is cleared at once', () =>
    run(async (mp, t, form) => {
      const event = new mp.Event()
      const about = new mp.Value('i', 0)
      const results = new mp.Value('i', 0)
      for (let round = 1; round <= 5; round++) {
        about.value = results.value = 0
        for (let i = 0; i < 3; i++)
          t.start(async () => {
            about.add(1)
            if (form === 'sync' ? event.waitSync() : await event.wait()) results.add(1)
          })
        await t.until(() => about.value === 3, 'three waiters')
        await t.settle()
        event.set()
        event.clear()
        await t.joinAll()
        t.assert.equal(results.value, 3)
        t.assert.equal(event.isSet(), false)
      }
    }))
})

it('thousands of promises wait at once', async () => {
  const event = new mp.Event()
  const all = Array.from({ length: 5000 }, () => event.wait())
  event.set()
  expect((await Promise.all(all)).every((result) => result === true)).toBe(true)
})

it('an aborted wait rejects with the reason, the others go on waiting', async () => {
  const event = new mp.Event()
  const reason = new Error('changed my mind')
  await expect(event.wait({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  const control = new AbortController()
  const aborted = event.wait({ signal: control.signal })
  const patient = event.wait()
  control.abort(reason)
  await expect(aborted).rejects.toBe(reason)
  event.set()
  expect(await patient).toBe(true)
  expect(() => event.waitSync({ signal: control.signal } as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
})

it('is set from a signal handler while others wait, in both forms', async () => {
  const event = new mp.Event()
  const ready = new mp.Value('i', 0)
  const woken = new mp.Value('i', 0)
  const setter = new mp.Process({
    target: async () => {
      process.on('SIGUSR2', () => event.set())
      ready.add(1)
      if (await event.wait()) woken.add(1)
    },
  })
  const blocked = new mp.Process({
    target: () => {
      ready.add(1)
      if (event.waitSync()) woken.add(1)
    },
  })
  setter.start()
  blocked.start()
  while (ready.value < 2) await new Promise((resolve) => setImmediate(resolve))
  process.kill(setter.pid!, 'SIGUSR2')
  expect(await event.wait({ timeout: 20_000 })).toBe(true)
  expect(await setter.join({ timeout: 20_000 })).toBe(true)
  expect(await blocked.join({ timeout: 20_000 })).toBe(true)
  expect(woken.value).toBe(2)
})

// _TestPollEintr and TestIgnoreEINTR: a signal is no end of a wait.
it('signals do not end a wait, blocking or not', async () => {
  const event = new mp.Event()
  const ready = new mp.Value('i', 0)
  const woken = new mp.Value('i', 0)
  const children = [true, false].map(
    (blocking) =>
      new mp.Process({
        target: async (block) => {
          process.on('SIGUSR2', () => {})
          ready.add(1)
          if (block ? event.waitSync() : await event.wait()) woken.add(1)
        },
        args: [blocking],
      }),
  )
  for (const child of children) child.start()
  while (ready.value < 2) await new Promise((resolve) => setImmediate(resolve))
  for (let i = 0; i < 20; i++) {
    for (const child of children) process.kill(child.pid!, 'SIGUSR2')
    await new Promise((resolve) => setTimeout(resolve, 3))
  }
  expect(woken.value).toBe(0)
  event.set()
  for (const child of children) expect(await child.join({ timeout: 20_000 })).toBe(true)
  expect(woken.value).toBe(2)
})

it('arrives in a child as the same event, and shows its state', async () => {
  const event = new mp.Event({ name: 'start' })
  expect(inspect(event)).toMatch(/^Event \{ name: 'start', (set|isSet): false/)
  const child = new mp.Process({
    target: (e: any) => {
      if (e.constructor.name !== 'Event' || e.name !== 'start' || e.isSet()) throw new Error('another event')
      e.set()
    },
    args: [event],
  })
  child.start()
  expect(await event.wait({ timeout: 20_000 })).toBe(true)
  await child.join()
  expect(child.exitCode).toBe(0)
  expect(inspect(event)).toMatch(/(set|isSet): true/)
  event.close()
  event[Symbol.dispose]()
  for (const call of [() => event.set(), () => event.clear(), () => event.isSet(), () => event.waitSync()])
    expect(call).toThrow(code('ERR_MP_CLOSED'))
  await expect(event.wait()).rejects.toThrow(mp.ClosedError)
  expect(inspect(event)).toBe('Event { closed: true }')
})

it('options are checked', async () => {
  expect(() => new mp.Event('start' as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
  const event = new mp.Event()
  await expect(event.wait({ timeout: '1' } as any)).rejects.toThrow(code('ERR_INVALID_ARG_TYPE'))
  expect(() => event.waitSync({ timeout: Number.NaN })).toThrow(code('ERR_OUT_OF_RANGE'))
})
