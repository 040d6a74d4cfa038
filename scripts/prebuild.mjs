// npm run prebuild [-- TARGET…]: builds the binaries of a release, all of them on one Linux machine, into prebuilds/.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import prebuildify from 'prebuildify'
import { problemsOf } from './prebuild/inspect.mjs'
import { fileOf, hashOf, here, manifest, manifestFile, root, sha256, targets } from './prebuild/targets.mjs'
import { fromDebian, zigFor } from './prebuild/tools.mjs'

const wanted = process.argv.slice(2)
for (const name of wanted)
  if (!(name in targets)) {
    console.error(`no such target: ${name}. There are ${Object.keys(targets).join(', ')}`)
    process.exit(2)
  }

fromDebian({ cmake: 'cmake', 'ninja-build': 'ninja', binutils: 'ar' })
let failed = false
for (const name of wanted.length > 0 ? wanted : Object.keys(targets)) {
  console.log(`== ${name}`)
  const { platform, arch, libc, toolchain, triple } = targets[name]
  process.env.MULTIPROC_TOOLCHAIN = toolchain
  if (triple === undefined) fromDebian({ 'g++-mingw-w64-x86-64-posix': 'x86_64-w64-mingw32-g++-posix' })
  else Object.assign(process.env, zigFor(triple))
  if (platform === 'darwin') fromDebian({ llvm: 'llvm-strip' })
  // A stage of its own: prebuildify takes the file away from where it was built, and a clone needs its own build.
  const stage = join(root, 'build-prebuild', name)
  rmSync(stage, { recursive: true, force: true })
  mkdirSync(stage, { recursive: true })
  const sources = hashOf(name)
  try {
    await promisify(prebuildify)({
      name: 'multiproc',
      targets: [process.versions.node],
      napi: true,
      platform,
      arch,
      libc,
      tagLibc: libc,
      cwd: stage,
      out: root,
      nodeGyp: join(here, 'compile.mjs'),
    })
  } catch (error) {
    console.error(`${name}: ${error.message}`)
    failed = true
    continue
  }
  const file = fileOf(name)
  writeFileSync(
    manifestFile,
    `${JSON.stringify({ ...manifest(), [name]: { sources, binary: sha256(file) } }, null, 2)}\n`,
  )
  const problems = problemsOf(name, readFileSync(file))
  for (const problem of problems) console.error(`${name}: ${problem}`)
  failed ||= problems.length > 0
  console.log(`${name}: ${statSync(file).size} bytes`)
}
process.exit(failed ? 1 : 0)
