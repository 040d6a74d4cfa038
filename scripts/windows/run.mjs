// Runs test files, bundled by scripts/test-windows.mjs, in node.exe: each test's result is a line of JSON.
//
//   node.exe run.mjs --file test/sync/lock.test.mjs [--only PATTERN]
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { startTests } from '@vitest/runner'
import { getNames, getTests } from '@vitest/runner/utils'

const { file, only, timeout } = parseArgs({
  options: { file: { type: 'string' }, only: { type: 'string' }, timeout: { type: 'string' } },
}).values
const patience = Number(timeout ?? 60_000)
const tell = (result) => process.stdout.write(`${JSON.stringify(result)}\n`)

const runner = {
  pool: 'wine',
  config: {
    root: process.cwd(),
    name: '',
    setupFiles: [],
    sequence: { shuffle: false, concurrent: false, seed: 1, hooks: 'stack', setupFiles: 'list' },
    passWithNoTests: false,
    testTimeout: patience,
    hookTimeout: patience,
    retry: 0,
    maxConcurrency: 1,
    includeTaskLocation: false,
    allowOnly: true,
    tags: [],
    strictTags: false,
    ...(only && { testNamePattern: new RegExp(only) }),
  },
  importFile: (path) => import(pathToFileURL(path).href),
  onBeforeRunTask: (test) => tell({ begins: getNames(test).slice(1).join(' > ') }),
  onAfterRunTask: told,
}

const seen = new Set()
function told(test) {
  if (seen.has(test.id)) return
  seen.add(test.id)
  const state = test.result?.state ?? (test.mode === 'run' ? 'fail' : 'skip')
  const why = test.result?.errors?.map((error) => error.stack ?? error.message).join('\n')
  tell({ test: getNames(test).slice(1).join(' > '), state, ms: test.result?.duration, why })
}

const files = await startTests([resolve(file)], runner)
for (const task of files) {
  for (const test of getTests(task)) told(test)
  for (const error of task.result?.errors ?? [])
    tell({ test: '(the file)', state: 'fail', why: error.stack ?? error.message })
}
tell({ done: true })
