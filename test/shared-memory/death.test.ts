// Killing at random: programs that make, attach and close segments of a few names, killed at any instruction and started again.
//
//   each program   name: make it, or attach it if it is there · write and read · close, or keep it open till killed
//   here           one segment that is held all the time: it must never lose its name
//
// Nobody sees half of a segment, nobody crashes, and nothing is left in /dev/shm.
import { readdirSync } from 'node:fs'
import * as mp from 'multiproc'
import { expect, it } from 'vitest'
import { seeded } from '../sync/fuzz'
import { exists, newName, program } from './tools'

const KILLS = Number(process.env.MULTIPROC_KILLS ?? 60)

it(`${KILLS} kills of programs that share segments by name`, { timeout: 60_000 + KILLS * 1000 }, async () => {
  const random = seeded('shared memory by name')
  const prefix = newName('fuzz')
  const held = new mp.SharedMemory({ name: `${prefix}_held`, create: true, size: 4096 })
  held.buf.fill(7)
  const body = `
    const names = ['0', '1', '2', 'held'].map((n) => '${prefix}_' + n)
    const kept = []
    for (let round = 0; ; round++) {
      if (round === 20) console.log('at work')
      const name = names[Math.floor(Math.random() * names.length)]
      let memory
      try {
        const create = Math.random() < 0.5
        memory = new mp.SharedMemory({ name, create, size: 4096 })
      } catch (error) {
        const whole = name.endsWith('held') ? ['EEXIST'] : ['EEXIST', 'ENOENT']
        if (!whole.includes(error.code)) console.log('WRONG', name, error.stack)
        continue
      }
      if (memory.size !== 4096) console.log('WRONG size', memory.size)
      if (name.endsWith('held') && memory.buf[100] !== 7) console.log('WRONG content', memory.buf[100])
      memory.buf[0] = memory.buf[4095] = 7
      if (Math.random() < 0.1 && kept.length < 20) kept.push(memory)
      else memory.close()
      if (kept.length > 0 && Math.random() < 0.1) kept.pop().close()
    }`
  for (let killed = 0; killed < KILLS; ) {
    const crowd = Array.from({ length: 4 }, () => program(body))
    for (const each of crowd) expect(await each.next()).toBe('at work')
    for (const each of crowd) {
      await new Promise((resolve) => setTimeout(resolve, random() * 20))
      each.child.kill('SIGKILL')
      killed++
    }
    for (const each of crowd) {
      expect(await each.next()).toBe('(it has ended)')
      await each.ended
    }
    expect(exists(held.name)).toBe(true)
    new mp.SharedMemory({ name: held.name }).close()
  }
  held.close()
  const last = program(`new mp.SharedMemory({ create: true, size: 1 }).close(); console.log('swept')`)
  expect(await last.next()).toBe('swept')
  last.child.stdin!.end()
  await last.ended
  expect(readdirSync('/dev/shm').filter((name) => name.startsWith(prefix))).toEqual([])
})
