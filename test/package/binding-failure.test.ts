// What a program is told when there is no addon for it, or one that cannot be loaded: in which case it is, and the way out.
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { addon, Place, run, system } from './places'

const program = `
const { Lock, UnsupportedError } = require('multiproc')
try {
  new Lock()
  console.log('loaded')
} catch (error) {
  console.log(error instanceof UnsupportedError, error.code, error.message)
}`

let place: Place
beforeEach(() => {
  place = new Place().install()
  place.write('program.cjs', program)
})
afterEach(() => place.remove())

async function said(env = {}): Promise<string> {
  const { code, stdout, stderr } = await run(place.folder, process.execPath, ['program.cjs'], env)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/^true ERR_MP_NO_ADDON multiproc: /)
  return stdout
}

it('a clone that was not built', async () => {
  const text = await said()
  expect(text).toContain(`no native addon for ${system}`)
  expect(text).toContain(`${place.package}/build/Release`)
  expect(text).toContain(`${place.package}/prebuilds/${system}`)
  expect(text).toContain("In a clone, run 'npm run build'")
})

it('binaries for other systems only', async () => {
  place.addon('prebuilds/win32-x64/multiproc.node')
  place.addon('prebuilds/darwin-arm64/multiproc.node')
  expect(await said()).toMatch(/binaries for darwin-arm64, win32-x64 only: .*copied from another system.*npm ci/)
})

it.runIf(process.platform === 'linux')('binaries for another C library only', async () => {
  place.addon(`prebuilds/${system}/multiproc.musl.node`)
  expect(await said({ LIBC: 'glibc' })).toMatch(/multiproc\.musl\.node, which is not for this C library/)
})

it('a system without prebuilt binaries', async () => {
  place.addon('prebuilds/win32-x64/multiproc.node')
  place.write(
    'program.cjs',
    `Object.defineProperty(process, 'platform', { value: 'freebsd' })\nrequire('node:os').platform = () => 'freebsd'\n${program}`,
  )
  expect(await said()).toMatch(/There are prebuilt binaries for linux-x64.*the addon has to be built/)
})

it('a file that is no addon of this system', async () => {
  place.addon(`prebuilds/${system}/multiproc.node`)
  const text = await said()
  expect(text).toContain(`${place.package}/prebuilds/${system}/multiproc.node cannot be loaded here`)
  expect(text).toMatch(/another (C library or another )?system/)
})

it.runIf(process.platform === 'linux')(
  'the addon of the other C library is tried when the first does not load',
  async () => {
    place.addon(`prebuilds/${system}/multiproc.musl.node`)
    place.addon(`prebuilds/${system}/multiproc.glibc.node`)
    expect(await said({ LIBC: 'musl' })).toContain('multiproc.musl.node cannot be loaded here')
    place.addon(`prebuilds/${system}/multiproc.glibc.node`, readFileSync(addon))
    const { stdout } = await run(place.folder, process.execPath, ['program.cjs'], { LIBC: 'musl' })
    expect(stdout).toBe('loaded\n')
  },
)
