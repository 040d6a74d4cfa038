// Messages with open resources, written and read in one process: FileHandles at once and awaited, what was dropped, what is forged.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'
import { bundleDescriptors } from '../fixtures/descriptors/bundle'

const root = fileURLToPath(new URL('../..', import.meta.url))
const addon = createRequire(import.meta.url)('node-gyp-build').resolve(root)
let bundle: string
beforeAll(async () => {
  bundle = await bundleDescriptors()
})

const gone = 'SerializationError ERR_MP_SERIALIZATION cannot receive a FileHandle: the shared object no longer exists'
const expected: Record<string, string[]> = {
  sync: ['true true 2 1 true', 'left 0', 'true'],
  async: ['3 true', 'left 0'],
  dropped: [gone, gone, 'value.file'],
  forged: ['true true left 0'],
  worker: ['true', 'true', 'exit 0'],
}

test.each(Object.keys(expected))('%s', async (name) => {
  const file = fileURLToPath(new URL('../fixtures/descriptors/messages.cjs', import.meta.url))
  const child = spawn(process.execPath, [file, bundle, addon, name], { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (more) => {
      text += more
    })
  const [code] = await once(child, 'close')
  expect(text.trimEnd().split('\n')).toEqual(expected[name])
  expect(code).toBe(0)
})
