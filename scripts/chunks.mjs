// Divides the package into dist/multiproc.cjs and chunks that are loaded when first used (lib/chunks.ts tells how it runs).
//
//   lib/index.ts ──imports──▶ a chunk's index.ts     becomes: stand-ins, one for each of its exports
//   chunk ──imports──▶ a module of the rest          becomes: require('internal:memory/index'), the same module instance
//   chunk ──imports──▶ a module of another chunk     becomes: require('internal:objects:channel/waits')
//
// What is not lib/index.ts may not import from a chunk: the build fails.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { build } from 'esbuild'

/** Which folders of lib/ make up a chunk. */
export const CHUNKS = {
  objects: ['sync', 'shared', 'channel'],
  pool: ['pool'],
  collections: ['collections'],
  'shared-memory': ['shared-memory'],
  socket: ['socket'],
  manager: ['manager'],
}

/** Writes multiproc.cjs and the chunks. `options` are esbuild's, for all. */
export async function buildChunked(root, dist, options) {
  const lib = join(root, 'lib')
  const chunkOf = new Map(Object.entries(CHUNKS).flatMap(([name, folders]) => folders.map((folder) => [folder, name])))
  /** What the chunks import of the rest (''), and of each other: module → names. */
  const used = new Map(['', ...Object.keys(CHUNKS)].map((chunk) => [chunk, new Map()]))

  const locate = (importer, path) => {
    const base = resolve(dirname(importer), path)
    const file = [`${base}.ts`, join(base, 'index.ts')].find(existsSync)
    if (file === undefined) throw new Error(`${importer} imports ${path}, which is not there`)
    const module = relative(lib, file).replace(/\.ts$/, '').replaceAll('\\', '/')
    return { file, module, chunk: chunkOf.get(module.split('/')[0]) ?? '' }
  }
  const outside = (chunk) => ({
    name: 'outside',
    setup({ onResolve }) {
      onResolve({ filter: /^\.\.?(\/|$)/, namespace: 'file' }, ({ path, importer }) => {
        if (path.endsWith('.cjs')) return undefined
        const target = locate(importer, path)
        if (target.chunk === chunk) return { path: target.file }
        return { path: `internal:${target.chunk && `${target.chunk}:`}${target.module}`, external: true }
      })
    },
  })
  /** Notes what a built chunk takes from modules that are not its own. */
  const note = (code) => {
    const taken = [...code.matchAll(/\bvar (\w+) = require\("internal:(?:([\w-]+):)?([^":]+)"\)/g)]
    for (const [, variable, chunk = '', module] of taken) {
      const names = used.get(chunk).get(module) ?? new Set()
      for (const [, name] of code.matchAll(new RegExp(`\\b${variable}\\.(\\w+)`, 'g'))) names.add(name)
      used.get(chunk).set(module, names)
    }
    if (code.split('require("internal:').length !== taken.length + 1)
      throw new Error('a chunk takes a whole module of another: name what it imports')
  }
  /** Source of a table of modules, each an object made when it is asked for. */
  const tableOf = (chunk) => {
    const modules = [...used.get(chunk)].sort(([a], [b]) => (a < b ? -1 : 1))
    const imports = modules.map(
      ([module, names], i) =>
        `import { ${[...names].map((name) => `${name} as ${name}${i}`).join(', ')} } from './${module}'`,
    )
    const entries = modules.map(
      ([module, names], i) => `'${module}': () => ({ ${[...names].map((name) => `${name}: ${name}${i}`).join(', ')} })`,
    )
    return { imports: imports.join('\n'), table: `{\n${entries.join(',\n')}\n}` }
  }
  const write = async (name, source, plugin) => {
    const { outputFiles } = await build({
      ...options,
      stdin: { contents: source, resolveDir: lib, sourcefile: `${name}-entry.ts`, loader: 'ts' },
      plugins: [plugin],
      write: false,
    })
    const code = withLocals(outputFiles[0].text, lib)
    writeFileSync(join(dist, `${name}.cjs`), code)
    return code
  }
  const indexes = (chunk) => CHUNKS[chunk].map((folder) => `export * from './${folder}'`).join('\n')

  // First each chunk as it is, to learn what it imports of others; then with what others import of it.
  for (const chunk of Object.keys(CHUNKS)) note(await write(chunk, indexes(chunk), outside(chunk)))
  for (const chunk of Object.keys(CHUNKS)) {
    const { imports, table } = tableOf(chunk)
    await write(chunk, `${imports}\n${indexes(chunk)}\nexport const __modules = ${table}`, outside(chunk))
  }
  const standIns = {
    name: 'stand-ins',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\.\.?(\/|$)/, namespace: 'file' }, ({ path, importer }) => {
        if (path.endsWith('.cjs')) return undefined
        const { chunk, file, module } = locate(importer, path)
        if (chunk === '') return { path: file }
        if (importer !== join(lib, 'index.ts'))
          throw new Error(
            `${importer} imports ${path}, which is in a chunk: put it into one, too (CHUNKS in scripts/chunks.mjs)`,
          )
        return { path: module, namespace: 'stand-ins', pluginData: { chunk, file } }
      })
      onLoad({ filter: /./, namespace: 'stand-ins' }, async ({ pluginData: { chunk, file } }) => {
        const names = await exportsOf(file)
        const lines = names.map((name) => `export const ${name} = /* @__PURE__ */ standIn('${chunk}', '${name}')`)
        return { contents: [`import { standIn } from './chunks'`, ...lines].join('\n'), resolveDir: lib, loader: 'ts' }
      })
    },
  }
  const { imports, table } = tableOf('')
  const entry = `import { setModules } from './chunks'\nexport * from './index'\nsetModules(${table})`
  await write('multiproc', `${imports}\n${entry}`, standIns)
}

/**
 * What a chunk takes of other modules becomes variables of its own: a getter at each use would make locks twice as slow.
 * `(0, import_memory.attach)(…)` is then `(0, import_memory$attach)(…)`. So these exports may not change.
 */
function withLocals(code, lib) {
  const lines = []
  for (const [line, variable, module] of code.matchAll(/^var (\w+) = require\("internal:(?:[\w-]+:)?([^":]+)"\);$/gm)) {
    if (/^export let /m.test(readFileSync(join(lib, `${module}.ts`), 'utf8')))
      throw new Error(`lib/${module}.ts exports a variable that changes: chunks would not see it`)
    const names = new Set()
    code = code.replace(new RegExp(`\\b${variable}\\.(\\w+)`, 'g'), (_, name) => {
      names.add(name)
      return `${variable}$${name}`
    })
    const taken = [...names].map((name) => `, ${variable}$${name} = ${variable}.${name}`)
    lines.push([line, `${line.slice(0, -1)}${taken.join('')};`])
  }
  for (const [line, longer] of lines) code = code.replace(line, () => longer)
  return code
}

/** The names that a module exports, types left out. */
async function exportsOf(file) {
  const { metafile } = await build({
    entryPoints: [file],
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    outfile: 'out.mjs',
    external: ['node-gyp-build', '*.cjs'],
    logLevel: 'warning',
  })
  return Object.values(metafile.outputs)[0].exports
}
