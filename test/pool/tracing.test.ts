// diagnostics_channel: the tracing channel multiproc:task.
import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import type * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { all, errorOf, KINDS, pool, range } from './pools'

type Event = [event: string, message: mp.TaskTrace]

const channel = tracingChannel<string, mp.TaskTrace>('multiproc:task')
let unsubscribe = (): void => {}

/** All events from now on. */
function follow(seen: (event: string) => unknown = () => {}): Event[] {
  const events: Event[] = []
  const handlers = Object.fromEntries(
    ['start', 'end', 'asyncStart', 'asyncEnd', 'error'].map((event) => [
      event,
      (message: mp.TaskTrace) => {
        events.push([event, message])
        seen(event)
      },
    ]),
  ) as unknown as Parameters<typeof channel.subscribe>[0]
  channel.subscribe(handlers)
  unsubscribe = () => channel.unsubscribe(handlers)
  return events
}
const names = (events: Event[]): string[] => events.map(([event]) => event)

afterEach(() => {
  unsubscribe()
  unsubscribe = () => {}
})

describe.each(KINDS)('%s', (kind) => {
  it('a task from its submission to its end', async () => {
    const p = pool(1, kind)
    const pid = await p.apply(() => process.pid)
    const events = follow()
    const task = p.apply(function named() {
      return 5
    })
    expect(names(events)).toEqual(['start', 'end'])
    expect(events[0]![1]).toMatchObject({ name: 'named', pid: undefined })
    await task
    expect(names(events)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd'])
    const [, message] = events[0]!
    expect(message).toMatchObject({ id: expect.any(Number), pid, workerId: 1, result: 5 })
    for (const [, other] of events) expect(other).toBe(message)
    await p.apply(() => 6)
    expect(events[4]![1].id).not.toBe(message.id)
  })

  it('errors and losses', async () => {
    const p = pool(1, kind)
    const pid = await p.apply(() => process.pid)
    const events = follow()
    const error = await errorOf(() =>
      p.apply(() => {
        throw new RangeError('no')
      }),
    )
    expect(names(events)).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
    expect(events[2]![1]).toMatchObject({ pid, error })
    events.length = 0
    const lost = await errorOf(() => p.apply(() => process.exit(1)))
    expect(names(events)).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
    expect(events[2]![1]).toMatchObject({ pid, error: lost })
  })

  it('map, imap and Sync calls', async () => {
    const p = pool(2, kind)
    const events = follow()
    await p.map((x: number) => x, range(20))
    await all(p.imap((x: number) => x, range(20)))
    expect(names(events)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd', 'start', 'end', 'asyncStart', 'asyncEnd'])
    events.length = 0
    p.applySync((x: number) => x, [1])
    expect([...p.imapSync((x: number) => x, range(3))]).toEqual(range(3))
    expect(names(events)).toEqual(['start', 'end', 'start', 'end'])
    events.length = 0
    expect(
      await errorOf(() =>
        p.mapSync(
          (x: number) => {
            throw x
          },
          [1],
        ),
      ),
    ).toBe(1)
    expect(names(events)).toEqual(['start', 'error', 'end'])
  })
})

it('what is cancelled', async () => {
  const p = pool(1)
  const events = follow()
  const task = p.apply(() => new Promise(() => {}), [], { grace: 0 })
  task.cancel()
  expect(names(events)).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
  expect(await errorOf(() => task)).toBe(events[2]![1].error)
})

it('events of one call come in the context of the call', async () => {
  const p = pool(1)
  const storage = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  follow((event) => seen.push(`${event} ${storage.getStore()}`))
  await storage.run('a', () => p.apply(() => 1))
  expect(seen).toEqual(['start a', 'end a', 'asyncStart a', 'asyncEnd a'])
})

it('a call that was begun before anybody listened is not told of', async () => {
  const p = pool(1)
  const task = p.apply(() => 1)
  const events = follow()
  await task
  expect(events).toEqual([])
})
