// On what the figures were taken.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { python } from './measure.mjs'

const root = new URL('..', import.meta.url)
const peers = ['piscina', 'tinypool', 'workerpool', 'poolifier', 'bullmq']

function says(command, args, pattern) {
  try {
    return (
      pattern.exec(execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))?.[0] ?? null
    )
  } catch {
    return null // not installed
  }
}
function installed(name) {
  try {
    return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, root), 'utf8')).version
  } catch {
    return null
  }
}

export const load = () => Math.round(loadavg()[0] * 100) / 100

export const machine = () => ({
  processors: cpus().length,
  model: cpus()[0]?.model ?? 'unknown',
  memoryGB: Math.round(totalmem() / 2 ** 30),
  system: `${type()} ${release()}`,
})

/** What is not installed is null. */
export const versions = () => ({
  multiproc: JSON.parse(readFileSync(new URL('package.json', root), 'utf8')).version,
  node: process.versions.node,
  python: says(python, ['--version'], /\d[\d.]*/),
  ...Object.fromEntries(peers.map((name) => [name, installed(name)])),
  'redis-server': says('redis-server', ['--version'], /\d[\d.]+/),
  'nats-server': says('nats-server', ['--version'], /\d[\d.]+/),
})
