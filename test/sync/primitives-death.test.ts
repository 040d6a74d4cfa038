// Semaphore, Condition, Event, Barrier and RWLock when holders, waiters and wakers are killed: first the cases one by one,
// then at random (see fuzz.ts).
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { KILLED } from '../killed'
import { alive, CHILDREN, KILLS, PATIENCE, pause, seeded, until, withCrowd } from './fuzz'

afterEach(async () => {
  const left = mp.activeChildren()
  for (const child of left) child.kill()
  for (const child of left) await child.join()
  expect(left).toEqual([])
})

const EACH = Math.ceil(KILLS / 6)
const TIMEOUT = Math.max(60_000, KILLS * 1000)

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

describe(`${6 * EACH} random kills`, () => {
  it('Semaphore: never more inside than permits, and none is lost', { timeout: TIMEOUT }, async () => {
    const random = seeded('semaphore')
    const PERMITS = 2
    const sem = new mp.Semaphore(PERMITS)
    const inside = new mp.SharedArray('i', CHILDREN, { lock: false })
    const entries = new mp.SharedArray('i', CHILDREN, { lock: false })
    const parked = new mp.SharedArray('i', CHILDREN, { lock: false })
    const [done, violations, park] = [new mp.Value('i', 0), new mp.Value('i', 0), new mp.Value('bool', false)]
    const work = async (place: number, blocking: boolean) => {
      for (let i = 0; ; i++) {
        while (park.value) {
          parked[place] = 1
          await pause(1)
        }
        parked[place] = 0
        const options = i % 3 === 0 ? { timeout: 1 } : undefined
        const held = blocking ? sem.acquireSync(options) : await sem.acquire(options)
        if (held === null) continue
        entries[place]! += 1
        inside[place] = process.pid
        // Seen twice with the same number of entries: they were inside at the same time, not one after the other.
        const beside = () =>
          [...inside].map((pid, i) => (i !== place && pid !== 0 && alive(pid) ? `${pid}:${entries[i]}` : ''))
        const first = beside()
        const second = beside()
        if (first.filter((seen, i) => seen !== '' && seen === second[i]).length >= PERMITS) violations.add(1)
        if (i % 5 === 0) await pause()
        inside[place] = 0
        done.add(1)
        held.release()
      }
    }
    await withCrowd(work, async (crowd) => {
      for (let kill = 0; kill < EACH; kill++) {
        const before = done.value
        await until(
          () => done.value >= before + 5,
          `progress after kill ${kill}`,
          () => [sem.value, [...inside]],
        )
        await pause(random() * 3)
        const holder = random() < 0.5 ? [...inside].find((pid) => pid !== 0) : undefined
        const place = Math.max(0, holder ? crowd.placeOf(holder) : Math.floor(random() * CHILDREN))
        await crowd.kill(place)
        inside[place] = 0
        expect(sem.value).toBeLessThanOrEqual(PERMITS)
        crowd.restart(place)
        if (kill % 10 === 9) {
          park.value = true
          await until(
            () => parked.every((p) => p === 1),
            'all parked',
            () => [sem.value, [...parked]],
          )
          await until(
            () => sem.value === PERMITS,
            'all permits',
            () => sem.value,
          )
          expect(sem.tryAcquire()).not.toBeNull()
          expect(sem.tryAcquire()).not.toBeNull()
          expect(sem.tryAcquire()).toBeNull()
          sem.release()
          sem.release()
          parked.fill(0)
          park.value = false
        }
      }
    })
    expect(violations.value).toBe(0)
    await until(
      () => sem.value === PERMITS,
      'all permits at the end',
      () => sem.value,
    )
  })

  it('Condition: each notification wakes one of the living', { timeout: TIMEOUT }, async () => {
    const random = seeded('condition: one')
    const cond = new mp.Condition(new mp.Lock())
    const sleeping = new mp.SharedArray('i', CHILDREN, { lock: false })
    const woken = new mp.Value('i', 0)
    const work = async (place: number, blocking: boolean) => {
      for (;;) {
        const held = blocking ? cond.acquireSync() : await cond.acquire()
        sleeping[place] = 1
        if (blocking) cond.waitSync()
        else await cond.wait()
        sleeping[place] = 0
        woken.add(1)
        held.release()
      }
    }
    const allSleep = async () => {
      // Who gets the lock and finds all marked knows that they wait.
      for (const deadline = performance.now() + PATIENCE; ; ) {
        const held = (await cond.acquire({ timeout: PATIENCE }))!
        if (sleeping.every((s) => s === 1)) return held
        held.release()
        if (performance.now() > deadline) throw new Error(`not all sleep: ${[...sleeping]}`)
        await pause(1)
      }
    }
    await withCrowd(work, async (crowd) => {
      for (let kill = 0; kill < EACH; kill++) {
        const held = await allSleep()
        const before = woken.value
        const place = Math.floor(random() * CHILDREN)
        const n = 1 + Math.floor(random() * (CHILDREN - 1))
        // The lock is held, so nobody can have used the notification when the victim dies.
        if (random() < 0.5) {
          cond.notify(n)
          await pause(random() * 2)
          await crowd.kill(place)
        } else {
          await crowd.kill(place)
          cond.notify(n)
        }
        sleeping[place] = 0
        held.release()
        await until(
          () => woken.value >= before + n,
          `${n} awake after kill ${kill}`,
          () => woken.value - before,
        )
        crowd.restart(place)
        const again = await allSleep()
        expect(woken.value).toBe(before + n)
        again.release()
      }
    })
  })

  it('Condition: notifiers and waiters killed anywhere, nobody hangs', { timeout: TIMEOUT }, async () => {
    const random = seeded('condition: all')
    const cond = new mp.Condition()
    const rounds = new mp.SharedArray('i', CHILDREN, { lock: false })
    const work = async (place: number, blocking: boolean) => {
      for (let i = 0; ; i++) {
        const held = blocking ? cond.acquireSync() : await cond.acquire()
        if (i % 3 === 0) cond.notifyAll()
        else if (i % 3 === 1) cond.notify()
        else if (blocking) cond.waitSync({ timeout: 50 })
        else await cond.wait({ timeout: 50 })
        rounds[place]! += 1
        held.release()
        if (i % 7 === 0) await pause()
      }
    }
    await withCrowd(work, async (crowd) => {
      for (let kill = 0; kill < EACH; kill++) {
        const before = [...rounds]
        await until(
          () => rounds.every((r, i) => r > before[i]!),
          `all got on after kill ${kill}`,
          () => [...rounds],
        )
        await pause(random() * 3)
        const place = Math.floor(random() * CHILDREN)
        await crowd.kill(place)
        crowd.restart(place)
      }
    })
    const held = (await cond.acquire({ timeout: PATIENCE }))!
    expect(held).not.toBeNull()
    cond.notifyAll()
    held.release()
  })

  it('Event: every survivor sees every set', { timeout: TIMEOUT }, async () => {
    const random = seeded('event')
    const events = [new mp.Event(), new mp.Event()]
    const seen = new mp.SharedArray('i', CHILDREN, { lock: false })
    const round = new mp.Value('i', 0)
    const work = async (place: number, blocking: boolean) => {
      for (let r = round.value; ; r++) {
        if (blocking) events[r % 2]!.waitSync()
        else await Promise.all([events[r % 2]!.wait(), events[r % 2]!.wait()])
        seen[place] = r + 1
      }
    }
    await withCrowd(work, async (crowd) => {
      for (let kill = 0; kill < EACH; kill++) {
        const victim = Math.floor(random() * CHILDREN)
        const r = round.value
        await pause(random() * 3)
        // Sometimes while it waits, sometimes while it is being woken.
        const early = random() < 0.5
        if (early) await crowd.kill(victim)
        events[r % 2]!.set()
        if (!early) await crowd.kill(victim)
        await until(
          () => seen.every((s, i) => i === victim || s === r + 1),
          `round ${r + 1} after kill ${kill}`,
          () => [...seen],
        )
        events[r % 2]!.clear()
        round.value = r + 1
        seen[victim] = r + 1
        crowd.restart(victim)
      }
    })
  })

  it('Barrier: the death of a party breaks it for all', { timeout: TIMEOUT }, async () => {
    const random = seeded('barrier')
    const barrier = new mp.Barrier(CHILDREN)
    const passed = new mp.SharedArray('i', CHILDREN, { lock: false })
    const broke = new mp.SharedArray('i', CHILDREN, { lock: false })
    const epoch = new mp.Value('i', 1)
    const work = async (place: number, blocking: boolean) => {
      for (;;) {
        const now = epoch.value
        try {
          for (;;) {
            if (blocking) barrier.waitSync()
            else await barrier.wait()
            passed[place] = now
          }
        } catch (error: any) {
          if (error.name !== 'BrokenBarrierError') throw error
          broke[place] = now
          while (epoch.value === now) await pause(1)
        }
      }
    }
    await withCrowd(work, async (crowd) => {
      for (let kill = 0; kill < EACH; kill++) {
        const now = epoch.value
        const state = () => [now, [...passed], [...broke], barrier.waiting, barrier.broken]
        await until(() => passed.every((p) => p === now), `a round in epoch ${now}`, state)
        await pause(random() * 3)
        const victim = Math.floor(random() * CHILDREN)
        await crowd.kill(victim)
        await until(() => broke.every((b, i) => i === victim || b === now), 'broken for all', state)
        expect(barrier.broken).toBe(true)
        barrier.reset()
        epoch.add(1)
        crowd.restart(victim)
      }
    })
  })

  it('RWLock: never a writer beside anybody, nothing torn unless told', { timeout: TIMEOUT }, async () => {
    const random = seeded('rwlock')
    const rw = new mp.RWLock()
    const data = new mp.SharedArray('i', 2, { lock: false })
    const [readers, writers] = [0, 1].map(() => new mp.SharedArray('i', CHILDREN, { lock: false }))
    const progress = new mp.SharedArray('i', CHILDREN, { lock: false })
    const [violations, torn, recoveries] = [0, 1, 2].map(() => new mp.Value('i', 0))
    const beside = (pids: Iterable<number>) => {
      for (const pid of pids) if (pid !== 0 && pid !== process.pid && alive(pid)) return true
      return false
    }
    const work = async (place: number, blocking: boolean) => {
      for (let i = 0; ; i++) {
        const options = i % 5 === 4 ? { timeout: 1 } : undefined
        if (i % 3 === place % 3) {
          const held = blocking ? rw.writeSync(options) : await rw.write(options)
          if (held === null) continue
          writers![place] = process.pid
          if (beside(writers!) || beside(readers!)) violations!.add(1)
          if (held.abandoned) {
            recoveries!.add(1)
            data[1] = data[0]!
          } else if (data[0] !== data[1]) torn!.add(1)
          data[0]! += 1
          if (i % 4 === 0) await pause()
          data[1]! += 1
          writers![place] = 0
          held.release()
        } else {
          const held = blocking ? rw.readSync(options) : await rw.read(options)
          if (held === null) continue
          readers![place] = process.pid
          if (beside(writers!)) violations!.add(1)
          if (data[0] !== data[1] && !held.abandoned) torn!.add(1)
          readers![place] = 0
          held.release()
        }
        progress[place]! += 1
      }
    }
    await withCrowd(work, async (crowd) => {
      for (let kill = 0; kill < EACH; kill++) {
        const before = [...progress]
        await until(
          () => progress.every((p, i) => p > before[i]!),
          `all got on after kill ${kill}`,
          () => [rw, [...progress]],
        )
        await pause(random() * 3)
        const writer = random() < 0.5 ? [...writers!].find((pid) => pid !== 0) : undefined
        const place = writer ? crowd.placeOf(writer) : Math.floor(random() * CHILDREN)
        if (place < 0) continue
        await crowd.kill(place)
        crowd.restart(place)
      }
    })
    expect([violations!.value, torn!.value]).toEqual([0, 0])
    expect(recoveries!.value).toBeGreaterThan(0)
    expect(await rw.write({ timeout: PATIENCE })).not.toBeNull()
  })
})
