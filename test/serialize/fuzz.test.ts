// Received bytes are checked: truncated, mutated, forged and random messages bring a value or a SerializationError; never a crash,
// a hang, or a look at what stands beside the message. In a process of its own, in an empty folder: a graph may name functions.
//
// MULTIPROC_FUZZ: how many inputs (npm run soak: 2,000,000) · MULTIPROC_SEED: where to begin, as a failure prints it
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { bundleSerialize, fixtures } from '../fixtures/serialize/bundle'

const INPUTS = Number(process.env.MULTIPROC_FUZZ ?? 200_000)
const SEED = Number(process.env.MULTIPROC_SEED ?? 1)
/** A thousand inputs take 0.05 s. */
const BATCH_LIMIT_MS = 20_000

it(
  `survives ${INPUTS} hostile messages`,
  async () => {
    const bundle = join(await bundleSerialize('fuzz'), 'index.cjs')
    const folder = mkdtempSync(join(tmpdir(), 'multiproc-fuzz-'))
    const args = ['--max-old-space-size=512', join(fixtures, 'fuzz.cjs'), bundle, `${SEED}`, `${INPUTS}`]
    const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    let hangs = false
    let timer: NodeJS.Timeout | undefined
    const heard = (data: Buffer): void => {
      said = (said + data).slice(-4000)
      clearTimeout(timer)
      timer = setTimeout(() => {
        hangs = true
        child.kill('SIGKILL')
      }, BATCH_LIMIT_MS)
    }
    child.stdout.on('data', heard)
    child.stderr.on('data', heard)
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
      child.on('close', (...ended) => resolve(ended)),
    )
    clearTimeout(timer)
    const left = readdirSync(folder)
    rmSync(folder, { recursive: true })
    expect({ code, signal, hangs }, said).toEqual({ code: 0, signal: null, hangs: false })
    expect(left).toEqual([])
    const { accepted, refused, rss } = JSON.parse(said.trim().split('\n').at(-1)!)
    expect(accepted + refused).toBeGreaterThan(INPUTS)
    // Both happen, or the mutations are too coarse or too fine to tell anything.
    expect(Math.min(accepted, refused)).toBeGreaterThan(INPUTS / 20)
    expect(rss).toBeLessThan(1_500_000)
  },
  20_000 + INPUTS,
)
