// ms that a program takes which only imports the package, or an empty module: from spawn to its end.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL(`./import-${process.argv[2]}.mjs`, import.meta.url))
const times = []
for (let i = 0; i < 5; i++) {
  const start = performance.now()
  const { status } = spawnSync(process.execPath, [program], { stdio: 'inherit' })
  if (status !== 0) throw new Error(`exit code ${status}`)
  times.push(performance.now() - start)
}
times.sort((a, b) => a - b)
console.log(times[2])
