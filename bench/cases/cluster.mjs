// Clusters: a queue's server, its workers and their submitter, all on this machine, each a process of its own.
//
//   cluster.mjs WHAT WHO     bulk, apply: no-op tasks a second · serial: ms a task · nodes N: tasks of 50 ms a second
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const [what, who, number = '1'] = process.argv.slice(2)
const BULK = 20_000
const SERIAL = 500
const WARM = 100
const here = (file) => fileURLToPath(new URL(file, import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'multiproc-bench-'))
const children = []

function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore', 'ipc'], cwd: folder, ...options })
  children.push(child)
  return child
}
async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}
async function until(condition) {
  while (!(await condition())) await sleep(5)
}

async function ours() {
  const { ClusterPool } = await import('multiproc/cluster')
  const { noop, busy } = await import('./cluster-tasks.mjs')
  start('nats-server', ['-a', '127.0.0.1', '-p', '-1', '-js', '-sd', join(folder, 'store'), '--ports_file_dir', folder])
  const ports = join(folder, `nats-server_${children[0].pid}.ports`)
  await until(() => existsSync(ports) && readFileSync(ports, 'utf8').includes('nats://'))
  const servers = JSON.parse(readFileSync(ports, 'utf8')).nats[0].replace(/^.*:\/\/.*:/, 'nats://127.0.0.1:')
  const nodes = what === 'nodes' ? Number(number) : 1
  for (let k = 0; k < nodes; k++) {
    const node = spawn(
      process.execPath,
      [
        here('../../dist/cli.cjs'),
        'worker',
        '--servers',
        servers,
        '--processes',
        '1',
        '--preload',
        here('cluster-tasks.mjs'),
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    children.push(node)
    for await (const line of createInterface({ input: node.stderr })) if (line.includes('takes tasks')) break
    node.stderr.resume()
  }
  const pool = new ClusterPool({ servers })
  for (let k = 0; k < WARM; k++) await pool.apply(noop, [k])
  const begun = performance.now()
  const took = () => performance.now() - begun
  const items = Array.from({ length: BULK }, (_, k) => k)
  if (what === 'bulk') await pool.map(noop, items)
  if (what === 'apply') await Promise.all(items.map((k) => pool.apply(noop, [k])))
  if (what === 'serial') for (let k = 0; k < SERIAL; k++) await pool.apply(noop, [k])
  if (what === 'nodes') await Promise.all(Array.from({ length: 60 }, () => pool.apply(busy, [50])))
  const figure = what === 'serial' ? took() / SERIAL : ((what === 'nodes' ? 60 : BULK) / took()) * 1000
  pool.close()
  await pool.join()
  return figure
}

async function bullmq() {
  const { Queue, QueueEvents } = await import('bullmq')
  const port = await freePort()
  start('redis-server', [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--appendonly',
    'yes',
    '--save',
    '',
  ])
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null }
  const worker = start(process.execPath, [here('../peers/bullmq-worker.mjs'), String(port)])
  await once(worker, 'message')
  const queue = new Queue('bench', { connection })
  // From the first event on: the first job may be done before this reads any.
  const events = new QueueEvents('bench', { connection, lastEventId: '0-0' })
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady()])
  const one = async (k) => (await queue.add('noop', k)).waitUntilFinished(events)
  for (let k = 0; k < WARM; k++) await one(k)
  let figure
  if (what === 'serial') {
    const begun = performance.now()
    for (let k = 0; k < SERIAL; k++) await one(k)
    figure = (performance.now() - begun) / SERIAL
  } else {
    // All jobs have been done: their results are not even fetched.
    const done = new Promise((resolve) => {
      let left = BULK
      worker.on('message', (count) => {
        left -= count
        if (left <= 0) resolve()
      })
    })
    const begun = performance.now()
    for (let k = 0; k < BULK; k += 1000)
      await queue.addBulk(Array.from({ length: 1000 }, (_, i) => ({ name: 'noop', data: k + i })))
    await done
    figure = (BULK / (performance.now() - begun)) * 1000
  }
  await Promise.all([queue.close(), events.close()])
  return figure
}

try {
  console.log(await (who === 'bullmq' ? bullmq() : ours()))
} finally {
  for (const child of children.reverse()) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  rmSync(folder, { recursive: true, force: true })
}
process.exit()
