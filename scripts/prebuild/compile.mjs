#!/usr/bin/env node
// What prebuildify calls in place of node-gyp, in a folder of the target's own. Its arguments are node-gyp's: ignored.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { here, root } from './targets.mjs'

const { status } = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules', 'cmake-js', 'bin', 'cmake-js'),
    'rebuild',
    `--directory=${root}`,
    `--out=${join(process.cwd(), 'build')}`,
    `--arch=${process.env.PREBUILD_ARCH}`,
    `--CDCMAKE_TOOLCHAIN_FILE=${join(here, process.env.MULTIPROC_TOOLCHAIN)}`,
    ...(process.env.PREBUILD_PLATFORM === 'linux' ? ['--CDMULTIPROC_LTO=ON'] : []), // zig's linker has it for ELF only
    '--parallel=2',
  ],
  { stdio: 'inherit' },
)
process.exit(status ?? 1)
