// The recipes of docs/deploying.md for bundlers, with esbuild; and what a program is told that was bundled with the package in it.
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { build, type Format } from 'esbuild'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Place, root, run } from './places'

let place: Place
beforeEach(() => {
  place = new Place()
  place.write('node_modules/.keep', '')
  symlinkSync(root, place.package, 'dir')
})
afterEach(() => place.remove())

const worker = `
export const greet = (name: string): void => console.log('hello', name)
export class Greeter { constructor(readonly name: string) {}; greet() { greet(this.name) } }`
const program = `
import { Pool, Process, Queue } from 'multiproc'
import { Greeter, greet } from './worker'
async function main(): Promise<void> {
  const captured = 'closure'
  const queue = new Queue<number>()
  const children = [
    new Process({ target: greet, args: ['function'] }),
    new Process({ target: () => greet(captured) }),
    new Process({ target: new Greeter('method').greet.bind(new Greeter('method')) }),
    new Process({ target: async () => { await queue.put(42) } }),
  ]
  for (const child of children) { child.start(); await child.join(); if (child.exitCode !== 0) throw new Error('exit code ' + child.exitCode) }
  console.log(await queue.get())
  const pool = new Pool(2)
  console.log((await pool.map((x: number) => x * x, [1, 2, 3])).join())
  await pool.terminate()
}
main()`

async function bundle(format: Format, external: string[]): Promise<string> {
  place.write('source/worker.ts', worker)
  const entry = place.write('source/program.ts', program)
  const outfile = join(place.folder, 'out', format === 'cjs' ? 'program.cjs' : 'program.mjs')
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format,
    external,
    sourcemap: true,
    logLevel: 'silent',
  })
  return outfile
}

for (const format of ['cjs', 'esm'] as const) {
  it(`a bundle (${format}) with the package external`, async () => {
    const outfile = await bundle(format, ['multiproc'])
    const { code, stdout, stderr } = await run(place.folder, process.execPath, [outfile])
    expect({ code, stderr, stdout }).toEqual({
      code: 0,
      stderr: '',
      stdout: 'hello function\nhello closure\nhello method\n42\n1,4,9\n',
    })
  })

  it(`a bundle (${format}) with the package in it says what is wrong`, async () => {
    const { code, stderr } = await run(place.folder, process.execPath, [await bundle(format, [])])
    expect(code).toBe(1)
    expect(stderr).toContain("Keep 'multiproc' external")
    expect(stderr).toContain("code: 'ERR_MP_NO_ADDON'")
  })
}
