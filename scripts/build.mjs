// Builds dist/: the package (one CommonJS file and chunks, chunks.mjs) and its loader, the function carrier that is loaded when
// first needed, the entry of children, the command line, the entry of clusters and what their workers run, ES modules that export
// the same objects, and the types.
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { buildChunked } from './chunks.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const dist = join(root, 'dist')
const require = createRequire(import.meta.url)

rmSync(dist, { recursive: true, force: true })
mkdirSync(dist)

const common = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20.17',
  legalComments: 'none',
  logLevel: 'warning',
  external: [
    'node-gyp-build',
    './functions.cjs',
    './index.cjs',
    './cluster.cjs',
    './cluster-runner.cjs',
    'cli-progress',
    '@nats-io/*',
  ],
}
const entries = [
  ['lib/load.ts', 'index.cjs', {}],
  ['lib/process/child/entry.ts', 'child.cjs', {}],
  // The command `npx multiproc`.
  ['lib/cli/main.ts', 'cli.cjs', {}],
  // Loaded at the first start of a child, which waits for it: what is smaller is compiled sooner.
  ['lib/serialize/functions.ts', 'functions.cjs', { minify: true }],
  ['lib/self-test/program.ts', 'self-test.cjs', {}],
  ['lib/cluster/index.ts', 'cluster.cjs', {}],
  ['lib/cluster/runner.ts', 'cluster-runner.cjs', {}],
]
await buildChunked(root, dist, common)
for (const [entry, file, options] of entries)
  await build({ ...common, ...options, entryPoints: [join(root, entry)], outfile: join(dist, file) })

chmodSync(join(dist, 'cli.cjs'), 0o755)

// One instance whether imported or required: the ES modules re-export the CommonJS ones, name by name. By createRequire and
// not by import: Node would first search the whole file for its exports, 25 ms.
for (const entry of ['index', 'cluster']) {
  const names = Object.keys(require(join(dist, `${entry}.cjs`))).filter(
    (name) => name !== 'default' && !name.startsWith('__'),
  )
  const locals = names.map((name) => `const _${name} = multiproc.${name}`)
  const exported = names.map((name) => `_${name} as ${name}`)
  writeFileSync(
    join(dist, `${entry}.mjs`),
    `import { createRequire } from 'node:module'
let multiproc
try {
  multiproc = createRequire(import.meta.url)('./${entry}.cjs')
} catch (cause) {
  if (import.meta.url && (cause.code !== 'MODULE_NOT_FOUND' || !cause.message.includes("'./${entry}.cjs'"))) throw cause
  throw Object.assign(
    new Error(
      \`multiproc: there is no ${entry}.cjs beside \${import.meta.url || 'this file'}: a bundler has put a part of the package into a file of the program's. \` +
        "Keep 'multiproc' external, and ship node_modules/multiproc beside the bundle. See docs/deploying.md of the package.",
      { cause },
    ),
    { code: 'ERR_MP_NO_ADDON' },
  )
}
${locals.join('\n')}
export { ${exported.join(', ')} }
export default multiproc
`,
  )
}

const tsc = require.resolve('typescript/package.json').replace('package.json', 'bin/tsc')
execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.json'), '--emitDeclarationOnly'], { stdio: 'inherit' })
copyFileSync(join(root, 'binding.d.ts'), join(dist, 'types', 'binding.d.ts')) // declarations of the package name it
for (const ending of ['d.cts', 'd.mts']) {
  writeFileSync(join(dist, `index.${ending}`), "export * from './types/lib/index.js'\n")
  writeFileSync(join(dist, `cluster.${ending}`), "export * from './types/lib/cluster/index.js'\n")
}
