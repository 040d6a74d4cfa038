// npm run test:node -- 22 24 26 [FILE…]: the suite on other versions of Node, which come from npm. Prints a table.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { root } from './prebuild/targets.mjs'
import { nodeOf } from './prebuild/tools.mjs'

const words = process.argv.slice(2)
const versions = words.filter((word) => /^\d+(\.\d+)*$/.test(word))
const files = words.filter((word) => !versions.includes(word))
if (versions.length === 0) {
  console.error('which versions of Node? npm run test:node -- 22 24 26')
  process.exit(2)
}

const folder = mkdtempSync(join(tmpdir(), 'multiproc-versions-'))
const rows = []
for (const version of versions) {
  const node = nodeOf(version, `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`)
  const name = spawnSync(node.file, ['--version'], { encoding: 'utf8' }).stdout.trim()
  console.log(`== Node ${name}`)
  const report = join(folder, `${version}.json`)
  spawnSync(
    node.file,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...files,
    ],
    // Programs that tests start by name are of this version, too.
    { cwd: root, stdio: 'inherit', env: { ...process.env, PATH: `${node.folder}${delimiter}${process.env.PATH}` } },
  )
  rows.push({ name, ...read(report) })
}
rmSync(folder, { recursive: true, force: true })

function read(report) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, numFailedTestSuites, success } = JSON.parse(
      readFileSync(report, 'utf8'),
    )
    const failed = numFailedTests === 0 && !success ? numFailedTestSuites : numFailedTests
    return { passed: numPassedTests, failed, skipped: numPendingTests + numTodoTests }
  } catch {
    return { passed: 0, failed: 1, skipped: 0 } // vitest itself did not run
  }
}

console.log('\n| Node | passed | failed | skipped |\n|---|---|---|---|')
for (const { name, passed, failed, skipped } of rows) console.log(`| ${name} | ${passed} | ${failed} | ${skipped} |`)
const sum = (key) => rows.reduce((total, row) => total + row[key], 0)
console.log(`\n${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`)
process.exit(sum('failed') > 0 || sum('passed') === 0 ? 1 : 0)
