// `npm run bench` in a short form: it takes figures and a curve, and writes what it should. How fast anything is, is not tested.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root } from '../docs/markdown'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'bench-test-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Ended {
  code: number
  stdout: string
  stderr: string
}

function bench(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolved) => {
    const program = join(root, 'bench/run.mjs')
    const options = { env: { ...process.env, NODE_OPTIONS: undefined, ...env } }
    const child = execFile(process.execPath, [program, ...args], options, (_error, stdout, stderr) =>
      resolved({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })
}

const numbers = { median: expect.any(Number), low: expect.any(Number), high: expect.any(Number) }

test('a figure and a curve: table, JSON and charts, and nothing is left behind', async () => {
  const [out, temporary] = [join(folder, 'out'), join(folder, 'tmp')]
  mkdirSync(temporary)
  const names = ['array', 'growth-waiters']
  const { code, stdout, stderr } = await bench([...names, '--quick', '--out', out], { TMPDIR: temporary })
  expect([0, 1], stderr).toContain(code) // 1: a bar was missed, as it may be on a busy machine
  expect(stdout).toContain('| `array` | SharedArray element read + write (ns) |')
  expect(stdout).toContain('| promises that wait | 1 | 100 |')

  const { machine, versions, figures, growth } = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8'))
  expect(machine).toMatchObject({ processors: expect.any(Number), model: expect.any(String) })
  expect(versions).toMatchObject({ node: process.versions.node, multiproc: expect.any(String) })
  expect(figures).toMatchObject([
    { name: 'array', group: 'sharing', unit: 'ns', bar: { most: 1.1 }, ours: numbers, peer: numbers },
  ])
  const [{ ours, peer, value, met, times }] = figures
  expect(value).toBeCloseTo(ours.median / peer.median)
  expect(met).toBe(value <= 1.1)
  expect(times.low).toBeLessThanOrEqual(times.high)
  expect(growth).toMatchObject([{ name: 'growth-waiters', x: { points: [1, 100] } }])
  for (const line of growth[0].lines) {
    expect(line.error, line.name).toBeNull()
    expect(line.values.wake).toMatchObject([numbers, numbers])
  }

  expect(readdirSync(out).sort()).toEqual(['figures.svg', 'growth-waiters.svg', 'results.json'])
  for (const name of ['figures.svg', 'growth-waiters.svg']) {
    const text = readFileSync(join(out, name), 'utf8')
    expect(text).toMatch(/^<svg .*<\/svg>\n$/s)
    expect(text).toContain('prefers-color-scheme:dark')
    expect(text).not.toMatch(/NaN|undefined|Infinity/)
  }
  expect(readdirSync(temporary)).toEqual([])
})

test('a peer that is not installed is named, and the figure is taken', async () => {
  const [out, path] = [join(folder, 'alone'), join(folder, 'bin')]
  mkdirSync(path)
  symlinkSync(process.execPath, join(path, 'node'))
  // No CPython anywhere: neither in the home folder nor on the path.
  const { code, stdout, stderr } = await bench(['value', '--quick', '--out', out], { HOME: folder, PATH: path })
  expect(code, stderr).toBe(0)
  expect(stdout).toContain('(not measured: python3 is not installed)')
  const { figures, versions } = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8'))
  expect(figures).toMatchObject([{ name: 'value', ours: numbers, peer: null, value: null, met: null }])
  expect(versions.python).toBeNull()
})

test('names: a wrong one says what there is, a group is all of its figures', async () => {
  const wrong = await bench(['speed'])
  expect(wrong).toMatchObject({ code: 2, stdout: '' })
  expect(wrong.stderr).toMatch(/there is no figure, group or curve "speed".*queue-int.*growth-messages/s)
  expect(await bench(['--fast'])).toMatchObject({ code: 2, stdout: '' })
  expect(await bench(['--rounds', '0'])).toMatchObject({ code: 2, stdout: '' })
  expect((await bench(['--list'])).stdout).toMatch(/^messages: pipe-bytes, .*^growth: growth-messages, /ms)
})
