// DeadlockError: Sync waits without a time-out that could never end. Exactly one of the circle is told, with the circle in
// words; and whoever only waits long is left alone.
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { PATIENCE, pause, until } from '../until'

afterEach(async () => {
  const left = mp.activeChildren()
  for (const child of left) child.kill()
  for (const child of left) await child.join()
  expect(left).toEqual([])
})

function start<T extends (...args: any[]) => unknown>(target: T, ...args: Parameters<T>): mp.Process {
  const child = new mp.Process({ target, args } as any)
  child.start()
  return child
}
async function ended(children: mp.Process[]): Promise<void> {
  for (const child of children) {
    expect(await child.join({ timeout: PATIENCE })).toBe(true)
    expect(child.exitCode).toBe(0)
  }
}

/** What children report: for each a number, and all messages. */
class Reports {
  readonly outcome: mp.SharedArray<any>
  readonly text = new mp.SharedArray('c', 8192, { lock: false })
  constructor(n: number) {
    this.outcome = new mp.SharedArray('i', n)
  }
  get message(): string {
    return new TextDecoder().decode(Uint8Array.from(this.text as any)).replaceAll('\0', '')
  }
}
const GOT = 1
const DEADLOCK = 2

describe.each([2, 3])('a circle of %i processes', (n) => {
  it.each(['RLock', 'write', 'read and write'])('by %s: exactly one is told, the others go on', async (kind) => {
    const locks = Array.from({ length: n }, (_, i) =>
      kind === 'RLock' ? new mp.RLock({ name: `lock-${i}` }) : new mp.RWLock({ name: `lock-${i}` }),
    )
    const reports = new Reports(n)
    const { outcome, text } = reports
    const holding = new mp.Barrier(n)
    const children = locks.map((_, i) =>
      start((me) => {
        const take = (lock: any, mode: string) =>
          kind === 'RLock' ? lock.acquireSync() : mode === 'read' ? lock.readSync() : lock.writeSync()
        const own = take(locks[me], kind === 'read and write' ? 'read' : 'write')
        holding.waitSync()
        try {
          take(locks[(me + 1) % n], 'write').release()
          outcome[me] = GOT
        } catch (error: any) {
          if (error.name !== 'DeadlockError' || error.code !== 'ERR_MP_DEADLOCK') throw error
          text.set(new TextEncoder().encode(error.message))
          outcome[me] = DEADLOCK
        }
        own.release()
      }, i),
    )
    await ended(children)
    expect([...outcome].sort()).toEqual([...Array(n - 1).fill(GOT), DEADLOCK])
    for (const [i, child] of children.entries()) {
      expect(reports.message).toContain(String(child.pid))
      expect(reports.message).toContain(`lock-${i}`)
    }
    for (const lock of locks)
      if (lock instanceof mp.RLock) expect(lock.locked()).toBe(false)
      else lock.writeSync({ timeout: 0 })!.release()
  })
})

it('joinSync of a process that waits for a lock of the one that joins', async () => {
  const reports = new Reports(2)
  const { outcome, text } = reports
  const pids = new mp.SharedArray('i', 2)
  const parent = start(async () => {
    const lock = new mp.RLock({ name: 'kept' })
    const tell = (me: number, error: any) => {
      if (error.name !== 'DeadlockError') throw error
      text.set(new TextEncoder().encode(error.message))
      outcome[me] = DEADLOCK
    }
    const held = lock.acquireSync()
    const child = new mp.Process({
      target: () => {
        pids[1] = process.pid
        try {
          lock.acquireSync().release()
          outcome[1] = GOT
        } catch (error: any) {
          tell(1, error)
        }
      },
    })
    pids[0] = process.pid
    child.start()
    try {
      child.joinSync()
      outcome[0] = GOT
    } catch (error: any) {
      tell(0, error)
    }
    held.release()
    child.joinSync()
    if (child.exitCode !== 0) throw new Error(`exit code ${child.exitCode}`)
  })
  await ended([parent])
  expect([...outcome].sort()).toEqual([GOT, DEADLOCK])
  for (const pid of pids) expect(reports.message).toContain(String(pid))
  expect(reports.message).toContain('kept')
})

it('a plain Lock that its owner takes again, when nobody else has it', async () => {
  const reports = new Reports(1)
  const { outcome, text } = reports
  const child = start(() => {
    const lock = new mp.Lock({ name: 'mine' })
    lock.acquireSync()
    try {
      lock.acquireSync()
    } catch (error: any) {
      if (error.code !== 'ERR_MP_DEADLOCK') throw error
      text.set(new TextEncoder().encode(error.message))
      outcome[0] = DEADLOCK
    }
  })
  await ended([child])
  expect(outcome[0]).toBe(DEADLOCK)
  expect(reports.message).toContain(String(child.pid))
  expect(reports.message).toContain('mine')
})

describe('no false alarm', () => {
  it('for a plain Lock that somebody else may release', async () => {
    const lock = new mp.Lock()
    const about = new mp.Value('bool', false)
    const child = start(() => {
      lock.acquireSync()
      about.value = true
      lock.acquireSync()
    })
    await until(() => about.value, 'the child')
    await pause(400)
    lock.release()
    await ended([child])
  })

  it('for plain Locks in a circle that a third may release', async () => {
    const [a, b] = [new mp.Lock(), new mp.Lock()]
    const about = new mp.Barrier(3)
    const children = [
      [a, b],
      [b, a],
    ].map(([first, second]) =>
      start(
        (x, y) => {
          x.acquireSync()
          about.waitSync()
          y.acquireSync()
        },
        first!,
        second!,
      ),
    )
    await about.wait()
    await pause(400)
    a.release() // one gets it and ends; so the other gets what that one held
    await ended(children)
  })

  it('for waits with a time-out', async () => {
    const locks = [new mp.RLock(), new mp.RLock()]
    const about = new mp.Barrier(2)
    const children = [0, 1].map((i) =>
      start((me) => {
        locks[me]!.acquireSync()
        about.waitSync()
        locks[1 - me]!.acquireSync({ timeout: 400 })
      }, i),
    )
    await ended(children)
  })

  it('for asynchronous waits: their threads are not blocked', async () => {
    const locks = [new mp.RLock(), new mp.RLock()]
    const about = new mp.Barrier(2)
    const children = [0, 1].map((i) =>
      start(async (me) => {
        const held = locks[me]!.acquireSync()
        await about.wait()
        const other = locks[1 - me]!.acquire()
        await new Promise((resolve) => setTimeout(resolve, 400))
        held.release() // a task of the same thread ends it
        ;(await other).release()
      }, i),
    )
    await ended(children)
  })

  it('for one that blocks while its own task, and the owner, still run', async () => {
    // The owner of `a` waits asynchronously for `b`, whose owner blocks for `a`: the first lets go of it by another task.
    const [a, b] = [new mp.RLock(), new mp.RLock()]
    const about = new mp.Barrier(2)
    const children = [
      start(async () => {
        const held = a.acquireSync()
        await about.wait()
        const other = b.acquire()
        setTimeout(() => held.release(), 400)
        ;(await other).release()
      }),
      start(() => {
        const held = b.acquireSync()
        about.waitSync()
        a.acquireSync().release()
        held.release()
      }),
    ]
    await ended(children)
  })

  it('for a lock that is held for long', async () => {
    const lock = new mp.RLock()
    const held = lock.acquireSync()
    const children = [0, 1, 2].map(() => start(() => lock.acquireSync().release()))
    await pause(600)
    held.release()
    await ended(children)
  })

  it('for joinSync of a process that waits for somebody else', async () => {
    const [lock, about] = [new mp.RLock(), new mp.Value('bool', false)]
    const held = lock.acquireSync()
    const parent = start(() => {
      const child = new mp.Process({
        target: () => {
          about.value = true
          lock.acquireSync().release()
        },
      })
      child.start()
      child.joinSync()
      if (child.exitCode !== 0) throw new Error(`exit code ${child.exitCode}`)
    })
    await until(() => about.value, 'the grandchild')
    await pause(300)
    held.release()
    await ended([parent])
  })

  it('under load, with locks taken in order, and tasks that hold while others of their thread block', async () => {
    const locks = [0, 1, 2].map((i) => (i === 1 ? new mp.RWLock() : new mp.RLock()))
    const done = new mp.Value('i', 0)
    const stop = new mp.Value('bool', false)
    const ready = new mp.Barrier(5)
    const work = async (me: number) => {
      await ready.wait()
      const take = (lock: any, i: number) =>
        lock.constructor.name === 'RLock' ? lock.acquireSync() : i % 3 === 0 ? lock.writeSync() : lock.readSync()
      const takeAsync = (lock: any, i: number): Promise<any> =>
        lock.constructor.name === 'RLock' ? lock.acquire() : i % 3 === 0 ? lock.write() : lock.read()
      for (let i = me; !stop.value; i++) {
        const blocking = (i >> 2) % 2 === 0
        const chosen = locks.filter((_, l) => (i >> l) & 1)
        const helds = []
        for (const lock of chosen) helds.push(blocking ? take(lock, i) : await takeAsync(lock, i))
        if (i % 50 === 0) for (const end = performance.now() + 60; performance.now() < end; );
        if (!blocking && i % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
        for (const held of helds.reverse()) held.release()
        done.add(1)
      }
    }
    const children = [0, 1, 2, 3].map((i) => start(work, i))
    await ready.wait()
    await pause(3000)
    stop.value = true
    await ended(children)
    expect(done.value).toBeGreaterThan(0)
  })
})

it('a lock without a name is told by where it was made', () => {
  for (const lock of [new mp.Lock(), new mp.RWLock()]) {
    const take = () => (lock instanceof mp.Lock ? lock.acquireSync() : lock.writeSync())
    const held = take()
    expect(take).toThrow(/made at deadlock\.test\.ts:\d+, which .* holds/)
    held.release()
  }
})
