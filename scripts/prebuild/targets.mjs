// Every binary that a release holds, and with what it is built.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const here = dirname(fileURLToPath(import.meta.url))
export const root = join(here, '..', '..')
export const prebuilds = join(root, 'prebuilds')
export const manifestFile = join(prebuilds, 'manifest.json')

/** The newest symbols of glibc that a binary may need: those of Debian 10, RHEL 8, Ubuntu 18.10. */
export const glibc = '2.28'
export const maxBytes = 500_000

const zig = (triple, rest) => ({ toolchain: 'zig.cmake', triple, ...rest })
export const targets = {
  'linux-x64': zig(`x86_64-linux-gnu.${glibc}`, { platform: 'linux', arch: 'x64', libc: 'glibc' }),
  'linux-arm64': zig(`aarch64-linux-gnu.${glibc}`, { platform: 'linux', arch: 'arm64', libc: 'glibc' }),
  'linux-x64-musl': zig('x86_64-linux-musl', { platform: 'linux', arch: 'x64', libc: 'musl' }),
  'linux-arm64-musl': zig('aarch64-linux-musl', { platform: 'linux', arch: 'arm64', libc: 'musl' }),
  'darwin-x64': zig('x86_64-macos.11.0', { platform: 'darwin', arch: 'x64' }),
  'darwin-arm64': zig('aarch64-macos.11.0', { platform: 'darwin', arch: 'arm64' }),
  'win32-x64': { toolchain: 'mingw.cmake', platform: 'win32', arch: 'x64' },
}

/** Where node-gyp-build looks for it. */
export function fileOf(name) {
  const { platform, arch, libc } = targets[name]
  return join(prebuilds, `${platform}-${arch}`, libc === undefined ? 'multiproc.node' : `multiproc.${libc}.node`)
}

/** The source files that a target is made of, by path. */
export function sourcesOf(name) {
  const { platform, toolchain } = targets[name]
  const others = ['linux', 'darwin', 'win32', 'posix'].filter(
    (system) => system !== platform && !(system === 'posix' && platform !== 'win32'),
  )
  const native = readdirSync(join(root, 'native'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((path) => !/^native\/(test|model)\//.test(path) && !others.some((system) => path.includes(`/${system}/`)))
  return ['CMakeLists.txt', `scripts/prebuild/${toolchain}`, ...native].sort()
}

/** Changes when anything changes that a binary is made of. */
export function hashOf(name) {
  const hash = createHash('sha256').update(JSON.stringify(targets[name]))
  for (const path of sourcesOf(name))
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0')
  for (const dependency of ['node-addon-api', 'node-api-headers'])
    hash.update(
      `${dependency}@${JSON.parse(readFileSync(join(root, 'node_modules', dependency, 'package.json'))).version}`,
    )
  return hash.digest('hex')
}
export const sha256 = (file) => createHash('sha256').update(readFileSync(file)).digest('hex')

export function manifest() {
  try {
    return JSON.parse(readFileSync(manifestFile, 'utf8'))
  } catch (error) {
    if (error.code === 'ENOENT') return {}
    throw error
  }
}
