// How long a segment lives: as long as one of its holders, in whatever process, however they end; and never a moment less.
import { execFileSync } from 'node:child_process'
import { Worker } from 'node:worker_threads'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { codeOf, exists, left, newName, program } from './tools'

const { SharedMemory } = mp
const root = new URL('../..', import.meta.url).pathname

afterEach(async () => {
  expect(mp.activeChildren()).toEqual([])
  await expect.poll(left).toEqual([])
})

const attach = (name: string) =>
  `const m = new mp.SharedMemory({ name: ${JSON.stringify(name)} }); console.log('has it'); `

describe('the last one out removes it', () => {
  it('in one process', () => {
    const a = new SharedMemory({ name: newName('a'), create: true, size: 100 })
    const b = new SharedMemory({ name: a.name })
    a.close()
    expect(exists(b.name)).toBe(true)
    const c = new SharedMemory({ name: b.name })
    b.close()
    c.close()
    expect(exists(a.name)).toBe(false)
    a.unlink() // as Python's programs do after close()
    expect(codeOf(() => a.unlink())).toBe('ENOENT')
  })

  it.each(['stdin', 'SIGKILL'])('another program, after its maker (its end: %s)', async (how) => {
    const a = new SharedMemory({ name: newName('a'), create: true, size: 100 })
    const peer = program(attach(a.name))
    expect(await peer.next()).toBe('has it')
    a.close()
    expect(exists(a.name)).toBe(true)
    if (how === 'stdin') peer.child.stdin!.end()
    else peer.child.kill(how as NodeJS.Signals)
    await peer.ended
    if (how === 'SIGKILL') expect(codeOf(() => new SharedMemory({ name: a.name }))).toBe('ENOENT')
    expect(exists(a.name)).toBe(false)
  })

  it('its maker is killed while another has it', async () => {
    const maker = program('console.log(new mp.SharedMemory({ create: true, size: 10 }).name)')
    const name = await maker.next()
    const here = new SharedMemory({ name })
    maker.child.kill('SIGKILL')
    await maker.ended
    const sweeper = program('new mp.SharedMemory({ create: true, size: 1 }).close(); console.log("swept")')
    expect(await sweeper.next()).toBe('swept')
    sweeper.child.stdin!.end()
    await sweeper.ended
    here.buf[0] = 1
    new SharedMemory({ name }).close()
    here.close()
    expect(exists(name)).toBe(false)
  })

  it('what a killed program left is swept by the next one that uses shared memory by name', async () => {
    const killed = program('console.log(new mp.SharedMemory({ create: true, size: 10 }).name)')
    const name = await killed.next()
    killed.child.kill('SIGKILL')
    await killed.ended
    const next = program('new mp.SharedMemory({ create: true, size: 1 }).close(); console.log("swept")')
    expect(await next.next()).toBe('swept')
    expect(exists(name)).toBe(false)
    next.child.stdin!.end()
    await next.ended
  })

  it('what a killed child left is swept by its parent', async () => {
    const queue = new mp.Queue<string>()
    const child = new mp.Process({
      target: (q: mp.Queue<string>) => {
        q.putSync(new mp.SharedMemory({ create: true, size: 10 }).name)
        setInterval(() => {}, 1000)
      },
      args: [queue],
    })
    child.start()
    const name = await queue.get()
    expect(exists(name)).toBe(true)
    child.kill()
    await child.join()
    child.close()
    expect(exists(name)).toBe(false)
    queue.close()
  })

  it.each([
    ['process.exit()', 'process.exit(3)'],
    ['an uncaught error', 'process.on("uncaughtException", () => process.exit(1)); throw new Error("meant")'],
    ['the end of its loop', 'process.stdin.destroy()'],
  ])('a program ends by %s without close()', async (_, end) => {
    const code = `console.log(new mp.SharedMemory({ create: true, size: 10 }).name); setImmediate(() => { ${end} })`
    const peer = program(code)
    const name = await peer.next()
    await peer.ended
    expect(exists(name)).toBe(false)
  })

  it('a worker thread ends, in order or not, without close()', async () => {
    for (const how of ['end', 'terminate'] as const) {
      const a = new SharedMemory({ name: newName('w'), create: true, size: 10 })
      const worker = new Worker(
        `const mp = require(${JSON.stringify(root)}); const { parentPort } = require('node:worker_threads')
         globalThis.m = new mp.SharedMemory({ name: ${JSON.stringify(a.name)} }); m.buf[0] = 5
         parentPort.postMessage('has it'); parentPort.once('message', () => process.exit())`,
        { eval: true },
      )
      await new Promise((resolve) => worker.once('message', resolve))
      expect(a.buf[0]).toBe(5)
      a.close()
      expect(exists(a.name)).toBe(true)
      const ended = new Promise((resolve) => worker.once('exit', resolve))
      if (how === 'end') worker.postMessage('end')
      else void worker.terminate()
      await ended
      expect(exists(a.name)).toBe(false)
    }
  })

  it('a message holds it; received, its receiver does', async () => {
    const queue = new mp.Queue<mp.SharedMemory>()
    const a = new SharedMemory({ name: newName('a'), create: true, size: 100 })
    a.buf[7] = 7
    await queue.put(a)
    a.close()
    expect(exists(a.name)).toBe(true)
    const b = await queue.get()
    expect(b.buf[7]).toBe(7)
    b.close()
    expect(exists(a.name)).toBe(false)
    queue.close()
  })

  it('an argument holds it until the child has it', async () => {
    const a = new SharedMemory({ name: newName('a'), create: true, size: 100 })
    const queue = new mp.Queue<number>()
    a.buf[7] = 7
    const child = new mp.Process({
      target: async (m: mp.SharedMemory, q: mp.Queue<number>) => q.put(m.buf[7]!),
      args: [a, queue],
    })
    child.start()
    a.close()
    expect(await queue.get()).toBe(7)
    await child.join()
    child.close()
    expect(exists(a.name)).toBe(false)
    queue.close()
  })

  it('toHandle and fromHandle', () => {
    const a = new SharedMemory({ name: newName('a'), create: true, size: 100 })
    const handle = mp.toHandle(a)
    const b = mp.fromHandle<mp.SharedMemory>(handle)
    b.buf[0] = 3
    expect(a.buf[0]).toBe(3)
    a.close()
    b.close()
    expect(codeOf(() => mp.fromHandle(handle))).toBe('ERR_MP_SERIALIZATION')
    const other = new SharedMemory({ name: a.name, create: true, size: 100 })
    expect(() => mp.fromHandle(handle)).toThrow('another has its name now')
    other.close()
  })
})

describe('track: false', () => {
  it('it stays until somebody unlinks it', async () => {
    const name = newName('untracked')
    const maker = program(
      `new mp.SharedMemory({ name: '${name}', create: true, size: 10, track: false }); console.log(1)`,
    )
    await maker.next()
    maker.child.kill('SIGKILL')
    await maker.ended
    const a = new SharedMemory({ name })
    a.close()
    expect(exists(name)).toBe(true)
    a.unlink()
    expect(exists(name)).toBe(false)
    expect(codeOf(() => a.unlink())).toBe('ENOENT')
  })

  it('of one who attaches: does not count, and does not remove', () => {
    const a = new SharedMemory({ name: newName('a'), create: true, size: 10 })
    const b = new SharedMemory({ name: a.name, track: false })
    b.close()
    expect(exists(a.name)).toBe(true)
    const c = new SharedMemory({ name: a.name, track: false })
    a.close()
    expect(exists(a.name)).toBe(false)
    c.buf[0] = 1 // the memory is there as long as somebody has it
    c.close()
  })
})

describe('close and unlink', () => {
  it('all views have length 0, and nobody crashes', () => {
    const a = new SharedMemory({ create: true, size: 64 })
    const { buffer, buf } = a
    const doubles = a.as('d')
    const view = new DataView(buffer)
    const part = buf.subarray(8, 16)
    a.close()
    a.close()
    for (const each of [buf, doubles, part]) expect(each.length).toBe(0)
    expect(buffer.byteLength).toBe(0)
    expect(a.size).toBe(0)
    expect(() => view.getInt8(0)).toThrow(TypeError)
    doubles[0] = 5
    expect(doubles[0]).toBeUndefined()
    expect(codeOf(() => a.as('d'))).toBe('ERR_MP_CLOSED')
    expect(() => mp.toHandle(a)).toThrow(mp.ClosedError)
  })

  it('the buffer cannot be moved', () => {
    const a = new SharedMemory({ create: true, size: 64 })
    try {
      structuredClone(a.buffer, { transfer: [a.buffer] }) // Node 20 copies, later ones throw
    } catch {}
    if ('transfer' in ArrayBuffer.prototype) expect(() => (a.buffer as any).transfer()).toThrow(mp.StateError)
    expect(a.buf.length).toBe(64)
    a.close()
  })

  it('a later segment of the same name is not touched by a handle of the former one', () => {
    const name = newName('again')
    const first = new SharedMemory({ name, create: true, size: 10 })
    const copy = new SharedMemory({ name })
    first.unlink()
    const second = new SharedMemory({ name, create: true, size: 20 })
    expect(codeOf(() => copy.unlink())).toBe('ENOENT')
    first.close()
    copy.close()
    const third = new SharedMemory({ name })
    expect(third.size).toBe(20)
    third.close()
    second.close()
  })

  it('whoever never closes: attached ones are closed by the collector, a made one stays', async () => {
    const name = newName('kept')
    const peer = program(`
      require('node:v8').setFlagsFromString('--expose-gc')
      const gc = require('node:vm').runInNewContext('gc')
      const open = () => require('node:fs').readFileSync('/proc/self/maps', 'utf8').match(/\\/dev\\/shm\\//g)?.length ?? 0
      ;(() => new mp.SharedMemory({ name: '${name}', create: true, size: 10 }))()
      for (let i = 0; i < 50; i++) new mp.SharedMemory({ name: '${name}' })
      console.log(open())
      const look = () => (gc(), open() > 1) ? setImmediate(look) : console.log(open(), new mp.SharedMemory({ name: '${name}' }).size)
      setImmediate(look)`)
    expect(await peer.next()).toBe('51')
    expect(await peer.next()).toBe('1 10')
    peer.child.stdin!.end()
    await peer.ended
    expect(exists(name)).toBe(false)
  })
})

describe('space', () => {
  it('more than there is: ENOSPC at once', () => {
    for (const size of [2 ** 50, Number.MAX_SAFE_INTEGER])
      expect(codeOf(() => new SharedMemory({ name: newName('big'), create: true, size }))).toBe('ENOSPC')
  })

  it('above ulimit -f: EFBIG, and the process goes on', async () => {
    const code = `try { new mp.SharedMemory({ create: true, size: 2 ** 21 }) } catch (error) { console.log(error.code) }`
    const peer = program(code, 'ulimit -f 1024')
    expect(await peer.next()).toBe('EFBIG')
    peer.child.stdin!.end()
    await peer.ended
  })

  const own = ['unshare', '-rm', 'sh', '-c'] as const
  const canMount = (() => {
    try {
      execFileSync(own[0], [...own.slice(1), 'mount -t tmpfs -o size=1m none /dev/shm'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })()
  it.skipIf(!canMount)('a full /dev/shm: ENOSPC, and what was made can be filled', () => {
    const code = `
      const mp = require(${JSON.stringify(root)})
      const made = []
      try {
        for (;;) made.push(new mp.SharedMemory({ create: true, size: 100_000 }))
      } catch (error) {
        console.log(made.length, error.code)
      }
      for (const each of made) each.buf.fill(1)
      try {
        new mp.SharedMemory({ name: 'none', create: true, size: 900_000 })
      } catch (error) {
        console.log(error.code, require('node:fs').existsSync('/dev/shm/none'))
      }
      made.pop().close()
      new mp.SharedMemory({ create: true, size: 100_000 }).buf.fill(2)`
    const out = execFileSync(
      own[0],
      [...own.slice(1), 'mount -t tmpfs -o size=1m none /dev/shm && exec "$@"', 'sh', process.execPath, '-e', code],
      { encoding: 'utf8' },
    )
    expect(out.trim()).toBe('10 ENOSPC\nENOSPC false')
  })
})

describe('as', () => {
  it('arrays of every type on the memory', () => {
    const a = new SharedMemory({ create: true, size: 50 })
    const doubles = a.as('float64')
    expect(doubles).toBeInstanceOf(Float64Array)
    expect(doubles.length).toBe(6)
    expect(doubles.buffer).toBe(a.buffer)
    expect(a.as('i', { shape: 3 }).length).toBe(3)
    expect(a.as('bool', { shape: [2] })).toBeInstanceOf(Uint8Array)
    const rows = a.as('int16', { shape: [2, 3] })
    rows[1]![2] = 9
    expect(a.as('int16')[5]).toBe(9)
    const deep = a.as('uint8', { shape: [2, 2, 2] }) as any
    deep[1][0][1] = 4
    expect(a.buf[5]).toBe(4)
    const points = a.as(mp.struct({ x: 'float32', y: 'float32' }))
    expect(points.length).toBe(6)
    points.set(1, { x: 1, y: 2 })
    expect(a.as('f')[3]).toBe(2)
    expect(codeOf(() => a.as('d', { shape: 7 }))).toBe('ERR_OUT_OF_RANGE')
    expect(codeOf(() => a.as('d', { shape: [-1, 2] }))).toBe('ERR_OUT_OF_RANGE')
    expect(codeOf(() => a.as('d', { shape: [] as never }))).toBe('ERR_INVALID_ARG_TYPE')
    expect(codeOf(() => a.as('x' as never))).toBe('ERR_INVALID_ARG_VALUE')
    a.close()
  })
})
