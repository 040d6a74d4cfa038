// MB of memory (PSS) per idle process, of 20: argv is forkserver or plain, and MB of data that each has.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { getContext, setForkserverPreload } from 'multiproc'

const COUNT = 20
const [how, megabytes] = [process.argv[2], process.argv[3]]
const data = new URL('./memory-data.cjs', import.meta.url)
process.env.DATA_MB = megabytes
const pids = []
let stop
if (how === 'forkserver') {
  setForkserverPreload([data])
  const { Process } = getContext('forkserver')
  const made = []
  for (let i = 0; i < COUNT; i++) {
    const p = new Process({
      target: () => {
        setInterval(() => {}, 1000)
        process.stdout.write('r')
      },
      stdio: 'pipe',
    })
    p.start()
    await once(p.stdout, 'data')
    made.push(p)
    pids.push(p.pid)
  }
  stop = () => {
    for (const p of made) p.kill()
  }
} else {
  const made = []
  for (let i = 0; i < COUNT; i++) {
    const program = `require(${JSON.stringify(data.pathname)}); setInterval(() => {}, 1000); process.stdout.write('r')`
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    made.push(child)
    pids.push(child.pid)
  }
  stop = () => {
    for (const child of made) child.kill('SIGKILL')
  }
}
await new Promise((resolve) => setTimeout(resolve, 300))
const pss = pids.map(
  (pid) => Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]) / 1024,
)
stop()
console.log(pss.reduce((a, b) => a + b) / COUNT)
