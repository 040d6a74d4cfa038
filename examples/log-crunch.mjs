// A log of a web server, read by all cores: who asks for what, how often it fails, how long it takes.
// Each task reads a stretch of the file by itself: what is sent is two numbers, and what comes back is a small table.
//
//   node examples/log-crunch.mjs [FILE]        without a file: one of LOG_MB megabytes (200) is made first
import { createWriteStream } from 'node:fs'
import { mkdtemp, open, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { isMain, Pool, progressBar } from 'multiproc'

const STRETCH = 4 << 20

/**
 * Lines that begin within [from, from + STRETCH) belong to this task. One expression over all of the text is three times as fast
 * as a line at a time.
 */
async function crunch(path, from) {
  const file = await open(path)
  try {
    // One byte before tells whether a line begins right at `from`; the last line may go on behind the end.
    const start = Math.max(0, from - 1)
    const room = Buffer.allocUnsafe(STRETCH + 4096)
    const bytes = room.subarray(0, (await file.read(room, 0, room.length, start)).bytesRead)
    const first = from === 0 ? 0 : bytes.indexOf(10) + 1
    const end = bytes.indexOf(10, from + STRETCH - start - 1)
    const text = bytes.latin1Slice(first, end < 0 ? bytes.length : end)
    const table = { lines: 0, failed: 0, ms: 0, paths: new Map() }
    for (const [, path, status, ms] of text.matchAll(/ (\/\S*) (\d+) (\d+)$/gm)) {
      table.lines++
      if (status >= '500') table.failed++
      table.ms += Number(ms)
      table.paths.set(path, (table.paths.get(path) ?? 0) + 1)
    }
    return table
  } finally {
    await file.close()
  }
}

/** Always the same log: the figures can be checked. */
async function write(path, megabytes) {
  const out = createWriteStream(path)
  const names = ['/', '/login', '/search', '/cart', '/pay', '/img/logo.png']
  let seed = 42
  for (let written = 0; written < megabytes << 20; ) {
    let text = ''
    for (let i = 0; i < 10_000; i++) {
      seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff
      const name = names[(seed >> 8) % names.length]
      text += `10.0.${seed % 256}.${(seed >> 4) % 256} GET ${name} ${seed % 50 === 0 ? 503 : 200} ${(seed >> 12) % 900}\n`
    }
    written += text.length
    if (!out.write(text)) await new Promise((resolve) => out.once('drain', resolve))
  }
  await finished(out.end())
}

if (isMain(import.meta)) {
  let [, , path] = process.argv
  let folder
  if (path === undefined) {
    folder = await mkdtemp(join(tmpdir(), 'log-'))
    path = join(folder, 'access.log')
    await write(path, Number(process.env.LOG_MB ?? 200))
  }
  const { size } = await stat(path)
  const stretches = Array.from({ length: Math.ceil(size / STRETCH) }, (_, i) => i * STRETCH)

  const started = performance.now()
  const pool = new Pool()
  const bar = process.stderr.isTTY ? progressBar({ title: 'crunching' }) : undefined
  const tables = await pool.map((from) => crunch(path, from), stretches, { chunkSize: 1, onProgress: bar })
  pool.close()
  await pool.join()

  const all = { lines: 0, failed: 0, ms: 0, paths: new Map() }
  for (const table of tables) {
    for (const key of ['lines', 'failed', 'ms']) all[key] += table[key]
    for (const [name, n] of table.paths) all.paths.set(name, (all.paths.get(name) ?? 0) + n)
  }
  const seconds = (performance.now() - started) / 1000
  console.log(`${Math.round(size / 2 ** 20)} MB, ${(size / 2 ** 20 / seconds).toFixed(0)} MB/s`)
  console.log(`${all.lines} requests, ${all.failed} failed, ${(all.ms / all.lines).toFixed(1)} ms on average`)
  for (const [name, n] of [...all.paths].sort(([, a], [, b]) => b - a).slice(0, 3)) console.log(`${n} × ${name}`)
  if (folder !== undefined) await rm(folder, { recursive: true })
}
