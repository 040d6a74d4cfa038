// npm run prebuild:check [-- --there | TARGET…]: fails when a binary of a release is missing (unless --there: only what is
// there is looked at), not what was built, older than its sources, or not to be loaded by every system that it is for.
import { existsSync, readFileSync } from 'node:fs'
import { problemsOf } from './inspect.mjs'
import { fileOf, hashOf, manifest, sha256, targets } from './targets.mjs'

const wanted = process.argv.slice(2).filter((word) => word !== '--there')
const recorded = manifest()
let failed = 0
for (const name of wanted.length > 0 ? wanted : Object.keys(targets)) {
  const file = fileOf(name)
  const problems = []
  if (!existsSync(file)) {
    if (process.argv.includes('--there')) continue
    problems.push('there is none')
  } else {
    if (recorded[name]?.binary !== sha256(file))
      problems.push('it is not what was built: stripped, signed or replaced afterwards')
    if (recorded[name]?.sources !== hashOf(name)) problems.push('its sources have changed since it was built')
    problems.push(...problemsOf(name, readFileSync(file)))
  }
  if (problems.length > 0) failed++
  console.log(`${name}: ${problems.length === 0 ? `${readFileSync(file).length} bytes, good` : problems.join('; ')}`)
}
if (failed > 0) console.error(`${failed} to be built by npm run prebuild`)
process.exit(failed > 0 ? 1 : 0)
