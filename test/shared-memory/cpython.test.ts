// CPython's _TestSharedMemory, translated; what it tests of its resource tracker as behaviour.
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { codeOf, exists, left, newName, program } from './tools'

const { SharedMemory, ShareableList, SharedMemoryManager } = mp

afterEach(async () => {
  expect(mp.activeChildren()).toEqual([])
  await expect.poll(left).toEqual([])
})

async function run<A extends unknown[]>(target: (...args: A) => unknown, ...args: A): Promise<void> {
  const child = new mp.Process({ target, args, daemon: true } as never)
  child.start()
  expect(await child.join({ timeout: 30_000 })).toBe(true)
  expect(child.exitCode).toBe(0)
  child.close()
}

describe('SharedMemory', () => {
  it('a name with NUL', () => {
    const name = newName('test01_null')
    const sms = new SharedMemory({ name, create: true, size: 512 })
    expect(codeOf(() => new SharedMemory({ name: `${name}\0a` }))).toBe('ERR_INVALID_ARG_VALUE')
    sms.unlink()
    sms.close()
  })

  it('basics', () => {
    const name = newName('test01_tsmb')
    const sms = new SharedMemory({ name, create: true, size: 512 })
    expect(sms.name).toBe(name)
    expect(sms.size).toBeGreaterThanOrEqual(512)
    expect(sms.buf.length).toBe(sms.size)
    expect(sms.buffer.byteLength).toBe(sms.size)
    expect(sms.buf.buffer).toBe(sms.buffer)
    expect(inspect(sms)).toContain(name)
    expect(inspect(sms)).toContain(String(sms.size))
    expect(JSON.parse(JSON.stringify(sms))).toEqual({ type: 'SharedMemory', name, size: 512 })

    sms.buf[0] = 42
    expect(sms.buf[0]).toBe(42)
    const also = new SharedMemory({ name })
    expect(also.buf[0]).toBe(42)
    also.close()
    const same = new SharedMemory({ name, size: 20 * sms.size }) // the size has no effect
    expect(same.size).toBe(sms.size)
    same.close()

    expect(codeOf(() => new SharedMemory({ create: true, size: -2 }))).toBe('ERR_OUT_OF_RANGE')
    expect(codeOf(() => new SharedMemory({ create: false }))).toBe('ERR_INVALID_ARG_TYPE')
    expect(codeOf(() => new SharedMemory({ name, create: true, size: 512 }))).toBe('EEXIST')
    expect(codeOf(() => new SharedMemory({ name: 'test01_notthere' }))).toBe('ENOENT')
    sms.close()
    sms.unlink()
  })

  it('unlink twice', () => {
    const name = newName('test01_dblunlink')
    const uno = new SharedMemory({ name, create: true, size: 5000 })
    const duo = new SharedMemory({ name })
    duo.unlink()
    duo.close()
    uno.close()
    expect(codeOf(() => uno.unlink())).toBe('ENOENT')
  })

  it('names of its own do not clash', () => {
    const many = Array.from({ length: 300 }, () => new SharedMemory({ create: true, size: 1 }))
    expect(new Set(many.map((sms) => sms.name)).size).toBe(300)
    for (const sms of many) {
      expect(sms.name).toMatch(/^psm_[0-9a-f]{8}$/)
      sms.close()
    }
  })

  it('invalid creation', () => {
    for (const size of [-1, 0, undefined, 1.5, Number.NaN])
      expect(codeOf(() => new SharedMemory({ create: true, size } as never))).toBe('ERR_OUT_OF_RANGE')
    for (const options of [
      { create: true, size: '1' },
      { create: 1 },
      { name: 5 },
      { name: 'a', track: 'no' },
      7,
      null,
    ])
      expect(codeOf(() => new SharedMemory(options as never))).toBe('ERR_INVALID_ARG_TYPE')
    for (const name of ['', '/', '.', '..', 'a/b', 'x'.repeat(256), 'ü'.repeat(128)])
      expect(codeOf(() => new SharedMemory({ name, create: true, size: 1 }))).toBe('ERR_INVALID_ARG_VALUE')
  })

  it('through a queue: it is the same memory', async () => {
    const queue = new mp.Queue()
    const sms = new SharedMemory({ create: true, size: 512 })
    sms.buf.set(Buffer.from('pickle'))
    await queue.put({ deep: [sms] })
    const sms2: mp.SharedMemory = (await queue.get()).deep[0]
    expect(sms2).toBeInstanceOf(SharedMemory)
    expect(sms2.name).toBe(sms.name)
    expect(String(Buffer.from(sms2.buf.subarray(0, 6)))).toBe('pickle')
    sms2.buf.set(Buffer.from('newval'))
    expect(String(Buffer.from(sms.buf.subarray(0, 6)))).toBe('newval')
    sms2.close()
    sms.close()
    queue.close()
  })

  it('through a queue, and removed meanwhile', async () => {
    const queue = new mp.Queue()
    const sms = new SharedMemory({ create: true, size: 512 })
    await queue.put(sms)
    sms.close()
    sms.unlink()
    await expect(queue.get()).rejects.toMatchObject({ cause: { code: 'ENOENT' } })
    queue.close()
  })

  it('across processes, by name and as an argument', async () => {
    const write = (nameOrObject: string | mp.SharedMemory, text: string) => {
      const local = typeof nameOrObject === 'string' ? new mp.SharedMemory({ name: nameOrObject }) : nameOrObject
      local.buf.set(Buffer.from(text))
      local.close()
    }
    const sms = new SharedMemory({ create: true, size: 512 })
    await run(write, sms.name, 'howdy')
    expect(String(Buffer.from(sms.buf.subarray(0, 5)))).toBe('howdy')
    await run(write, sms, 'HELLO')
    expect(String(Buffer.from(sms.buf.subarray(0, 5)))).toBe('HELLO')
    sms.close()
  })

  it.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)('its process is ended by %s', async (signal) => {
    const peer = program('console.log(new mp.SharedMemory({ create: true, size: 10 }).name)')
    const name = await peer.next()
    expect(exists(name)).toBe(true)
    peer.child.kill(signal)
    await peer.ended
    expect(codeOf(() => new SharedMemory({ name }))).toBe('ENOENT')
    expect(exists(name)).toBe(false)
  })

  it.each([true, false])('another program attaches it with track %s and ends: it stays', async (track) => {
    const sms = new SharedMemory({ create: true, size: 10 })
    const options = JSON.stringify({ name: sms.name, track })
    const peer = program(`const m = new mp.SharedMemory(${options}); console.log(m.size); m.close(); process.exit()`)
    expect(await peer.next()).toBe('10')
    await peer.ended
    new SharedMemory({ name: sms.name }).close()
    sms.close()
  })
})

describe('SharedMemoryManager', () => {
  it('basics', async () => {
    const smm1 = new SharedMemoryManager()
    smm1.start()
    const lists = [5, 6, 7].map((n) => smm1.ShareableList(Array.from({ length: n }, (_, i) => i)))
    const memories = [32, 48, 64].map((n) => smm1.SharedMemory(n))
    const list = new ShareableList({ name: lists[0]!.shm.name })
    expect(list.length).toBe(5)
    const memory = new SharedMemory({ name: memories[0]!.name })
    expect(memory.buf.length).toBe(32)
    for (const each of memories) each.close()
    expect(exists(memories[1]!.name)).toBe(true) // the manager has it yet
    smm1.shutdown()
    smm1.shutdown()
    expect(codeOf(() => new SharedMemory({ name: memories[0]!.name }))).toBe('ENOENT')
    expect(codeOf(() => smm1.SharedMemory(9))).toBe('ERR_MP_STATE')
    expect(codeOf(() => smm1.start())).toBe('ERR_MP_STATE')
    expect([...list]).toEqual([0, 1, 2, 3, 4])
    for (const each of [...lists, list]) each.shm.close()
    memory.close()

    const smm2 = new SharedMemoryManager()
    const howdy = smm2.ShareableList('howdy')
    expect([...howdy].join('')).toBe('howdy')
    await smm2[Symbol.asyncDispose]()
    expect(codeOf(() => new ShareableList({ name: howdy.shm.name }))).toBe('ENOENT')
    howdy.shm.close()
  })

  it('its process is interrupted: nothing is left', async () => {
    const code = `const smm = new mp.SharedMemoryManager(); console.log(smm.ShareableList([1, 2]).shm.name)`
    const peer = program(code)
    const name = await peer.next()
    peer.child.kill('SIGINT')
    await peer.ended
    expect(codeOf(() => new ShareableList({ name }))).toBe('ENOENT')
  })
})

describe('ShareableList', () => {
  it('basics', () => {
    const bytes = Buffer.from('HoWdY')
    const sl = new ShareableList<any>(['howdy', bytes, -273.154, 100, null, true, 42])
    expect(inspect(sl)).toContain(sl.shm.name)
    expect(inspect(sl)).toContain("'howdy'")
    for (const index of [7, -8, 0.5]) {
      expect(codeOf(() => sl.get(index))).toBe('ERR_OUT_OF_RANGE')
      expect(codeOf(() => sl.set(index, 2))).toBe('ERR_OUT_OF_RANGE')
    }
    sl.set(0, 'howdy')
    expect(sl.format).toBe('8s8sdqxxxxxx?xxxxxxxx?q')
    expect(sl.length).toBe(7)
    expect(sl.indexOf('100')).toBe(-1)
    expect(sl.indexOf(100)).toBe(3)
    expect(sl.indexOf(100n)).toBe(3)
    expect(sl.get(0)).toBe('howdy')
    expect(sl.get(-2)).toBe(true)
    expect([...sl]).toEqual(['howdy', new Uint8Array(bytes), -273.154, 100, null, true, 42])

    sl.set(3, 42)
    expect(sl.get(3)).toBe(42)
    sl.set(4, 'some')
    expect(sl.get(4)).toBe('some')
    expect(sl.format).toBe('8s8sdq8sxxxxxxx?q')
    expect(codeOf(() => sl.set(4, 'far too many'))).toBe('ERR_OUT_OF_RANGE')
    expect(sl.get(4)).toBe('some')
    sl.set(0, 'encodés') // 8 bytes of UTF-8
    expect(sl.get(0)).toBe('encodés')
    expect(sl.get(1)).toEqual(new Uint8Array(bytes))
    expect(codeOf(() => sl.set(0, 'encodées'))).toBe('ERR_OUT_OF_RANGE')
    expect(codeOf(() => sl.set(1, Buffer.from('123456789')))).toBe('ERR_OUT_OF_RANGE')
    expect(sl.get(1)).toEqual(new Uint8Array(bytes))
    expect(sl.count(42)).toBe(2)
    expect(sl.count(bytes)).toBe(1)
    expect(sl.count(Buffer.from('adios'))).toBe(0)

    const name = newName('test03_duplicate')
    const copy = new ShareableList(sl, { name })
    expect(copy.shm.name).toBe(name)
    expect([...copy]).toEqual([...sl])
    expect(copy.format).toBe(sl.format)
    copy.set(-1, 77)
    expect(copy.get(-1)).toBe(77)
    expect(sl.get(-1)).toBe(42)
    copy.shm.close()

    const tethered = new ShareableList<any>({ name: sl.shm.name })
    tethered.set(-1, 880)
    expect(sl.get(-1)).toBe(880)
    tethered.shm.close()
    sl.shm.close()
    expect(codeOf(() => sl.get(0))).toBe('ERR_MP_CLOSED')
    expect(codeOf(() => sl.set(0, 'a'))).toBe('ERR_MP_CLOSED')

    const empty = new ShareableList([])
    expect(empty.length).toBe(0)
    expect(empty.format).toBe('')
    expect(empty.count('any')).toBe(0)
    expect(empty.indexOf(null)).toBe(-1)
    empty.shm.close()
  })

  it('what the format cannot hold is refused', () => {
    const sl = new ShareableList<any>(['text', 1])
    for (const value of ['a\0', Buffer.from([1, 0]), '\ud800'])
      for (const call of [() => sl.set(0, value), () => new ShareableList([value])])
        expect(codeOf(call)).toBe('ERR_INVALID_ARG_VALUE')
    for (const value of [undefined, {}, [], Symbol('s'), new Float64Array(1)])
      expect(codeOf(() => sl.set(1, value))).toBe('ERR_INVALID_ARG_TYPE')
    expect(codeOf(() => sl.set(1, 2n ** 63n))).toBe('ERR_OUT_OF_RANGE')
    expect(codeOf(() => new ShareableList(['x'.repeat(10_000_000)]))).toBe('ERR_OUT_OF_RANGE')
    expect([...sl]).toEqual(['text', 1])
    sl.shm.close()
  })

  it('numbers come back as they were', () => {
    const values = [0, -0, 1.5, Number.NaN, -Infinity, 2 ** 53, 2 ** 53 - 1, -(2n ** 63n), 2n ** 63n - 1n, 1e300]
    const sl = new ShareableList(values)
    expect([...sl]).toEqual(values)
    sl.shm.close()
  })

  it('through a queue, and when it is gone', async () => {
    const queue = new mp.Queue()
    const sl = new ShareableList<any>([0, 1, 2, 3, 4])
    await queue.put(sl)
    const other: mp.ShareableList = await queue.get()
    expect(other).toBeInstanceOf(ShareableList)
    other.set(4, 'changed')
    expect(sl.get(4)).toBe('changed')
    await run((list: mp.ShareableList) => list.set(3, true), sl)
    expect(other.get(3)).toBe(true)
    other.shm.close()
    await queue.put(sl)
    sl.shm.close()
    sl.shm.unlink()
    await expect(queue.get()).rejects.toMatchObject({ cause: { code: 'ENOENT' } })
    queue.close()
  })

  it('what is no list is refused, whatever is in it', () => {
    const shm = new SharedMemory({ create: true, size: 64 })
    const words = new BigInt64Array(shm.buffer)
    const { name } = shm
    for (const content of [[-1n], [8n], [1n, 0n, -8n], [1n, 0n, 1000n], [2n ** 62n]]) {
      words.fill(0n)
      words.set(content)
      expect(codeOf(() => new ShareableList({ name }))).toBe('ERR_MP_CORRUPT')
    }
    words.set([1n, 0n, 8n])
    const list = new ShareableList({ name })
    words[4] = 0x73_39_39_39n // '999s'
    expect(codeOf(() => list.get(0))).toBe('ERR_MP_CORRUPT')
    words[1] = 1000n
    expect(codeOf(() => list.get(0))).toBe('ERR_MP_CORRUPT')
    list.shm.close()
    shm.close()
  })
})
