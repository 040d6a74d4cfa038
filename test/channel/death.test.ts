// Killing at random: 4 producers and 3 consumers of one queue, killed at any instruction and started again.
//
//   producer   about[p] = n · put(n) · put[p] = n          n that was about to be put when it died: there or not
//   consumer   get → n · got[p, n] += 1, at once           killed in between: that one message is lost to us, no more
//
// At the end each message whose put returned has been got once, but for at most one for each killed consumer; none is torn, none
// came twice, and nothing is left: no memory, no process, no descriptor.
import { readdirSync } from 'node:fs'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { memoryStats, settledMemory } from '../memory-use'
import { KILLS, seeded, withCrowd } from '../sync/fuzz'
import { PATIENCE, pause, until } from '../until'

afterEach(() => expect(mp.activeChildren()).toEqual([]))

const PRODUCERS = 4
const CONSUMERS = 3
const MOST = 1 << 20

class Parcel {
  constructor(
    readonly p: number,
    readonly n: number,
    readonly check: number,
  ) {}
  sum() {
    return this.check
  }
}

/** Under wine they would be wine's, and not handles. */
const openDescriptors = (): number => (process.platform === 'win32' ? 0 : readdirSync('/proc/self/fd').length)

async function fuzz(name: string, kills: number, options: object, kinds: readonly string[]): Promise<void> {
  const random = seeded(name)
  const before = await settledMemory()
  const descriptors = openDescriptors()
  const queue = new mp.Queue<any>(options)
  const about = new mp.SharedArray('i', PRODUCERS)
  const put = new mp.SharedArray('i', PRODUCERS)
  const got = new mp.SharedArray('B', PRODUCERS * MOST)
  const working = new mp.SharedArray('i', PRODUCERS + CONSUMERS)
  const [received, torn, stop] = [new mp.Value('i'), new mp.Value('i'), new mp.Value('bool')]
  const work = async (place: number, blocking: boolean) => {
    const checksum = (p: number, n: number) => ((p + 1) * 2654435761 + n * 40503) >>> 0
    const say = () => Atomics.store(working, place, 1)
    if (place < PRODUCERS) {
      const make = (p: number, n: number): any => {
        const check = checksum(p, n)
        switch (kinds[n % kinds.length]) {
          case 'small':
            return { p, n, check }
          case 'text':
            return { p, n, check, text: String.fromCharCode(97 + (n % 26)).repeat((n * 37) % 9000) }
          case 'long':
            return { p, n, check, bytes: new Uint8Array(16_400 + ((n * 131) % 40_000)).fill(n & 255) }
          case 'shared':
            return { p, n, check, value: new mp.Value('d', check) }
          default:
            return new Parcel(p, n, check)
        }
      }
      for (let n = about[place]! + 1; !stop.value && n < MOST; n++) {
        while (queue.qsize() > 3000 && !stop.value) await new Promise((resolve) => setTimeout(resolve, 1))
        const message = make(place, n)
        Atomics.store(about, place, n)
        if (blocking) queue.putSync(message)
        else await queue.put(message)
        Atomics.store(put, place, n)
        say()
      }
      return
    }
    for (;;) {
      let m: any
      try {
        m = blocking ? queue.getSync() : await queue.get()
      } catch (error: any) {
        if (error.code === 'ERR_MP_SHUT_DOWN') return
        throw error
      }
      Atomics.add(got, m.p * MOST + m.n, 1)
      received.add(1)
      say()
      const kind = kinds[m.n % kinds.length]
      const whole =
        m.check === checksum(m.p, m.n) &&
        (kind !== 'text' || m.text === String.fromCharCode(97 + (m.n % 26)).repeat((m.n * 37) % 9000)) &&
        (kind !== 'long' ||
          (m.bytes.length === 16_400 + ((m.n * 131) % 40_000) && m.bytes.every((b: number) => b === (m.n & 255)))) &&
        (kind !== 'shared' || (m.value instanceof mp.Value && m.value.value === m.check)) &&
        (kind !== 'parcel' || (m.constructor.name === 'Parcel' && m.sum() === m.check))
      if (!whole) torn.add(1)
      m.value?.close()
    }
  }

  const uncertain = new Set<number>()
  let killed = 0
  let consumersKilled = 0
  await withCrowd(
    work,
    async (crowd) => {
      const places = crowd.children.map((_, place) => place)
      await until(() => places.every((place) => working[place] !== 0), 'work of all')
      const slots = (memoryStats().slots - before.slots) / places.length // of each process
      while (killed < kills) {
        // Two of each kind, so that they get in each other's way; some are killed while they begin.
        const busy = (from: number, to: number) => places.slice(from, to).filter((place) => working[place] !== 0)
        await until(
          () => busy(0, PRODUCERS).length >= 2 && busy(PRODUCERS, places.length).length >= 2,
          'work',
          () => ({ working, about, put, queued: queue.qsize(), received: received.value }),
        )
        if (random() < 0.7) await pause(random() * 4)
        const victims = places.filter((place) => random() < (working[place] !== 0 ? 0.7 : 0.1))
        await Promise.all(victims.map((place) => crowd.kill(place)))
        for (const place of victims) {
          killed++
          if (place >= PRODUCERS) consumersKilled++
          else if (about[place] !== put[place]) uncertain.add(place * MOST + about[place]!)
          working[place] = 0
          crowd.restart(place)
        }
      }
      await until(() => places.every((place) => working[place] !== 0), 'work of all at the end')
      stop.value = true
      for (const producer of crowd.children.slice(0, PRODUCERS))
        expect(await producer.join({ timeout: PATIENCE })).toBe(true)
      // Those who were killed are reaped: what they had not settled is in the queue again.
      await until(
        () => memoryStats().slots <= before.slots + CONSUMERS * slots && queue.empty(),
        'an empty queue',
        () => [memoryStats(), queue],
      )
      queue.shutdown()
      for (const consumer of crowd.children.slice(PRODUCERS)) {
        expect(await consumer.join({ timeout: PATIENCE })).toBe(true)
        expect(consumer.exitCode).toBe(0)
      }
    },
    PRODUCERS + CONSUMERS,
  )
  let lost = 0
  let twice = 0
  let total = 0
  for (let p = 0; p < PRODUCERS; p++)
    for (let n = 1; n <= about[p]!; n++) {
      const times = got[p * MOST + n]!
      total++
      if (times > 1) twice++
      if (times === 0 && !uncertain.has(p * MOST + n)) lost++
    }
  console.log(
    `${name}: ${killed} killed (${consumersKilled} consumers), ${total} messages, ${lost} in the hands of killed consumers`,
  )
  expect(torn.value).toBe(0)
  expect(twice).toBe(0)
  expect(lost).toBeLessThanOrEqual(consumersKilled)
  for (const object of [queue, about, put, got, working, received, torn, stop]) object.close()
  await until(() => memoryStats().blocks <= before.blocks, 'all memory given back', memoryStats)
  expect(openDescriptors()).toBeLessThanOrEqual(descriptors + 2)
}

describe('killed at random', () => {
  const each = Math.ceil(KILLS / 5)
  it.each<[string, object, string[]]>([
    ['short messages, bounded', { maxSize: 8 }, ['small', 'text']],
    ['long messages, bounded by bytes', { capacity: 200_000 }, ['long', 'shared', 'small']],
    ['all kinds, unbounded', {}, ['small', 'shared', 'text', 'small', 'long', 'small', 'parcel']],
  ])('%s', { timeout: 60_000 + KILLS * 500 }, (name, options, kinds) => fuzz(name, each, options, kinds))
})
