// Runs test files, bundled by scripts/test-windows.mjs, in node.exe: each test's result is a line of JSON.
//
//   node.exe run.mjs --file test/sync/lock.test.mjs [--skip PATTERN]…
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { startTests } from '@vitest/runner'
import { getNames, getTests } from '@vitest/runner/utils'

const { file, skip = [] } = parseArgs({
  options: { file: { type: 'string' }, skip: { type: 'string', multiple: true } },
}).values
const PATIENCE_MS = 120_000
const skipped = skip.map((pattern) => new RegExp(pattern))
const nameOf = (test) => getNames(test).slice(1).join(' > ')
const tell = (result) => process.stdout.write(`${JSON.stringify(result)}\n`)

const runner = {
  pool: 'wine',
  config: {
    root: process.cwd(),
    name: '',
    setupFiles: [],
    sequence: { shuffle: false, concurrent: false, seed: 1, hooks: 'stack', setupFiles: 'list' },
    passWithNoTests: false,
    testTimeout: PATIENCE_MS,
    hookTimeout: PATIENCE_MS,
    retry: 0,
    maxConcurrency: 1,
    includeTaskLocation: false,
    allowOnly: true,
    tags: [],
    strictTags: false,
  },
  onCollected(files) {
    for (const test of files.flatMap(getTests))
      if (skipped.some((pattern) => pattern.test(nameOf(test)))) test.mode = 'skip'
  },
  importFile: (path) => import(pathToFileURL(path).href),
  onBeforeRunTask: (test) => tell({ begins: nameOf(test) }),
  onAfterRunTask: told,
}

const seen = new Set()
function told(test) {
  if (seen.has(test.id)) return
  seen.add(test.id)
  const state = test.result?.state ?? (test.mode === 'run' ? 'fail' : 'skip')
  const why = test.result?.errors?.map((error) => error.stack ?? error.message).join('\n')
  tell({ test: nameOf(test), state, ms: test.result?.duration, why })
}

// As under vitest, which waits for its own things: a test may wait for what does not keep a program alive.
const alive = setInterval(() => {}, 2 ** 30)
const files = await startTests([resolve(file)], runner)
for (const task of files) {
  for (const test of getTests(task)) told(test)
  for (const error of task.result?.errors ?? [])
    tell({ test: '(the file)', state: 'fail', why: error.stack ?? error.message })
}
clearInterval(alive)
tell({ done: true })
