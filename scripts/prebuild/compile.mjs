#!/usr/bin/env node
// What prebuildify calls in place of node-gyp, in a folder of the target's own. Its arguments are node-gyp's: ignored.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { here, root } from './targets.mjs'

const out = join(process.cwd(), 'build')
run(process.execPath, [
  join(root, 'node_modules', 'cmake-js', 'bin', 'cmake-js'),
  'rebuild',
  `--directory=${root}`,
  `--out=${out}`,
  `--arch=${process.env.PREBUILD_ARCH}`,
  `--CDCMAKE_TOOLCHAIN_FILE=${join(here, process.env.MULTIPROC_TOOLCHAIN)}`,
  ...(process.env.PREBUILD_PLATFORM === 'linux' ? ['--CDMULTIPROC_LTO=ON'] : []), // zig's linker has it for ELF only
  '--parallel=2',
])
// Zig's linker leaves the names of all functions in. LLVM's strip signs anew what was signed.
if (process.env.PREBUILD_PLATFORM === 'darwin') run('llvm-strip', ['-x', join(out, 'Release', 'multiproc.node')])

function run(command, args) {
  const { status } = spawnSync(command, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
