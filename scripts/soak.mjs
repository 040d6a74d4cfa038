// npm run soak [-- locks | pool [SECONDS] | fork [COUNT]]: the long versions of tests that kill and fork.
//
//   locks   20,000 kills of processes that hold locks or use channels, and 2,000,000 rounds of the serializer's fuzzing
//   pool    SECONDS (600) of pools whose tasks throw, hang and kill their workers (soak-pool.mjs), and 10,000 tasks of which 1 % kill
//           theirs
//   fork    COUNT (10,000) forks from each state, with each node of MULTIPROC_NODES (paths, with commas between), as the
//           table that docs/start-methods.md has
import { execFileSync, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [what = 'all', count] = process.argv.slice(2)
if (!['all', 'locks', 'pool', 'fork'].includes(what)) {
  console.error('usage: npm run soak [-- locks | pool [SECONDS] | fork [COUNT]]')
  process.exit(2)
}

if (what === 'all' || what === 'locks') {
  const tests = [
    'serialize/fuzz',
    'sync/death',
    'sync/primitives-kills',
    'channel/death',
    'channel/huge',
    'collections/death',
  ].map((t) => `test/${t}.test.ts`)
  const env = { ...process.env, MULTIPROC_KILLS: '20000', MULTIPROC_FUZZ: '2000000' }
  const { status } = spawnSync('npx', ['vitest', 'run', ...tests], { cwd: root, env, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
if (what === 'all' || what === 'pool') {
  const env = { ...process.env, MULTIPROC_POOL_TASKS: '10000' }
  const test = ['vitest', 'run', 'test/pool/loss.test.ts', '-t', 'one in a hundred']
  const program = ['--expose-gc', fileURLToPath(new URL('soak-pool.mjs', import.meta.url)), count ?? '600']
  for (const [command, args] of [
    ['npx', test],
    [process.execPath, program],
  ]) {
    const { status } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' })
    if (status !== 0) process.exit(status ?? 1)
  }
}
if (what === 'all' || what === 'fork') process.exit(forks(Number(count ?? 10000)) ? 0 : 1)

function forks(count) {
  const STATES = ['idle', 'jit', 'gc', 'fs', 'crypto', 'http', 'all']
  const nodes = process.env.MULTIPROC_NODES?.split(',') ?? [process.execPath]
  const program = `${root}/test/fixtures/process/states.mjs`
  let sound = true
  console.log(
    '| node | method | state | forks | refused | hung | ended wrongly | ms a child |\n|---|---|---|---|---|---|---|---|',
  )
  for (const node of nodes)
    for (const method of ['forkserver', 'fork'])
      for (const state of STATES) {
        const env = { ...process.env, MULTIPROC_TEST_METHOD: method }
        delete env.NODE_EXTRA_CA_CERTS
        // A bug here can be a fork bomb: a limit for the whole user.
        const text = execFileSync(
          '/bin/sh',
          [
            '-c',
            'ulimit -u 3000 2>/dev/null || ulimit -p 3000; exec "$@"',
            'sh',
            node,
            program,
            state,
            String(count),
            '4',
          ],
          { env },
        )
        const r = JSON.parse(text.toString().trim().split('\n').pop())
        const wrong = Object.values(r.wrong).reduce((a, b) => a + b, 0)
        sound &&= r.ok === count
        console.log(`| ${r.node} | ${method} | ${state} | ${r.ok} | ${r.refused} | ${r.hung} | ${wrong} | ${r.ms} |`)
      }
  return sound
}
