// Barrier: the eleven bodies of CPython's _TestBarrier in both forms, in the main thread and in worker threads; actions
// that throw, abort, and limits. Parties are four child processes and this thread.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { EVERYWHERE } from './places'

afterEach(() => expect(mp.activeChildren()).toEqual([]))

const code = (c: string) => expect.objectContaining({ code: c })

describe.each(EVERYWHERE)('%s, %s', (_place, _form, run) => {
  it('is passed in lockstep, ten times', () =>
    run(async (mp, t, form) => {
      const barrier = new mp.Barrier(5, { timeout: 30_000 })
      const [before, after] = [new mp.Value('i', 0), new mp.Value('i', 0)]
      const multipass = async () => {
        const wait = async () => (form === 'sync' ? barrier.waitSync() : await barrier.wait())
        if (barrier.parties !== 5) throw new Error('parties')
        for (let i = 0; i < 10; i++) {
          before.add(1)
          if (after.value !== i * 5) throw new Error(`${after.value} after, in round ${i}`)
          await wait()
          after.add(1)
          if (before.value !== (i + 1) * 5) throw new Error(`${before.value} before, in round ${i}`)
          await wait()
        }
        if (barrier.broken) throw new Error('broken')
      }
      for (let i = 0; i < 4; i++) t.start(multipass)
      await multipass()
      await t.joinAll()
      t.assert.equal(barrier.waiting, 0)
      t.assert.equal(barrier.broken, false)
    }))

  it('wait gives each its index', () =>
    run(async (mp, t, form) => {
      const barrier = new mp.Barrier(5)
      const seen = new mp.SharedArray('i', 5)
      const f = async () => {
        const index = form === 'sync' ? barrier.waitSync() : await barrier.wait()
        seen[index]! += 1
      }
      for (let i = 0; i < 4; i++) t.start(f)
      await t.until(() => barrier.waiting === 4, 'four waiting')
      const last = form === 'sync' ? barrier.waitSync() : await barrier.wait()
      t.assert.equal(last, 4)
      await t.joinAll()
      t.assert.deepEqual([...seen], [1, 1, 1, 1, 0])
    }))

  it('the last to arrive runs the action, before anybody goes on', () =>
    run(async (mp, t, form) => {
      const [runs, by] = [new mp.Value('i', 0), new mp.Value('i', 0)]
      const last = new mp.Value('i', 0)
      const action = () => {
        by.value = process.pid
        runs.add(1)
      }
      const barrier = new mp.Barrier(5, { action })
      const f = async () => {
        for (let round = 0; round < 3; round++) {
          const index = form === 'sync' ? barrier.waitSync() : await barrier.wait()
          if (runs.value !== 2 * round + 1) throw new Error(`${runs.value} actions in round ${round}`)
          if (index === 4 && by.value !== process.pid) throw new Error('not by the last')
          if (index === 4) last.add(1)
          if (form === 'sync') barrier.waitSync()
          else await barrier.wait()
        }
      }
      for (let i = 0; i < 4; i++) t.start(f)
      await f()
      await t.joinAll()
      t.assert.equal(last.value, 3)
      t.assert.equal(runs.value, 6)
    }))

  it('abort breaks it for all', () =>
    run(async (mp, t, form) => {
      const barrier = new mp.Barrier(5)
      const [passed, broke] = [new mp.Value('i', 0), new mp.Value('i', 0)]
      const f = async () => {
        try {
          const index = form === 'sync' ? barrier.waitSync() : await barrier.wait()
          if (index === 2) {
            barrier.abort()
            return
          }
          if (form === 'sync') barrier.waitSync()
          else await barrier.wait()
          passed.add(1)
        } catch (error: any) {
          if (error.code !== 'ERR_MP_BROKEN_BARRIER') throw error
          broke.add(1)
        }
      }
      for (let i = 0; i < 4; i++) t.start(f)
      await f()
      await t.joinAll()
      t.assert.deepEqual([passed.value, broke.value], [0, 4])
      t.assert.equal(barrier.broken, true)
      // And stays broken.
      const error = await t.errorOf(() => (form === 'sync' ? barrier.waitSync() : barrier.wait()))
      t.assert.ok(error instanceof mp.BrokenBarrierError && error instanceof mp.MultiprocError)
      barrier.abort()
      t.assert.equal(barrier.broken, true)
    }))

  it('reset frees who waits and leaves it whole', () =>
    run(async (mp, t, form) => {
      const barrier = new mp.Barrier(5)
      const [passed, broke, again] = [new mp.Value('i', 0), new mp.Value('i', 0), new mp.Value('i', 0)]
      const f = async () => {
        const wait = async () => (form === 'sync' ? barrier.waitSync() : await barrier.wait())
        if ((await wait()) === 2) {
          while (barrier.waiting < 4) await new Promise((resolve) => setTimeout(resolve, 1))
          barrier.reset()
        } else
          try {
            await wait()
            passed.add(1)
          } catch (error: any) {
            if (error.code !== 'ERR_MP_BROKEN_BARRIER') throw error
            broke.add(1)
          }
        await wait()
        again.add(1)
      }
      for (let i = 0; i < 4; i++) t.start(f)
      await f()
      await t.joinAll()
      t.assert.deepEqual([passed.value, broke.value, again.value], [0, 4, 5])
      t.assert.equal(barrier.broken, false)
    }))

  it('reset mends what abort broke', () =>
    run(async (mp, t, form) => {
      const [barrier, other] = [new mp.Barrier(5), new mp.Barrier(5)]
      const [passed, broke, again] = [new mp.Value('i', 0), new mp.Value('i', 0), new mp.Value('i', 0)]
      const f = async () => {
        const wait = async (b: mp.Barrier) => (form === 'sync' ? b.waitSync() : await b.wait())
        try {
          if ((await wait(barrier)) === 2) barrier.abort()
          else {
            await wait(barrier)
            passed.add(1)
          }
        } catch (error: any) {
          if (error.code !== 'ERR_MP_BROKEN_BARRIER') throw error
          broke.add(1)
        }
        // All have left it when it is reset, and nobody enters it before.
        if ((await wait(other)) === 2) barrier.reset()
        await wait(other)
        await wait(barrier)
        again.add(1)
      }
      for (let i = 0; i < 4; i++) t.start(f)
      await f()
      await t.joinAll()
      t.assert.deepEqual([passed.value, broke.value, again.value], [0, 4, 5])
    }))

  it.each(['of the call', 'of the barrier'])('a time-out %s breaks it for all', (which) =>
    run(
      which === 'of the call'
        ? async (mp, t, form) => {
            const barrier = new mp.Barrier(5)
            const broke = new mp.Value('i', 0)
            const f = async () => {
              const wait = async (o?: object) => (form === 'sync' ? barrier.waitSync(o) : await barrier.wait(o))
              if ((await wait()) === 2) while (!barrier.broken) await new Promise((resolve) => setTimeout(resolve, 5))
              try {
                await wait({ timeout: 100 })
              } catch (error: any) {
                if (error.code !== 'ERR_MP_BROKEN_BARRIER') throw error
                broke.add(1)
              }
            }
            for (let i = 0; i < 4; i++) t.start(f)
            await f()
            await t.joinAll()
            t.assert.equal(broke.value, 5)
            t.assert.equal(barrier.waiting, 0)
          }
        : async (mp, t, form) => {
            const barrier = new mp.Barrier(5, { timeout: 100 })
            const broke = new mp.Value('i', 0)
            const f = async () => {
              const wait = async (o?: object) => (form === 'sync' ? barrier.waitSync(o) : await barrier.wait(o))
              // The time-out of the call goes before that of the barrier: children may start slowly.
              if ((await wait({ timeout: t.patience })) === 2)
                while (!barrier.broken) await new Promise((resolve) => setTimeout(resolve, 5))
              try {
                await wait()
              } catch (error: any) {
                if (error.code !== 'ERR_MP_BROKEN_BARRIER') throw error
                broke.add(1)
              }
            }
            for (let i = 0; i < 4; i++) t.start(f)
            await f()
            await t.joinAll()
            t.assert.equal(broke.value, 5)
          },
    ),
  )

  it('a single party never waits', () =>
    run(async (mp, { assert }, form) => {
      const barrier = new mp.Barrier(1)
      for (let i = 0; i < 3; i++) assert.equal(form === 'sync' ? barrier.waitSync() : await barrier.wait(), 0)
      assert.equal(form === 'sync' ? barrier.waitSync({ timeout: 0 }) : await barrier.wait({ timeout: 0 }), 0)
    }))

  it('a thousand rounds: nobody is ever a round ahead', () =>
    run(async (mp, t, form) => {
      const barrier = new mp.Barrier(5)
      const rounds = new mp.SharedArray('i', 5, { lock: false })
      const f = async (me: number) => {
        for (let i = 1; i <= 1000; i++) {
          rounds[me] = i
          if (form === 'sync') barrier.waitSync()
          else await barrier.wait()
          for (const r of rounds) if (r < i || r > i + 1) throw new Error(`round ${r} beside ${i}`)
        }
      }
      for (let i = 0; i < 4; i++) t.start(f, i)
      await f(4)
      await t.joinAll()
      t.assert.equal(barrier.waiting, 0)
    }))

  it('an action that throws breaks it: its caller gets the error, the others BrokenBarrierError', () =>
    run(async (mp, t, form) => {
      const barrier = new mp.Barrier(3, {
        action: () => {
          throw new RangeError('in the action')
        },
      })
      const [thrown, broke] = [new mp.Value('i', 0), new mp.Value('i', 0)]
      const f = async () => {
        try {
          if (form === 'sync') barrier.waitSync()
          else await barrier.wait()
        } catch (error: any) {
          if (error.message === 'in the action' && error instanceof RangeError) thrown.add(1)
          else if (error.code === 'ERR_MP_BROKEN_BARRIER') broke.add(1)
          else throw error
        }
      }
      t.start(f)
      t.start(f)
      await f()
      await t.joinAll()
      t.assert.deepEqual([thrown.value, broke.value], [1, 2])
      t.assert.equal(barrier.broken, true)
    }))
})

it('parties may be tasks of one thread', async () => {
  const barrier = new mp.Barrier(3)
  const indices = await Promise.all([barrier.wait(), barrier.wait(), barrier.wait()])
  expect(indices.sort()).toEqual([0, 1, 2])
  expect(barrier.waiting).toBe(0)
})

it('an aborted wait rejects with the reason, and breaks it as a time-out does: that party does not come', async () => {
  const barrier = new mp.Barrier(3)
  const reason = new Error('changed my mind')
  await expect(barrier.wait({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  expect([barrier.waiting, barrier.broken]).toEqual([0, false])
  const control = new AbortController()
  const aborted = barrier.wait({ signal: control.signal })
  const patient = barrier.wait()
  expect(barrier.waiting).toBe(2)
  control.abort(reason)
  await expect(aborted).rejects.toBe(reason)
  await expect(patient).rejects.toThrow(mp.BrokenBarrierError)
  expect([barrier.waiting, barrier.broken]).toEqual([0, true])
  barrier.reset()
  expect((await Promise.all([barrier.wait(), barrier.wait(), barrier.wait()])).sort()).toEqual([0, 1, 2])
  expect(() => barrier.waitSync({ signal: control.signal } as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
})

it('arguments are checked', async () => {
  for (const parties of [0, -1, 1.5, 2 ** 15 + 1, Number.NaN])
    expect(() => new mp.Barrier(parties)).toThrow(code('ERR_OUT_OF_RANGE'))
  for (const parties of ['3', undefined, null])
    expect(() => new mp.Barrier(parties as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
  expect(new mp.Barrier(2 ** 15).parties).toBe(2 ** 15)
  expect(() => new mp.Barrier(2, { action: 3 } as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
  expect(() => new mp.Barrier(2, { timeout: '3' } as any)).toThrow(code('ERR_INVALID_ARG_TYPE'))
  const barrier = new mp.Barrier(2)
  await expect(barrier.wait({ timeout: '1' } as any)).rejects.toThrow(code('ERR_INVALID_ARG_TYPE'))
  expect(barrier.waiting).toBe(0)
  await expect(barrier.wait({ timeout: 0 })).rejects.toThrow(mp.BrokenBarrierError)
})

it('shows its state, and says when it is closed', async () => {
  const barrier = new mp.Barrier(3, { name: 'line' })
  expect(barrier.name).toBe('line')
  expect(inspect(barrier)).toMatch(/^Barrier \{ name: 'line', parties: 3, waiting: 0/)
  barrier.close()
  barrier[Symbol.dispose]()
  for (const call of [() => barrier.waitSync(), () => barrier.reset(), () => barrier.abort(), () => barrier.broken])
    expect(call).toThrow(code('ERR_MP_CLOSED'))
  await expect(barrier.wait()).rejects.toThrow(mp.ClosedError)
  expect(inspect(barrier)).toBe('Barrier { closed: true }')
})
