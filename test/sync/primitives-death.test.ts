// Semaphore, Condition, Event, Barrier and RWLock when holders, waiters and wakers are killed, case by case. At random:
// primitives-kills.test.ts.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { KILLED } from '../killed'
import { PATIENCE, pause, until } from '../until'
import { endChildren, seeded } from './fuzz'

afterEach(async () => expect(await endChildren()).toEqual([]))

function start<T extends (...args: any[]) => unknown>(target: T, ...args: Parameters<T>): mp.Process {
  const child = new mp.Process({ target, args } as any)
  child.start()
  return child
}
async function killed(child: mp.Process): Promise<void> {
  child.kill()
  await child.join()
  expect([-9, KILLED]).toContain(child.exitCode)
}

describe('one by one', () => {
  it.each([true, false])(
    'permits of a killed owner come back, those it released do not (blocking: %s)',
    async (block) => {
      for (const sem of [new mp.Semaphore(3), new mp.BoundedSemaphore(3)]) {
        const ready = new mp.Value('bool', false)
        const child = start(
          async (s, blocking) => {
            for (let i = 0; i < 3; i++) blocking ? s.acquireSync() : await s.acquire()
            s.release()
            ready.value = true
            setInterval(() => {}, 1000)
          },
          sem,
          block,
        )
        await until(() => ready.value, 'the child')
        expect(sem.value).toBe(1)
        sem.acquireSync()
        const next = block ? undefined : sem.acquire({ timeout: PATIENCE })
        await killed(child)
        if (block) expect(sem.acquireSync({ timeout: PATIENCE })).not.toBeNull()
        else expect(await next).not.toBeNull()
        await until(
          () => sem.value === 1,
          'the other permit',
          () => sem.value,
        )
        sem.release()
        sem.release()
        expect(sem.value).toBe(3)
      }
    },
  )

  it.each([true, false])(
    'a permit comes back though its owner had let go of the semaphore before it was killed (blocking: %s)',
    async (block) => {
      const sem = new mp.Semaphore(1)
      const ready = new mp.Value('bool', false)
      const child = start(
        (s, r) => {
          s.acquireSync()
          s.close()
          r.value = true
          setInterval(() => {}, 1000)
        },
        sem,
        ready,
      )
      await until(() => ready.value, 'the child')
      const waiter = block
        ? start((s, patience) => void s.acquireSync({ timeout: patience })!.release(), sem, PATIENCE)
        : undefined
      const next = sem.acquire({ timeout: PATIENCE })
      await until(
        () => inspect(sem).includes(`waiting: ${block ? 2 : 1}`),
        'who waits',
        () => inspect(sem),
      )
      await killed(child)
      expect(await next).not.toBeNull()
      sem.release()
      if (waiter !== undefined) expect(await waiter.join({ timeout: PATIENCE })).toBe(true)
      expect(waiter?.exitCode ?? 0).toBe(0)
    },
  )

  it('a permit that came as a signal is used up by the death of its taker', async () => {
    const sem = new mp.Semaphore(0)
    const taken = new mp.Value('bool', false)
    const child = start(() => {
      sem.acquireSync()
      taken.value = true
      setInterval(() => {}, 1000)
    })
    sem.release()
    await until(() => taken.value, 'the taker')
    await killed(child)
    expect(sem.acquireSync({ timeout: 300 })).toBeNull()
    expect(sem.value).toBe(0)
  })

  it.each([true, false])('a permit for a waiter that is killed goes to the next (blocking: %s)', async (blocking) => {
    const sem = new mp.Semaphore(0)
    const [about, got] = [new mp.Value('i', 0), new mp.Value('i', 0)]
    const wait = async (block: boolean) => {
      about.add(1)
      if (block) sem.acquireSync()
      else await sem.acquire()
      got.add(1)
      setInterval(() => {}, 1000)
    }
    const first = start(wait, blocking)
    await until(() => about.value === 1, 'the first')
    await pause(50)
    const second = start(wait, blocking)
    await until(() => about.value === 2, 'the second')
    await pause(50)
    process.kill(first.pid!, 'SIGSTOP') // it is granted the permit, and cannot take it
    sem.release()
    await pause(20)
    expect(got.value).toBe(0)
    await killed(first)
    // The permits of the dead come back only up to the initial value 0: this one was never taken by the first.
    await until(
      () => got.value === 1,
      'the second',
      () => sem.value,
    )
    await killed(second)
  })

  it.each([true, false])(
    'an unused notification of a killed waiter goes to the next (blocking: %s)',
    async (blocking) => {
      const cond = new mp.Condition(new mp.Lock())
      const [sleeping, woken] = [new mp.Value('i', 0), new mp.Value('i', 0)]
      const wait = async (block: boolean) => {
        const held = block ? cond.acquireSync() : await cond.acquire()
        sleeping.add(1)
        if (block) cond.waitSync()
        else await cond.wait()
        woken.add(1)
        held.release()
      }
      const first = start(wait, blocking)
      await until(() => sleeping.value === 1, 'the first')
      cond.acquireSync().release() // who gets in knows that it waits
      const second = start(wait, blocking)
      await until(() => sleeping.value === 2, 'the second')
      cond.acquireSync()
      process.kill(first.pid!, 'SIGSTOP')
      cond.notify()
      cond.release()
      await pause(20)
      await killed(first)
      expect(await second.join({ timeout: PATIENCE })).toBe(true)
      expect(woken.value).toBe(1)
    },
  )

  it('notifyAll does not wait for the dead', async () => {
    const cond = new mp.Condition()
    const [sleeping, woken] = [new mp.Value('i', 0), new mp.Value('i', 0)]
    const children = Array.from({ length: 4 }, (_, i) =>
      start(
        async (block) => {
          const held = block ? cond.acquireSync() : await cond.acquire()
          sleeping.add(1)
          if (block) cond.waitSync()
          else await cond.wait()
          woken.add(1)
          held.release()
        },
        i % 2 === 0,
      ),
    )
    await until(() => sleeping.value === 4, 'all')
    const held = cond.acquireSync()
    await killed(children[0]!)
    await killed(children[1]!)
    cond.notifyAll()
    held.release()
    for (const child of children.slice(2)) expect(await child.join({ timeout: PATIENCE })).toBe(true)
    expect(woken.value).toBe(2)
  })

  it('a waiter whose condition lock was abandoned goes on', async () => {
    const cond = new mp.Condition(new mp.Lock())
    const notified = new mp.Value('bool', false)
    const notifier = () => {
      cond.acquireSync()
      cond.notify()
      notified.value = true
      setInterval(() => {}, 1000)
    }
    for (const block of [true, false]) {
      notified.value = false
      const held = cond.acquireSync()
      const child = start(notifier)
      const end = until(() => notified.value, 'the notifier').then(() => killed(child))
      if (block) {
        const killer = start(async (pid) => {
          while (!notified.value) await new Promise((resolve) => setTimeout(resolve, 1))
          process.kill(pid, 'SIGKILL')
        }, child.pid!)
        expect(cond.waitSync({ timeout: PATIENCE })).toBe(true)
        await killer.join()
      } else expect(await cond.wait({ timeout: PATIENCE })).toBe(true)
      await end
      held.release()
    }
  })

  it.each([true, false])('a barrier breaks when a party dies waiting, for all (blocking: %s)', async (blocking) => {
    const barrier = new mp.Barrier(4)
    const [broke, passed] = [new mp.Value('i', 0), new mp.Value('i', 0)]
    const f = async (block: boolean) => {
      try {
        if (block) barrier.waitSync()
        else await barrier.wait()
        passed.add(1)
      } catch (error: any) {
        if (error.name === 'BrokenBarrierError') broke.add(1)
      }
    }
    const children = [start(f, blocking), start(f, !blocking), start(f, blocking)]
    await until(() => barrier.waiting === 3, 'three waiting')
    await killed(children[0]!)
    for (const child of children.slice(1)) expect(await child.join({ timeout: PATIENCE })).toBe(true)
    expect([broke.value, passed.value]).toEqual([2, 0])
    expect(barrier.broken).toBe(true)
    if (blocking) expect(() => barrier.waitSync()).toThrow(mp.BrokenBarrierError)
    else await expect(barrier.wait()).rejects.toThrow(mp.BrokenBarrierError)
    barrier.reset()
    expect(barrier.broken).toBe(false)
    expect(barrier.waiting).toBe(0)
  })

  it('a barrier breaks when the party that runs the action dies in it', async () => {
    const barrier = new mp.Barrier(2, { action: () => process.kill(process.pid, 'SIGKILL') })
    const waiting = barrier.wait().catch((error) => error)
    await until(() => barrier.waiting === 1, 'the first')
    const child = start(() => {
      barrier.waitSync()
    })
    await child.join()
    expect(child.exitCode).toBe(KILLED)
    expect(await waiting).toBeInstanceOf(mp.BrokenBarrierError)
  })

  it('a barrier breaks when a party of the round before dies between two rounds', async () => {
    const barrier = new mp.Barrier(2)
    const child = start(() => {
      barrier.waitSync()
      process.kill(process.pid, 'SIGKILL')
    })
    expect(await barrier.wait()).toBeTypeOf('number')
    await expect(barrier.wait({ timeout: PATIENCE })).rejects.toThrow('broken')
    await child.join()
  })

  it.each([true, false])('who comes after a dead writer is told, in both ways (blocking: %s)', async (blocking) => {
    for (const mode of ['read', 'write'] as const) {
      const rw = new mp.RWLock()
      const ready = new mp.Value('bool', false)
      const child = start(async (block) => {
        if (block) rw.writeSync()
        else await rw.write()
        ready.value = true
        setInterval(() => {}, 1000)
      }, blocking)
      await until(() => ready.value, 'the writer')
      const pending = blocking ? undefined : rw[mode]({ timeout: PATIENCE })
      await killed(child)
      const held = (blocking ? rw[`${mode}Sync`]({ timeout: PATIENCE }) : await pending)!
      expect(held.abandoned).toBe(true)
      held.release()
      // Whoever writes makes it whole.
      rw.writeSync().release()
      expect(rw.writeSync().abandoned).toBe(false)
    }
  })

  it('readers and waiting writers that die keep nobody out', async () => {
    const rw = new mp.RWLock()
    const about = new mp.Value('i', 0)
    const reader = start(() => {
      rw.readSync()
      about.add(1)
      setInterval(() => {}, 1000)
    })
    await until(() => about.value === 1, 'the reader')
    const writer = start(() => {
      about.add(1)
      rw.writeSync()
    })
    await until(() => about.value === 2, 'the writer')
    await pause(50)
    const pending = rw.read({ timeout: PATIENCE }) // behind the writer
    await killed(writer)
    const held = (await pending)!
    expect(held.abandoned).toBe(false)
    held.release()
    const last = rw.write({ timeout: PATIENCE })
    await killed(reader)
    expect((await last)!.abandoned).toBe(false)
  })

  it('who waits for an event wakes, though its setter was killed at any moment of set()', async () => {
    const random = seeded('setters')
    for (let i = 0; i < 10; i++) {
      const event = new mp.Event()
      const about = new mp.Value('i', 0)
      const waiter = start(() => {
        about.add(1)
        event.waitSync()
      })
      await until(() => about.value === 1, 'the waiter')
      const mine = Array.from({ length: 50 }, () => event.wait())
      const setter = start(() => {
        about.add(1)
        event.set()
        for (;;);
      })
      await until(() => about.value === 2, 'the setter')
      const end = performance.now() + random() * 0.3
      while (performance.now() < end);
      await killed(setter)
      if (!event.isSet()) event.set()
      expect(await waiter.join({ timeout: PATIENCE })).toBe(true)
      expect((await Promise.all(mine)).every(Boolean)).toBe(true)
    }
  })
})
