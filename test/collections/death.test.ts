// Killing at random: writers of one dictionary and one list, killed at any instruction and started again.
//
//   writer   about[p] = n · n-th change · done[p] = n      all it writes is bound to its number: what is read can be judged
//   here     reads all the while: what is there was set, whole; what was done is not undone
//
// At the end nothing is torn, the counts are right, and no memory is left.
import * as mp from 'multiproc'
import { afterEach, expect, it } from 'vitest'
import { collectGarbage, memoryStats, settledMemory } from '../memory-use'
import { seeded, withCrowd } from '../sync/fuzz'
import { PATIENCE, pause, until } from '../until'

const KILLS = Number(process.env.MULTIPROC_KILLS ?? 40)

afterEach(() => expect(mp.activeChildren()).toEqual([]))

it(`${KILLS} kills of writers`, { timeout: 60_000 + KILLS * 2000 }, async () => {
  const random = seeded('writers of collections')
  const before = (await settledMemory()).blocks
  const WRITERS = 4
  const dict = new mp.SharedDict<string, any>()
  const list = new mp.SharedList<any>()
  const about = new mp.SharedArray('i', WRITERS)
  const done = new mp.SharedArray('i', WRITERS)
  const work = async (p: number) => {
    const make = (n: number): any => {
      switch (n % 5) {
        case 0:
          return { p, n, same: n }
        case 1:
          return { p, n, text: 'x'.repeat((n * 37) % 3000), same: n }
        case 2:
          return { p, n, value: new mp.Value('d', n), same: n }
        case 3:
          return { p, n, bytes: new Uint8Array(18_000).fill(n & 255), same: n }
        default:
          return { p, n, list: new mp.SharedList([n]), same: n }
      }
    }
    for (let n = about[p]! + 1; ; n++) {
      Atomics.store(about, p, n)
      const key = `${p} ${n % 40}`
      if (n % 7 === 0) dict.delete(key)
      else dict.set(key, make(n))
      dict.update(`count ${p}`, () => n)
      if (n % 11 === 0) list.splice(n % 5, 1, { p, n, same: n })
      else list.push(make(n))
      if (list.length > 300) for (let i = 0; i < 100; i++) list.shift()
      if (n % 301 === 0) list.sort((a, b) => a.n - b.n)
      Atomics.store(done, p, n)
      if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const judge = (value: any) => {
    if (value === undefined) return
    const { p, n } = value
    if (value.same !== n || p >= WRITERS || n > about[p]!) throw new Error(`torn: ${JSON.stringify(value)}`)
    if (value.value !== undefined && value.value.value !== n) throw new Error(`torn value: ${n}`)
    if (value.list !== undefined && value.list.get(0) !== n) throw new Error(`torn list: ${n}`)
    if (value.bytes !== undefined && !value.bytes.every((byte: number) => byte === (n & 255)))
      throw new Error(`torn bytes: ${n}`)
  }
  // A function of its own: what a frame that goes on has met may stay in it.
  const judgeAll = (most?: number) => {
    for (const [key, value] of dict) if (!key.startsWith('count')) judge(value)
    for (const value of list.slice(0, most)) judge(value)
  }
  await withCrowd(
    work,
    async (crowd) => {
      await until(
        () => done.every((n) => n > 0),
        'all writers are at work',
        () => [...done],
      )
      for (let kill = 0; kill < KILLS; kill++) {
        await pause(random() * 30)
        const place = Math.floor(random() * WRITERS)
        await crowd.kill(place)
        const count = dict.get(`count ${place}`)
        if (!(count >= done[place]! && count <= about[place]!))
          throw new Error(`count ${count}: ${done[place]} were done, ${about[place]} begun`)
        judgeAll(30)
        const others = done.reduce((a, b) => a + b)
        crowd.restart(place)
        const deadline = performance.now() + PATIENCE
        while (done.reduce((a, b) => a + b) === others) {
          if (performance.now() > deadline) throw new Error('nobody gets on')
          await pause(1)
        }
      }
    },
    WRITERS,
  )
  judgeAll()
  dict.clear()
  list.clear()
  for (const shared of [dict, list]) shared.close()
  // Arrays, and what was read, go with the garbage collection.
  await until(
    () => {
      collectGarbage()
      return memoryStats().blocks <= before + 2
    },
    'all is given back',
    memoryStats,
  )
})
