// Semaphore, Condition, Event, Barrier and RWLock while holders, waiters and wakers are killed at random (see fuzz.ts).
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { PATIENCE, pause, until } from '../until'
import { alive, CHILDREN, endChildren, KILLS, seeded, withCrowd } from './fuzz'

afterEach(async () => expect(await endChildren()).toEqual([]))

const EACH = Math.ceil(KILLS / 6)
const TIMEOUT = Math.max(60_000, KILLS * 1000)

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
