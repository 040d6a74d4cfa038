// What is different on Windows: exit codes, start methods, shared memory by name, and what there is not.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import * as mp from 'multiproc'
import { describe, expect, it } from 'vitest'

const sleeps = () => new Promise((resolve) => setTimeout(resolve, 60_000))
let made = 0
const newName = () => `mp_windows_${process.pid}_${made++}`

describe.skipIf(process.platform !== 'win32')('on Windows', () => {
  it.each([
    ['terminate', 'SIGTERM', -15],
    ['kill', 'SIGKILL', -9],
  ] as const)('%s() ends a process at once, and its status says so', async (verb, signal, code) => {
    const seen = [false, true].map(async (sync) => {
      const child = new mp.Process({ target: sleeps })
      child.start()
      child[verb]()
      expect(sync ? child.joinSync() : await child.join()).toBe(true)
      expect([child.exitCode, child.exitSignal]).toEqual([code, signal])
    })
    await Promise.all(seen)
  })

  it('an exit code can be any that Windows has', async () => {
    const child = new mp.Process({ target: () => process.exit(3_000_000) })
    child.start()
    await child.join()
    expect(child.exitCode).toBe(3_000_000)
  })

  it('start method spawn only, and the others say why', () => {
    expect(mp.getAllStartMethods()).toEqual(['spawn'])
    for (const method of ['fork', 'forkserver'] as const) {
      expect(mp.startMethodStatus(method)).toEqual({
        available: false,
        reason: 'Windows has no way to copy a process',
      })
    }
    expect(() => mp.setStartMethod('fork', { force: true })).toThrow(mp.UnsupportedError)
    expect(() => new mp.Process({ target: sleeps }).interrupt()).toThrow(mp.UnsupportedError)
  })

  it('sockets and descriptors of node cannot be waited for', async () => {
    await expect(mp.wait([0])).rejects.toThrow(mp.UnsupportedError)
    const socket = new net.Socket()
    await expect(mp.wait([socket])).rejects.toThrow(mp.UnsupportedError)
    socket.destroy()
  })

  it('errors of the system have the codes that node has for them', () => {
    expect(() => new mp.SharedMemory({ name: newName() })).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  })

  it('a segment is there for as long as somebody has it open, also after its maker was killed', async () => {
    const name = newName()
    const ready = new mp.Event()
    const maker = new mp.Process({
      target: async (name: string, ready: mp.Event) => {
        const memory = new mp.SharedMemory({ name, create: true, size: 5000 })
        memory.buf[4999] = 42
        ready.set()
        await new Promise((resolve) => setTimeout(resolve, 60_000))
      },
      args: [name, ready] as const,
    })
    maker.start()
    expect(await ready.wait({ timeout: 20_000 })).toBe(true)
    const memory = new mp.SharedMemory({ name })
    expect(memory.size).toBe(8192) // whole pages
    maker.kill()
    await maker.join()
    expect(memory.buf[4999]).toBe(42)
    const another = new mp.SharedMemory({ name })
    another.buf[0] = 7
    expect(memory.buf[0]).toBe(7)
    another.close()
    memory.close()
    expect(() => new mp.SharedMemory({ name })).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  })

  it('a name is taken while it is used', () => {
    const name = newName()
    const memory = new mp.SharedMemory({ name, create: true, size: 10 })
    expect(() => new mp.SharedMemory({ name, create: true, size: 10 })).toThrow(
      expect.objectContaining({ code: 'EEXIST' }),
    )
    memory.unlink()
    memory.close()
    new mp.SharedMemory({ name, create: true, size: 10 }).close()
  })

  it('shared memory travels to a child', async () => {
    const memory = new mp.SharedMemory({ create: true, size: 100 })
    const child = new mp.Process({
      target: (m: mp.SharedMemory) => {
        m.buf[0]! += 1
        m.close()
      },
      args: [memory] as const,
    })
    memory.buf[0] = 41
    child.start()
    await child.join()
    expect(child.exitCode).toBe(0)
    expect(memory.buf[0]).toBe(42)
    memory.close()
  })

  it('children of a killed process end, too', async () => {
    const pids = new mp.Queue<number>()
    const parent = new mp.Process({
      target: async (pids: mp.Queue<number>) => {
        const child = new mp.Process({
          target: () => new Promise((resolve) => setTimeout(resolve, 60_000)),
          daemon: true,
        })
        child.start()
        pids.putSync(child.pid!)
        await new Promise((resolve) => setTimeout(resolve, 60_000))
      },
      args: [pids] as const,
    })
    parent.start()
    const orphan = await pids.get()
    parent.kill()
    await parent.join()
    const deadline = performance.now() + 20_000
    const lives = () => {
      try {
        return process.kill(orphan, 0)
      } catch {
        return false
      }
    }
    while (lives() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(lives()).toBe(false)
  })

  it('a program that is killed from outside takes its children with it', async () => {
    const program = `const { Process } = require('multiproc')
      const child = new Process({ target: () => new Promise((r) => setTimeout(r, 60000)) })
      child.start()
      console.log(child.pid)`
    const parent: ChildProcess = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = await once(parent.stdout!, 'data')
    const pid = Number(String(line))
    parent.kill()
    await once(parent, 'exit')
    const deadline = performance.now() + 20_000
    const lives = () => {
      try {
        return process.kill(pid, 0)
      } catch {
        return false
      }
    }
    while (lives() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(lives()).toBe(false)
  })
})
