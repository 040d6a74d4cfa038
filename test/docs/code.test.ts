// Every program of README.md and docs/ runs as it is written and prints what the document says; every link leads somewhere.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { anchorsOf, type Block, documents, linksOf, pattern, programsOf, root } from './markdown'

const TIME_LIMIT_MS = 50_000
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'documents-'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules/multiproc'), 'dir')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** Runs a program in a process group of its own, which is ended whole when time is over. */
function run(file: string, flags: readonly string[] = [], args: readonly string[] = []): Promise<Ended> {
  return new Promise((resolved, reject) => {
    const limit = 'ulimit -u 2000 2>/dev/null || ulimit -p 2000; exec "$@"'
    const child = spawn('/bin/sh', ['-c', limit, 'sh', process.execPath, ...flags, file, ...args], {
      cwd: dirname(file),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        NODE_OPTIONS: undefined,
        NODE_EXTRA_CA_CERTS: undefined,
        NO_COLOR: '1',
        LOG_MB: process.env.LOG_MB ?? '9',
      },
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text
    })
    const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), TIME_LIMIT_MS)
    child.once('error', reject)
    // 'close' comes when the last process that has the pipes is gone: a program that leaves one behind runs out of time.
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolved({ code, signal, stdout, stderr })
    })
  })
}

function extensionOf({ language, text }: Block): string {
  if (language === 'ts' || language === 'mts') return 'mts'
  return language === 'cjs' || /\brequire\(/.test(text) ? 'cjs' : 'mjs'
}

for (const document of documents) {
  describe(relative(root, document), () => {
    for (const block of programsOf(document)) {
      if (block.notRun !== undefined) {
        test(`${block.at} says why it is not run`, () => expect(block.notRun).not.toBe(''))
        continue
      }
      test(`${block.at} runs`, async () => {
        const extension = extensionOf(block)
        const file = join(folder, `${block.at.replace(/\W/g, '-')}.${extension}`)
        writeFileSync(file, `${block.text}\n`)
        const { stdout, ...ended } = await run(file, extension === 'mts' ? ['--import', tsx] : [])
        expect(ended, stdout).toEqual({ code: 0, signal: null, stderr: '' })
        if (block.prints !== undefined) expect(stdout.trim()).toMatch(pattern(block.prints))
      })
    }

    test('links lead somewhere', () => {
      const broken = linksOf(document).filter((link) => {
        const [path, anchor] = link.split('#')
        const file = path === '' ? document : resolve(dirname(document), path!)
        return !existsSync(file) || (anchor !== undefined && !anchorsOf(file).includes(anchor))
      })
      expect(broken).toEqual([])
    })
  })
}

/** What they are given here, so that they are quick. */
const SHORT: Record<string, string[]> = { 'mandelbrot.mjs': ['160'] }
const EXAMPLES: Record<string, string> = {
  'mandelbrot.mjs': `
160 × 120 in … ms by … processes
19.… % of the points are in the set`,
  'image-batch.mjs': `
left out: unrecognised content at end of stream
24 of 25 images: smaller than before`,
  'log-crunch.mjs': `
9 MB, … MB/s
330000 requests, 13841 failed, 450.5 ms on average
64215 × /pay
63809 × /
63596 × /search`,
  'web-server.mjs': `
alice: 30 answered, 10 turned away
bob: 200
computed: 3 times for 34 answers`,
  'job-queue.mjs': `
the program ended: SIGKILL
35 jobs were left
the program ended: exit code 0
60 of 60 jobs done, 0 of them twice`,
  'numpy-exchange.mjs': `
Python's sum of what Node wrote: 499999500000
Node sees the roots that Python wrote: 12 500`,
  'quickstart.mjs': `
3 × hello world from process …
Process-1 (pid …) ended with exit code 0
sum of squares, filled by four processes: 328350
addLocked: 10
addOwnLock: 10
addAtomic: 10
the closure says 3`,
}

describe('examples', () => {
  for (const name of readdirSync(join(root, 'examples')).filter((file) => file.endsWith('.mjs')))
    test(`${name} prints what it should`, async () => {
      const { stdout, ...ended } = await run(join(root, 'examples', name), [], SHORT[name])
      expect(ended, stdout).toEqual({ code: 0, signal: null, stderr: '' })
      expect(EXAMPLES[basename(name)], 'no output is known for this example').toBeDefined()
      expect(stdout.trim()).toMatch(pattern(EXAMPLES[basename(name)]!))
    })
})
