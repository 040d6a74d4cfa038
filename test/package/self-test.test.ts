// The self-test that runs once on systems which nobody has tried: here by request.
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { addon, Place, run } from './places'

let place: Place
beforeEach(() => {
  place = new Place().install()
  cpSync(addon, join(place.package, 'build', 'Release', 'multiproc.node'))
  place.write('tmp/.keep', '')
  place.write(
    'program.cjs',
    `const { Process } = require('multiproc')
     const child = new Process({ target: () => console.log('child') })
     try { child.start() } catch (error) { console.log(error.name, error.code, error.message) }`,
  )
})
afterEach(() => place.remove())

const start = () =>
  run(place.folder, process.execPath, ['program.cjs'], {
    MULTIPROC_SELF_TEST: 'always',
    TMPDIR: join(place.folder, 'tmp'),
  })

it('passes, and is run once', async () => {
  expect(await start()).toEqual({ code: 0, stdout: 'child\n', stderr: '' })
  // Were it run again, it would fail.
  writeFileSync(join(place.package, 'dist', 'self-test.cjs'), 'throw new Error("run again")')
  expect(await start()).toEqual({ code: 0, stdout: 'child\n', stderr: '' })
})

it('nothing is started when it does not pass', async () => {
  writeFileSync(join(place.package, 'dist', 'self-test.cjs'), 'console.error("a lock let two in"); process.exit(1)')
  const { stdout } = await start()
  expect(stdout).toMatch(/^UnsupportedError ERR_MP_SELF_TEST .*\(exit code 1\): a lock let two in/)
})
