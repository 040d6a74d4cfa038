// Every interleaving of small programs over the real lib/sync, with kills at every store: see model/world.ts. The second half
// takes out of the code, one by one, the steps that it needs: the search must find each of them missing.
import { describe, expect, test } from 'vitest'
import { bundle, type Mutation } from './model/bundle'
import { type Call, type Seen, type Setting, World } from './model/world'

interface Held {
  release(): void
}
/** Of the model's promises: real ones would run when the model does not. */
const all = (a: Promise<void>, b: Promise<void>): Promise<void> => a.then(() => b)

const acquire: Call = (o, say) => {
  o.semaphore.acquireSync()
  say('in')
}
const release: Call = (o, say) => {
  say('out')
  o.semaphore.release()
}
const count = (owners: Seen[], what: string): number =>
  owners.reduce((n, { said, dead }) => n + (dead ? 0 : said.filter((s) => s === what).length), 0)
const inside = (owners: Seen[]): number => count(owners, 'in') - count(owners, 'out')

/** Waits for a notification; says so before it counts as used. */
const waitForOne: Call = (o, say) => {
  const { confirm } = o.condition
  o.condition.confirm = function (this: object, cell: number) {
    say('used')
    confirm.call(this, cell)
  }
  o.lock.acquireSync()
  o.condition.waitSync()
  o.lock.release()
}
/** Notifies `n` if so many `wait`. */
const notify =
  (n: number, wait: number): Call =>
  (o, say) => {
    o.lock.acquireSync()
    if (o.condition.waitingCount >= wait) {
      for (let i = 0; i < n; i++) say('notified')
      o.condition.notify(n)
    }
    o.lock.release()
  }
const done: Call = (_, say) => say('done')
const makeCondition: Setting['make'] = (s) => {
  const lock = new s.Lock()
  return { lock, condition: new s.Condition(lock) }
}
const used = (owners: Seen[]): number => owners.reduce((n, { said }) => n + said.filter((s) => s === 'used').length, 0)
/** All that were notified have gone on; or there was no notification. */
const allUsed =
  (notifier: number): NonNullable<Setting['mayHang']> =>
  (owners) => {
    const { said, dead } = owners[notifier]!
    const sent = dead && !said.includes('done') ? 0 : said.filter((s) => s === 'notified').length
    return used(owners) >= sent
  }

const meet: Call = (o, say) => {
  try {
    o.barrier.waitSync()
    say('passed')
  } catch (error) {
    say((error as Error).name)
  }
}
const write: Call = (o, say) => {
  const held = o.rw.writeSync()
  say('writes')
  held.release()
  say('wrote')
}
const read: Call = (o, say) => {
  const held = o.rw.readSync()
  say('reads')
  held.release()
  say('read')
}

const settings: Record<string, Setting> = {
  'semaphore, 2 owners, a kill': {
    make: (s) => ({ semaphore: new s.Semaphore(1) }),
    programs: [
      [acquire, release],
      [acquire, release],
    ],
    kills: 1,
    always: (owners) => (inside(owners) > 1 ? 'two are inside' : undefined),
    atEnd: (_, o) => (o.semaphore.value === 1 ? undefined : `value is ${o.semaphore.value}`),
  },
  'semaphore, 3 owners, two kills': {
    make: (s) => ({ semaphore: new s.Semaphore(1) }),
    programs: [[acquire], [acquire], [acquire]],
    first: [0, 1, 2],
    kills: 2,
    mortal: [0, 1],
    always: (owners) => (inside(owners) > 1 ? 'two are inside' : undefined),
    mayHang: (owners) => inside(owners) === 1,
  },
  'semaphore, with a time-out': {
    make: (s) => ({ semaphore: new s.Semaphore(1) }),
    programs: [
      [acquire, release],
      [
        (o, say) => {
          if (o.semaphore.acquireSync({ timeout: 5 }) === null) say('late')
          else {
            say('in')
            say('out')
            o.semaphore.release()
          }
        },
      ],
    ],
    kills: 1,
    atEnd: (_, o) => (o.semaphore.value === 1 ? undefined : `value is ${o.semaphore.value}`),
  },
  'semaphore, taken again and again by one who is killed': {
    make: (s) => ({ semaphore: new s.Semaphore(1) }),
    programs: [
      [
        (o) => {
          for (let i = 0; i < 3; i++) {
            o.semaphore.acquireSync()
            o.semaphore.release()
          }
        },
      ],
    ],
    kills: 1,
    atEnd: (_, o) => (o.semaphore.value === 1 ? undefined : `value is ${o.semaphore.value}`),
  },
  'event, the setter is killed': {
    make: (s) => ({ event: new s.Event() }),
    programs: [[(o) => o.event.waitSync()], [(o) => o.event.set()]],
    kills: 1,
    mortal: [1],
    mayHang: (_, o) => !o.event.isSet(),
  },
  'event, a setter is killed': {
    make: (s) => ({ event: new s.Event() }),
    programs: [[(o) => o.event.waitSync()], [(o) => o.event.set()], [(o) => o.event.set()]],
    kills: 1,
  },
  'condition, a waiter is killed': {
    make: makeCondition,
    programs: [[waitForOne], [waitForOne], [notify(1, 2)]],
    first: [0, 1],
    kills: 1,
    mortal: [0],
    mayHang: allUsed(2),
  },
  'condition, a waiter is killed, and who puts that in order': {
    make: makeCondition,
    programs: [[waitForOne], [waitForOne], [notify(1, 2), done, notify(0, 0)]],
    first: [0, 1],
    kills: 2,
    mortal: [0, 2],
    mayHang: allUsed(2),
  },
  'condition, a waiter with a time-out': {
    make: makeCondition,
    programs: [
      [
        (o, say) => {
          o.lock.acquireSync()
          if (o.condition.waitSync({ timeout: 5 })) say('used')
          o.lock.release()
        },
      ],
      [waitForOne],
      [notify(1, 2)],
    ],
    first: [0, 1],
    mayHang: allUsed(2),
  },
  'barrier, 2 parties, a kill': {
    make: (s) => ({ barrier: new s.Barrier(2) }),
    programs: [[meet], [meet]],
    kills: 1,
    mayHang: (owners, o) => owners.some((w) => w.dead) && o.barrier.waiting === 1 && !o.barrier.broken,
  },
  'read-write lock, a kill': {
    make: (s) => ({ rw: new s.RWLock() }),
    programs: [[write], [read]],
    kills: 1,
    atEnd: (_, o) => {
      const { readers, writing, waiting } = o.rw.shown()
      return readers === 0 && !writing && waiting === 0 ? undefined : `left: ${readers} ${writing} ${waiting}`
    },
  },
  'barrier, 3 parties, a kill': {
    make: (s) => ({ barrier: new s.Barrier(3) }),
    programs: [[meet], [meet], [meet]],
    first: [0],
    kills: 1,
    mortal: [0, 2],
    mayHang: (owners, o) => owners.some((w) => w.dead) && o.barrier.waiting === 2 && !o.barrier.broken,
  },
  'read-write lock, a reader and two writers, one with a time-out': {
    make: (s) => ({ rw: new s.RWLock() }),
    programs: [[read], [write], [(o) => o.rw.writeSync({ timeout: 5 })?.release()]],
    first: [0],
  },
  'read-write lock, readers behind a writer with a time-out': {
    make: (s) => ({ rw: new s.RWLock() }),
    programs: [
      [
        (o) => {
          const held = o.rw.readSync()
          o.rw.readSync().release()
          held.release()
        },
      ],
      [(o) => o.rw.writeSync({ timeout: 5 })?.release()],
    ],
  },
  'semaphore, two promises of one owner, a kill of another': {
    make: (s) => ({ semaphore: new s.Semaphore(1) }),
    promises: true,
    programs: [
      [
        (o, say) => {
          const task = (): Promise<void> =>
            o.semaphore.acquire().then((held: Held) => {
              say('in')
              say('out')
              held.release()
            })
          return all(task(), task())
        },
      ],
      [acquire],
    ],
    first: [1, 0],
    kills: 1,
    mortal: [1],
    mayHang: (owners) => inside(owners) === 1,
  },
  'condition, two promises of one owner, a kill of another waiter': {
    make: makeCondition,
    promises: true,
    programs: [
      [
        (o, say) => {
          const task = (): Promise<void> =>
            o.lock.acquire().then(() => {
              return o.condition.wait().then(() => {
                say('used')
                o.lock.release()
              })
            })
          return all(task(), task())
        },
      ],
      [waitForOne],
      [notify(2, 3)],
    ],
    first: [1, 0],
    kills: 1,
    mortal: [1],
    killedIn: 'cellWait',
    mayHang: allUsed(2),
  },
}

/** What is taken out, and where that shows. */
const missing: Record<string, { mutation?: Mutation; setting?: Partial<Setting>; shows: string }> = {
  'who begins to wait looks for the dead': {
    mutation: {
      file: 'monitor.ts',
      from: 'state: granted > 0 ? NOTIFIED : WAITING })\n    this.recover()',
      to: 'state: granted > 0 ? NOTIFIED : WAITING })',
    },
    shows: 'semaphore, 2 owners, a kill',
  },
  'the reaper tells those who wait': {
    setting: { reaperOmits: 'look' },
    shows: 'semaphore, 2 owners, a kill',
  },
  'a step that was begun is completed': {
    mutation: { file: 'monitor.ts', from: '    this.#redo()\n', to: '' },
    shows: 'semaphore, 2 owners, a kill',
  },
  'a step is recorded before it is made': {
    mutation: {
      file: 'monitor.ts',
      from: '    Atomics.store(words, redo, at)\n    this.#apply(at)',
      to: '    this.#apply(at)',
    },
    shows: 'semaphore, 2 owners, a kill',
  },
  'the quick step is recorded, too': {
    mutation: { file: 'monitor.ts', from: '      words[redo] = -cell - 2\n', to: '' },
    shows: 'semaphore, taken again and again by one who is killed',
  },
  'what a step was part of is completed': {
    mutation: { file: 'event.ts', from: 'if (this.get(VALUE) === 1) this.#wakeAll()', to: '' },
    shows: 'event, the setter is killed',
  },
  'who is granted something is woken': {
    mutation: { file: 'monitor.ts', from: 'if (this.#wake.length > 0)', to: 'if (this.#wake.length > 9)' },
    shows: 'barrier, 3 parties, a kill',
  },
  'a cell with grants left to wait for looks for the dead': {
    mutation: { file: 'monitor.ts', from: '    if (state === WAITING) this.recover()\n', to: '' },
    shows: 'condition, two promises of one owner, a kill of another waiter',
  },
  'a step leaves a LOOK as it is': {
    mutation: { file: 'monitor.ts', from: 'change.state ?? AS_IT_IS', to: 'change.state ?? words[at + STATE]!' },
    shows: 'condition, two promises of one owner, a kill of another waiter',
  },
  'a LOOK is answered before the dead are looked for': {
    mutation: {
      file: 'monitor.ts',
      from: '    Atomics.store(this.words, at + STATE, WAITING)\n    this.recover()',
      to: '    this.recover()\n    Atomics.store(this.words, at + STATE, WAITING)',
    },
    shows: 'condition, a waiter is killed, and who puts that in order',
  },
  'a notification that a dead waiter did not use is noted': {
    mutation: { file: 'condition.ts', from: 'this.get(X) + unused', to: 'this.get(X)' },
    shows: 'condition, a waiter is killed',
  },
  'a notification counts as used only when the lock is held again': {
    mutation: {
      file: 'condition.ts',
      from: 'get confirms(): boolean {\n    return true',
      to: 'get confirms(): boolean {\n    return false',
    },
    shows: 'condition, a waiter is killed',
  },
  'a party that died breaks the barrier': {
    mutation: {
      file: 'barrier.ts',
      from: 'if (held !== 0 && (held & ACTS || lately)) this.#breakNow()',
      to: 'void lately',
    },
    shows: 'barrier, 2 parties, a kill',
  },
  'a writer that gives up lets readers in': {
    mutation: { file: 'rwlock.ts', from: 'afterLeave(): void {\n    this.#grantNext()', to: 'afterLeave(): void {' },
    shows: 'read-write lock, readers behind a writer with a time-out',
  },
  'a dead reader is counted out': {
    mutation: { file: 'rwlock.ts', from: 'this.step({ value: this.get(VALUE) - held }, cell, { held: 0 })', to: '{}' },
    shows: 'read-write lock, a kill',
  },
}

describe('every interleaving', { timeout: 300_000 }, () => {
  for (const [name, setting] of Object.entries(settings))
    test(name, async () => {
      const result = new World(await bundle(), { maxStates: 300_000, ...setting }).search()
      expect(result.complaint, result.trace?.join('\n')).toBeUndefined()
    })
})

describe('missed when it is not there', { timeout: 300_000 }, () => {
  for (const [name, { mutation, setting, shows }] of Object.entries(missing))
    test(name, async () => {
      const result = new World(await bundle(mutation), { maxStates: 300_000, ...settings[shows]!, ...setting }).search()
      expect(result.complaint).toBeDefined()
      expect(result.complaint).not.toMatch(/more than/)
    })
})
