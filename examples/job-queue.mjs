// Jobs that are all done, and none of them lost, though workers are killed, and then the whole program is. Every finished job is
// a line of a journal; who starts again does what is not there yet.
//
//   node examples/job-queue.mjs                shows it: works, is killed with SIGKILL midway, and is started again
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMain, Pool, taskContext } from 'multiproc'

const JOBS = 60

/** A job. Its worker is killed in the midst of some, at the first attempt. */
function work(id) {
  if (id % 20 === 7 && taskContext().attempt === 1) process.kill(process.pid, 'SIGKILL')
  let sum = 0
  for (let i = 0; i < 1e6; i++) sum = (sum + i * id) % 1_000_003
  return { id, sum }
}

/** Does the jobs that the journal does not have. */
async function run(journal, stopAt) {
  const lines = existsSync(journal) ? readFileSync(journal, 'utf8').split('\n') : []
  // A line that was cut off by a kill is no JSON, and its job is done again.
  const done = new Set(lines.flatMap((line) => (line.endsWith('}') ? [JSON.parse(line).id] : [])))
  if (lines.at(-1) !== '' && lines.length > 0) appendFileSync(journal, '\n')
  const open = Array.from({ length: JOBS }, (_, id) => id).filter((id) => !done.has(id))
  const pool = new Pool(2)
  let finished = done.size
  for await (const result of pool.imapUnordered(work, open, { retries: 3, chunkSize: 1 })) {
    appendFileSync(journal, `${JSON.stringify(result)}\n`)
    if (++finished === stopAt) process.kill(process.pid, 'SIGKILL')
  }
  pool.close()
  await pool.join()
  console.log(`${open.length} jobs were left`)
}

if (isMain(import.meta)) {
  const [, self, journal, stopAt] = process.argv
  if (journal !== undefined) await run(journal, Number(stopAt))
  else {
    const folder = mkdtempSync(join(tmpdir(), 'jobs-'))
    const file = join(folder, 'journal')
    for (const stopAt of [25, -1]) {
      const program = spawn(process.execPath, [self, file, String(stopAt)], { stdio: 'inherit' })
      const [code, signal] = await once(program, 'exit')
      console.log(`the program ended: ${signal ?? `exit code ${code}`}`)
    }
    const done = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).id)
    console.log(`${new Set(done).size} of ${JOBS} jobs done, ${done.length - new Set(done).size} of them twice`)
    rmSync(folder, { recursive: true })
  }
}
