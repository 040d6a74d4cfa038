// ms from spawning a bare node to the first line of its program, at the Nth start.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('./first-line.cjs', import.meta.url))
let ms = 0
for (let i = 0; i < Number(process.argv[2]); i++) {
  const start = process.hrtime.bigint()
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  await once(child, 'close')
  ms = Number(BigInt(text) - start) / 1e6
}
console.log(ms)
