// npm run test:musl, npm run test:arm64: what can be tried of a Linux that is not this one. The C++ tests of the core, built for
// it by zig, under its own kernel interface (arm64: emulated by qemu); and the prebuilt addon's headers.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { here, root } from './prebuild/targets.mjs'
import { fromDebian, zig } from './prebuild/tools.mjs'

const kinds = {
  musl: { triple: 'x86_64-linux-musl', run: [], debian: {} },
  arm64: {
    triple: 'aarch64-linux-musl', // static: it needs nothing of an arm64 system
    run: ['qemu-aarch64-static'],
    debian: { 'qemu-user-static': 'qemu-aarch64-static' },
  },
}
const kind = process.argv[2]
if (!(kind in kinds)) {
  console.error(`which? ${Object.keys(kinds).join(', ')}`)
  process.exit(2)
}
const { triple, run, debian } = kinds[kind]
fromDebian({ cmake: 'cmake', 'ninja-build': 'ninja', binutils: 'ar', ...debian })

const folder = join(root, 'build-test', kind)
mkdirSync(folder, { recursive: true })
const env = { ...process.env, MULTIPROC_ZIG: zig(), MULTIPROC_TRIPLE: triple }
const options = [
  '-DMULTIPROC_TESTS=ON',
  `-DCMAKE_TOOLCHAIN_FILE=${join(here, 'zig.cmake')}`,
  '-DCMAKE_EXE_LINKER_FLAGS=-static -s',
]
for (const command of [
  ['cmake', '-S', root, '-B', folder, '-G', 'Ninja', ...options],
  ['cmake', '--build', folder, '--parallel', '2'],
])
  if (spawnSync(command[0], command.slice(1), { env, stdio: 'inherit' }).status !== 0) process.exit(1)

let [passed, failed] = [0, 0]
for (const name of readdirSync(folder).filter((name) => name.endsWith('_test'))) {
  const before = performance.now()
  const [command, ...args] = [...run, join(folder, name)]
  const { status, signal } = spawnSync(command, args, { stdio: 'inherit', timeout: 300_000, killSignal: 'SIGKILL' })
  const good = status === 0
  good ? passed++ : failed++
  console.log(
    `${kind} ${name}: ${good ? 'passed' : `failed (${signal ?? status})`}, ${Math.round(performance.now() - before)} ms`,
  )
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed > 0 || passed === 0 ? 1 : 0)
