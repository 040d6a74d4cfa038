// Functions of every kind, carried from real main programs (one for each module system and loader) to a real child.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { bundleSerialize, fixtures } from '../fixtures/serialize/bundle'

const run = promisify(execFile)
const major = Number(process.versions.node.split('.')[0])
let bundle = ''

/** The line, from 1, on which a fixture says `text`. */
function lineOf(file: string, text: string): number {
  const lines = readFileSync(path.join(fixtures, file), 'utf8').split('\n')
  return lines.findIndex((line) => line.includes(text)) + 1
}
async function results(program: string, args: string[] = [], execArgv: string[] = []): Promise<Record<string, any>> {
  const file = path.resolve(fixtures, program)
  const { stdout, stderr } = await run(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', ...execArgv, file, ...args],
    { env: { ...process.env, MP_SERIALIZE: bundle, NODE_OPTIONS: '' }, timeout: 30_000 },
  )
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

beforeAll(async () => {
  bundle = await bundleSerialize('functions')
})

const ESM = {
  declaration: 9,
  arrow: 8,
  expression: 4,
  recursion: 120,
  mutual: true,
  sharedVariable: 23,
  closure: 7,
  loopVariables: [0, 1, 2],
  async: 11,
  generator: [1, 2],
  asyncGenerator: [1, 2, 3],
  method: 3,
  computedMethod: 2,
  symbolMethod: 3,
  getter: 2,
  asyncMethod: 2,
  classes: 'Rex makes a sound: woof 2 4',
  statics: [41, ['terrier'], 'a', 'Dog'],
  staticMethod: 12,
  mixins: 'mixed M makes a sound',
  instance: [true, true, 'Spot makes a sound'],
  instanceArgument: ['Spot makes a sound', 'Plain'],
  oldClass: [12, true, true],
  reduced: [5, true],
  errorClass: [true, true, 'bad', 3, true],
  bound: 81,
  boundThis: 'I am self',
  nativeBound: '1-2',
  defaults: 5,
  destructured: 9,
  ownProperties: 6,
  cyclic: 'I am self',
  imports: ['b', 'function', 2, 'function', true, 3],
  importedConstructor: 8,
  assertModule: null,
  byReference: [true, 2],
  byReferenceStatic: 6,
  byReferenceNested: 3,
  byReferenceMethod: 'method',
  byReferenceDefault: 'default export',
  byReferenceRenamed: 14,
  unexported: 6,
  commonjs: 5,
  commonjsNested: 6,
  commonjsClass: 'thing',
  global: 5,
  globalMethod: 0,
  builtin: 'y',
  builtinObject: 'q',
  meta: ['main.mjs', 'main.mjs', 'string', 'lib.mjs'],
  dynamicImport: 1,
  strict: true,
  topThis: true,
  noRequire: ['undefined', 'undefined'],
  globals: ['function', 'function', 1, Number.MAX_SAFE_INTEGER],
  undeclared: 'undefined',
  labels: 'done',
  newFunction: 12,
  functionInMap: 4,
}
const CJS = {
  declaration: 3,
  shared: 8,
  sloppy: true,
  strict: true,
  builtin: ['function', 'b'],
  library: [3, 'thing'],
  reference: 3,
  require: [4, true],
  files: ['main.cjs', 'serialize'],
  notMain: false,
  exports: 2,
  ownExport: 2,
  dynamicImport: 1,
  octal: [1, 'function'],
}
const TS = { typed: 6, class: [true, 12], imports: ['b', 2], typescriptImport: 200, reference: 300 }

describe('functions of a main program', () => {
  it('ESM', async () => {
    const { stack, ...rest } = await results('main.mjs')
    expect(rest).toEqual(ESM)
    expect(stack).toContain(`main.mjs:${lineOf('main.mjs', 'const line =')}:`)
  })
  it('CommonJS, and decodeSync', async () => {
    expect(await results('main.cjs')).toEqual(CJS)
    expect(await results('main.cjs', ['sync'])).toEqual(CJS)
  })
  it.runIf((process.features as any).require_module)('ESM by decodeSync, through require(esm)', async () => {
    expect(await results('main.mjs', ['sync'])).toMatchObject(ESM)
  })
  it('decodeSync says where an ES module cannot be imported', async () => {
    const noRequire =
      major >= 22 || (process.features as any).require_module ? ['--no-experimental-require-module'] : []
    const { imports, arrow } = await results('main.mjs', ['sync'], noRequire)
    expect(arrow).toBe(8)
    expect(imports).toMatch(
      /cannot import the ES module '\.\/lib\.mjs' in a synchronous call.*use the asynchronous form/,
    )
  })
  it('TypeScript by tsx', async () => {
    const { where, inside, ...rest } = await results('main.mts', [], ['--import', 'tsx'])
    expect(rest).toEqual(TS)
    expect(where).toContain(`main.mts:${lineOf('main.mts', "new Error('x')")}:`)
    expect(inside).toContain(`main.mts:${lineOf('main.mts', "new Error('y')")}:`)
  })
  it.runIf(major >= 24)("TypeScript by Node's type stripping", async () => {
    const { where, inside, ...rest } = await results('main.mts')
    expect(rest).toEqual(TS)
    expect(where).toContain(`main.mts:${lineOf('main.mts', "new Error('x')")}:`)
    expect(inside).toContain(`main.mts:${lineOf('main.mts', "new Error('y')")}:`)
  })
  it('a minified bundle, lines by its source map', async () => {
    const { build } = await import('esbuild')
    const outfile = path.join(bundle, 'app', 'app.mjs')
    await build({
      entryPoints: [path.join(fixtures, 'main.mts')],
      bundle: true,
      minify: true,
      sourcemap: true,
      platform: 'node',
      format: 'esm',
      outfile,
      logLevel: 'error',
      plugins: [
        {
          name: 'external',
          setup: (b) =>
            b.onResolve({ filter: /harness\.cjs$/ }, () => ({
              path: path.join(fixtures, 'harness.cjs'),
              external: true,
            })),
        },
      ],
    })
    const { where, inside, ...rest } = await results(outfile)
    expect(rest).toEqual(TS)
    expect(where).toContain(`main.mts:${lineOf('main.mts', "new Error('x')")}:`)
    expect(inside).toContain(`main.mts:${lineOf('main.mts', "new Error('y')")}:`)
  })
  it("with main: 'import' the child imports the main module", async () => {
    expect(await results('main-import.cjs')).toEqual({ visible: 8, hidden: 2, closure: 101 })
    const esm = await results('main-import.mjs')
    expect(esm).toMatchObject({ visible: 8, closure: 6 })
    if (major >= 24) expect(esm).toMatchObject({ hidden: 2, static: 6 })
    else if (major < 22)
      expect(esm.hidden).toMatch(/UnsupportedError: 'hidden' of the main module .* is not exported, and this Node/)
  })
  it("in a worker thread, and without disturbing a debugger of the user's own", async () => {
    expect(await results('debugger.mjs')).toEqual({ paused: 0, parsed: 1, here: 6, inWorker: 6 })
  })
})
