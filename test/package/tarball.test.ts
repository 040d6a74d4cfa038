// The packed package as its users get it: installed into an empty folder with no install scripts, and run with no compiler on
// PATH from an ES module, CommonJS and TypeScript. Needs the prebuilt binary of this system: npm run prebuild -- TARGET.
import { execFileSync, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { programsOf } from '../docs/markdown'
import { Place, root, run, system } from './places'

const binaries = existsSync(join(root, 'prebuilds'))
  ? readdirSync(join(root, 'prebuilds'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.node'))
  : []
const there = binaries.some((name) => name.startsWith(system) && !name.includes('musl'))
if (!there) console.warn(`tarball.test.ts is skipped: no prebuilt binary of ${system}. npm run prebuild -- ${system}`)

const require = createRequire(import.meta.url)
const npm = realpathSync(execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim())
const kB = (bytes: number): string => `${Math.round(bytes / 1000)} kB`

describe.runIf(there)('the packed package', () => {
  let packed: string
  let tarball: string
  let place: Place
  /** Nothing but node. */
  let PATH: string

  beforeAll(() => {
    packed = mkdtempSync(join(tmpdir(), 'multiproc-packed-'))
    const [pack] = JSON.parse(
      execFileSync(process.execPath, [npm, 'pack', '--json', '--ignore-scripts', '--pack-destination', packed], {
        cwd: root,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    )
    tarball = join(packed, pack.filename)
    console.log(`tarball: ${kB(pack.size)} packed, ${kB(pack.unpackedSize)} unpacked, ${binaries.length} binaries`)
    PATH = join(packed, 'bin')
    mkdirSync(PATH)
    symlinkSync(process.execPath, join(PATH, 'node'))

    place = new Place()
    place.write('package.json', '{ "private": true }')
    const before = performance.now()
    execFileSync(process.execPath, [npm, 'install', '--ignore-scripts', '--no-audit', '--no-fund', tarball], {
      cwd: place.folder,
      env: { ...process.env, PATH },
      stdio: 'ignore',
    })
    console.log(`npm install of the tarball: ${Math.round(performance.now() - before)} ms`)
  })
  afterAll(() => {
    place?.remove()
    rmSync(packed, { recursive: true, force: true })
  })

  it('is small', () => {
    for (const name of binaries) {
      const { length } = readFileSync(join(place.package, 'prebuilds', name))
      console.log(`${name}: ${kB(length)}`)
      expect(length, name).toBeLessThanOrEqual(500_000)
    }
    expect(readFileSync(tarball).length).toBeLessThanOrEqual(2_500_000)
  })

  it('brings what it needs to run, and nothing else', () => {
    const names = readdirSync(place.package).sort()
    expect(names).toEqual(
      ['CHANGELOG.md', 'LICENSE', 'README.md', 'binding.d.ts', 'dist', 'docs', 'package.json', 'prebuilds'].sort(),
    )
    expect(readdirSync(join(place.folder, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual([
      'multiproc',
      'node-gyp-build',
    ])
    const { scripts } = JSON.parse(readFileSync(join(place.package, 'package.json'), 'utf8'))
    expect(Object.keys(scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name))).toEqual([])
  })

  /** The README's first program, which needs nothing but the package. */
  const readme = programsOf(join(root, 'README.md'))
    .slice(0, 4)
    .map((block) => block.text)
  const printed = /^3 × hello world from process \d+\nProcess-1 \(pid \d+\) ended with exit code 0\n$/

  async function prints(file: string, flags: readonly string[] = []): Promise<string> {
    const { stdout, ...ended } = await run(place.folder, process.execPath, [...flags, file], { PATH })
    expect(ended).toEqual({ code: 0, stderr: '' })
    return stdout
  }

  it('runs the programs of the README as ES modules', async () => {
    expect(await prints(place.write('program.mjs', readme[0]!))).toMatch(printed)
    expect(await prints(place.write('second.mjs', readme[1]!))).toBe('328350\n')
    expect(await prints(place.write('fourth.mjs', readme[3]!))).toBe('3\n')
  })

  it('runs it as CommonJS', async () => {
    const body = readme[0]!.replace(/^import (\{.*\}) from ('multiproc')$/m, 'const $1 = require($2)')
    const lines = body.split('\n')
    const text = [lines[0], ';(async () => {', ...lines.slice(1), '})()'].join('\n')
    expect(await prints(place.write('program.cjs', text))).toMatch(printed)
  })

  it('runs it as TypeScript, whose types are right under each way to resolve them', async () => {
    const text = readme[0]!.replace('greet(name, n)', 'greet(name: string, n: number): void')
    const file = place.write('program.mts', text)
    place.write('common.cts', "import mp = require('multiproc')\nexport const queue = new mp.Queue<number>()\n")
    symlinkSync(join(root, 'node_modules', '@types'), join(place.folder, 'node_modules', '@types'), 'dir')
    for (const [module, resolution] of [
      ['nodenext', 'nodenext'],
      ['esnext', 'bundler'],
    ] as const) {
      const files = resolution === 'nodenext' ? ['program.mts', 'common.cts'] : ['program.mts']
      const compilerOptions = {
        module,
        moduleResolution: resolution,
        target: 'es2022',
        strict: true,
        noEmit: true,
        types: ['node'],
        lib: ['es2023', 'esnext.disposable'],
      }
      place.write('tsconfig.json', JSON.stringify({ compilerOptions, files }))
      const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
      const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', place.folder], { encoding: 'utf8' })
      expect({ stdout, status }).toEqual({ stdout: '', status: 0 })
    }
    expect(await prints(file, ['--import', pathToFileURL(require.resolve('tsx')).href])).toMatch(printed)
  })

  it('runs in a child by the addon that is in it', async () => {
    const file = place.write(
      'which.mjs',
      `import { Process } from 'multiproc'
       const target = () => console.log(process.report.getReport().sharedObjects.filter((name) => name.includes('multiproc')))
       const child = new Process({ target })
       child.start()
       await child.join()`,
    )
    expect(await prints(file)).toContain(join('node_modules', 'multiproc', 'prebuilds'))
  })

  it('publint finds nothing', async () => {
    const { publint } = await import('publint')
    const { messages } = await publint({ pkgDir: place.package, strict: true, pack: false })
    expect(messages).toEqual([])
  })

  // But under node10, which knows no `exports`, and so no multiproc/cluster.
  it('arethetypeswrong finds nothing', () => {
    const attw = join(root, 'node_modules', '@arethetypeswrong', 'cli', 'dist', 'index.js')
    const { stdout, status } = spawnSync(
      process.execPath,
      [attw, tarball, '--no-color', '--no-emoji', '--profile', 'node16'],
      {
        encoding: 'utf8',
      },
    )
    expect(status, stdout).toBe(0)
  })
})
