// With CPython, both ways: each side attaches what the other made.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { seeded } from '../sync/fuzz'
import { codeOf, exists, left, newName, python } from './tools'

const path = python()
const script = fileURLToPath(new URL('../fixtures/shared-memory/peer.py', import.meta.url))

type Command = (...command: unknown[]) => Promise<any>
/** A CPython that does what it is told. */
async function withPython(body: (command: Command) => Promise<void>): Promise<void> {
  const child = spawn(path!, [script], { stdio: ['pipe', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const ended = once(child, 'close')
  try {
    await body(async (...command) => {
      child.stdin.write(`${JSON.stringify(command)}\n`)
      const { value, error } = JSON.parse((await lines.next()).value ?? '{ "error": "it has ended" }')
      if (error !== undefined) throw new Error(error)
      return value
    })
  } finally {
    child.stdin.end()
    await ended
  }
  expect(stderr).toBe('')
}

const plain = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? { bytes: [...value] }
    : typeof value === 'bigint' || (Number.isInteger(value) && !Object.is(value, -0) && Number.isSafeInteger(value))
      ? { int: String(value) }
      : value

afterEach(async () => await expect.poll(left).toEqual([]))

describe.skipIf(path === undefined)('CPython', () => {
  it('attaches ours, and we attach its', async () => {
    await withPython(async (command) => {
      const ours = new mp.SharedMemory({ name: newName('ours'), create: true, size: 8000 })
      const doubles = ours.as('float64').fill(1.5)
      expect(await command('attach', ours.name)).toBe(8000)
      expect(await command('doubles', ours.name)).toBe(1500)
      expect(doubles[0]).toBe(1500)
      await command('close', ours.name)

      const name = newName('theirs')
      expect(await command('create', name, 1000)).toEqual([name, 1000])
      const theirs = new mp.SharedMemory({ name })
      expect(theirs.size).toBe(1000)
      theirs.buf.set([1, 2, 3], 997)
      expect(await command('read', name, 996, 4)).toEqual([0, 1, 2, 3])
      await command('write', name, 0, [9, 8])
      expect([...theirs.buf.subarray(0, 3)]).toEqual([9, 8, 0])
      await expect(command('create', ours.name, 5)).rejects.toThrow('FileExistsError')
      expect(codeOf(() => new mp.SharedMemory({ name, create: true, size: 5 }))).toBe('EEXIST')
      theirs.close()
      expect(exists(name)).toBe(true) // not ours to remove
      await command('unlink', name)
      ours.close()
      await expect(command('attach', ours.name)).rejects.toThrow('FileNotFoundError')
    })
  })

  it('a segment that it uses is removed by name only', async () => {
    await withPython(async (command) => {
      const ours = new mp.SharedMemory({ create: true, size: 100 })
      await command('attach', ours.name)
      ours.buf[0] = 77
      ours.close()
      expect(exists(ours.name)).toBe(false)
      expect(await command('read', ours.name, 0, 1)).toEqual([77])
      const kept = new mp.SharedMemory({ create: true, size: 100, track: false })
      kept.close()
      expect(await command('attach', kept.name)).toBe(100)
      await command('unlink', kept.name)
    })
  })

  it('1,000 lists each way', async () => {
    const next = seeded('lists')
    const random = (below: number) => Math.floor(next() * below)
    const letters = ['a', 'b', 'ü', '€', '😀', ' ']
    const text = () => Array.from({ length: random(20) }, () => letters[random(letters.length)]).join('')
    const anything = (): mp.ShareableValue =>
      [
        () => random(1000) - 500,
        () => (BigInt(random(2 ** 30)) << 33n) - 2n ** 62n,
        () => random(1e6) / 7,
        () => -0.5,
        () => random(2) === 1,
        () => null,
        text,
        () => Uint8Array.from({ length: random(20) }, () => 1 + random(255)),
      ][random(8)]!()
    await withPython(async (command) => {
      for (let round = 0; round < 1000; round++) {
        const values = Array.from({ length: random(12) }, anything)
        const ours = new mp.ShareableList<any>(values, { name: newName('list') })
        expect(await command('list-attach', ours.shm.name)).toEqual([ours.format, values.map(plain)])
        for (let i = 0; i < values.length; i++) {
          const value = anything()
          if (codeOf(() => ours.set(i, value)) === undefined) values[i] = value
        }
        expect(await command('list-get', ours.shm.name)).toEqual([ours.format, values.map(plain)])
        await command('list-close', ours.shm.name)
        ours.shm.close()

        // Its own texts must not have more bytes than characters, or it cuts them off.
        const ascii = Array.from({ length: random(12) }, anything).map((v) =>
          typeof v === 'string' ? v.replace(/[^ab ]/gu, 'c') : v,
        )
        const name = newName('theirs')
        const [format] = await command('list', name, ascii.map(plain))
        const theirs = new mp.ShareableList<any>({ name })
        expect([...theirs].map(plain)).toEqual(ascii.map(plain))
        expect(theirs.format).toBe(format)
        const copy = new mp.ShareableList(ascii)
        expect(copy.format).toBe(format)
        copy.shm.close()
        if (ascii.length > 0) {
          await command('list-set', name, 0, { int: '-5' })
          expect(theirs.get(0)).toBe(-5)
        }
        theirs.shm.close()
        await command('list-unlink', name)
      }
    })
  })
})
