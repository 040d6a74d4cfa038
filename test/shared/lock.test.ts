// The lock of a Value or an array: its own, a given one or none; update() runs under it.
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'

const makers = [
  ['Value', (options?: object) => new mp.Value('i', 5, options)],
  ['Value of a struct', (options?: object) => new mp.Value(mp.struct({ x: 'i' }), { x: 5 }, options)],
  ['SharedArray', (options?: object) => new mp.SharedArray('i', [0, 1, 2], options)],
  ['SharedArray of structs', (options?: object) => new mp.SharedArray(mp.struct({ x: 'i' }), 3, options)],
] as const

describe.each(makers)('%s', (_, make) => {
  it('makes an RLock of its own by default, the same each time', () => {
    for (const shared of [make(), make({ lock: true }), make({})]) {
      const lock = shared.getLock()
      expect(lock).toBeInstanceOf(mp.RLock)
      expect(shared.getLock()).toBe(lock)
      expect(lock.withSync(() => lock.withSync(() => 'twice'))).toBe('twice')
    }
    expect(make().getLock()).not.toBe(make().getLock())
  })
  it('takes a lock that exists', () => {
    for (const lock of [new mp.Lock(), new mp.RLock()]) expect(make({ lock }).getLock()).toBe(lock)
  })
  it('has none with lock: false', () => {
    const shared = make({ lock: false })
    expect(() => shared.getLock()).toThrow(
      expect.objectContaining({ code: 'ERR_MP_STATE', message: expect.stringContaining('lock: false') }),
    )
  })
  it.each(['notalock', null, 1, {}])('refuses %j as a lock', (lock) => {
    expect(() => make({ lock })).toThrow(
      expect.objectContaining({
        name: 'TypeError',
        code: 'ERR_INVALID_ARG_TYPE',
        message: expect.stringContaining('options.lock'),
      }),
    )
  })
  it('gives no lock after close(), but one given before stays usable', () => {
    const shared = make()
    const lock = shared.getLock()
    shared.close()
    expect(() => shared.getLock()).toThrow(expect.objectContaining({ code: 'ERR_MP_CLOSED' }))
    expect(lock.withSync(() => 1)).toBe(1)
  })
})

describe('update', () => {
  it('replaces the value under the lock and gives the new one', async () => {
    const v = new mp.Value('i', 5)
    const lock = v.getLock()
    const locked = (n: number) => (lock.locked() ? n : Number.NaN)
    expect(v.updateSync((n) => n * locked(2))).toBe(10)
    expect(await v.update((n) => n + locked(1))).toBe(11)
    expect(await v.update(async (n) => n + 1)).toBe(12)
    expect(lock.locked()).toBe(false)
    expect(v.value).toBe(12)
  })
  it('leaves the value and frees the lock when the function throws or gives what does not fit', async () => {
    const v = new mp.Value('b', 5)
    const fail = () => {
      throw new Error('mine')
    }
    expect(() => v.updateSync(fail)).toThrow('mine')
    await expect(v.update(fail)).rejects.toThrow('mine')
    expect(() => v.updateSync(() => 1000)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }))
    await expect(v.update(() => '1' as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    expect(v.value).toBe(5)
    expect(v.getLock().locked()).toBe(false)
  })
  it('gives the live view of a struct', async () => {
    const v = new mp.Value(mp.struct({ x: 'i', y: 'i' }), { x: 1 })
    v.updateSync((p) => {
      p.x += 1
      return p
    })
    await v.update(({ x }) => ({ x: x + 1, y: 7 }))
    expect({ ...v.value }).toEqual({ x: 3, y: 7 })
  })
  it('needs a lock and a function', async () => {
    const v = new mp.Value('i', 5, { lock: false })
    expect(() => v.updateSync((n) => n)).toThrow(expect.objectContaining({ code: 'ERR_MP_STATE' }))
    await expect(v.update((n) => n)).rejects.toMatchObject({ code: 'ERR_MP_STATE' })
    await expect(new mp.Value('i').update(3 as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })
  it('uses the lock that was given', () => {
    const lock = new mp.Lock()
    const v = new mp.Value('i', 1, { lock })
    const locked = (n: number) => (lock.locked() ? n : Number.NaN)
    v.updateSync((n) => n + locked(1))
    expect(v.value).toBe(2)
  })
})

it('raw values and arrays have no lock', () => {
  for (const raw of [new mp.RawValue('i', 5), new mp.RawArray('i', 5)]) expect('getLock' in raw).toBe(false)
  expect('update' in new mp.RawValue('i')).toBe(false)
  expect(() => new mp.RawValue('i', 1, { lock: true } as never)).toThrow(TypeError)
})
