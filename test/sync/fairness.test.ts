// No waiter starves: of processes that all want a lock all the time, each gets at least half of its share.
import * as mp from 'multiproc'
import { expect, it } from 'vitest'

const PROCESSES = 8
const ROUNDS = 20_000_000 // a hand-over comes each 2 ms: this is a thousand of them
const MIXED = ROUNDS / 5

it.each(['sync', 'mixed'])(
  '8 greedy processes each get at least half of their share (%s)',
  { timeout: 300_000 },
  async (form) => {
    const lock = new mp.Lock()
    const [ready, left] = [new mp.Value('i', 0), new mp.Value('i', form === 'sync' ? ROUNDS : MIXED)]
    const got = new mp.SharedArray('i', PROCESSES, { lock: false })
    const greedy = async (place: number, blocking: boolean) => {
      ready.add(1)
      while (ready.value < PROCESSES) await new Promise((resolve) => setTimeout(resolve, 1))
      for (;;) {
        const held = blocking ? lock.acquireSync() : await lock.acquire()
        const more = left.value > 0
        if (more) {
          left.value -= 1
          got[place]! += 1
        }
        held.release()
        if (!more) return
      }
    }
    const children = Array.from(
      { length: PROCESSES },
      (_, i) => new mp.Process({ target: greedy, args: [i, form === 'sync' || i % 2 === 0] }),
    )
    for (const child of children) child.start()
    for (const child of children) await child.join()
    const total = got.reduce((a, b) => a + b)
    expect(total).toBe(form === 'sync' ? ROUNDS : MIXED)
    if (process.env.MULTIPROC_SHOW) console.log(form, [...got])
    const blocking = form === 'sync' ? [...got] : [...got].filter((_, i) => i % 2 === 0)
    const share = blocking.reduce((a, b) => a + b) / blocking.length
    for (const n of blocking) expect(n).toBeGreaterThanOrEqual(share / 2)
    for (const n of got) expect(n).toBeGreaterThan(0)
  },
)
