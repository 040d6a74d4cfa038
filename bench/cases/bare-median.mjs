// ms from spawning a bare node to the first line of its program: the median of 10.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('./first-line.cjs', import.meta.url))
const times = []
for (let i = 0; i < 11; i++) {
  const start = process.hrtime.bigint()
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  await once(child, 'close')
  times.push(Number(BigInt(text) - start) / 1e6)
}
times.shift()
times.sort((a, b) => a - b)
console.log(times[5])
