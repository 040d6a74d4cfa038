// npm run test:musl, npm run test:arm64: what can be tried of a Linux that is not this one. The C++ tests of the core, built for
// it by zig, under its own kernel interface (arm64: emulated by qemu); and the prebuilt addon's headers.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { here, root } from './prebuild/targets.mjs'
import { fromDebian, zigFor } from './prebuild/tools.mjs'

/** What qemu's user mode does not do: walk the robust list of a thread that was killed, and so mark its life word. */
const deaths = [
  'the_last_holder_of_an_end_ends_the_other_one',
  'a_writer_killed_at_every_step_leaves_each_message_whole_or_not_at_all',
  'a_reader_killed_at_every_step_loses_nothing',
  'a_writer_of_a_dictionary_killed_at_every_step_leaves_the_old_or_the_new',
  'a_writer_of_a_list_killed_at_every_step_leaves_the_old_or_the_new',
  'death_at_every_step_leaves_the_lists_sound_and_nothing_held',
  'the_dead_and_the_blocked_are_seen',
  'the_dead_hand_over_and_say_so',
  'killed_holders_and_waiters_never_stop_the_others',
]
const kinds = {
  musl: { triple: 'x86_64-linux-musl', run: [], leaveOut: [], debian: {} },
  arm64: {
    triple: 'aarch64-linux-musl', // static: it needs nothing of an arm64 system
    run: ['qemu-aarch64-static'],
    leaveOut: deaths,
    debian: { 'qemu-user-static': 'qemu-aarch64-static' },
  },
}
const kind = process.argv[2]
if (!(kind in kinds)) {
  console.error(`which? ${Object.keys(kinds).join(', ')}`)
  process.exit(2)
}
const { triple, run, leaveOut, debian } = kinds[kind]
fromDebian({ cmake: 'cmake', 'ninja-build': 'ninja', binutils: 'ar', ...debian })

const folder = join(root, 'build-test', kind)
mkdirSync(folder, { recursive: true })
const env = { ...process.env, ...zigFor(triple) }
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

let [passed, failed, skipped] = [0, 0, 0]
for (const name of readdirSync(folder).filter((name) => name.endsWith('_test'))) {
  const before = performance.now()
  const [command, ...args] = [...run, join(folder, name)]
  const { status, signal, stdout } = spawnSync(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    env: { ...process.env, LEAVE_OUT: `,${leaveOut.join(',')},` },
    timeout: 600_000,
    killSignal: 'SIGKILL',
  })
  process.stdout.write(stdout)
  const names = stdout.match(/^ {2}\w+.*$/gm) ?? []
  const out = names.filter((line) => line.endsWith(': left out')).length
  const bad = status === 0 ? 0 : 1 // the last that was begun; what would have followed is not counted
  passed += names.length - out - bad
  failed += bad
  skipped += out
  const how = status === 0 ? 'good' : `failed (${signal ?? status})`
  console.log(`${kind} ${name}: ${how}, ${Math.round(performance.now() - before)} ms`)
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
process.exit(failed > 0 || passed === 0 ? 1 : 0)
