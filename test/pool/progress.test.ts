// The progress of maps, and progressBar().
import { PassThrough } from 'node:stream'
import * as mp from 'multiproc'
import { expect, it } from 'vitest'
import { program } from '../process/program'
import { until } from '../until'
import { all, errorOf, pool, range } from './pools'

/** What a terminal was told. */
function terminal(): { stream: NodeJS.WritableStream; text: () => string } {
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 80 })
  let text = ''
  stream.on('data', (chunk) => {
    text += chunk
  })
  return { stream, text: () => text }
}

it('a map tells how many of its items are done', async () => {
  const p = pool(2)
  const seen: [number, number][] = []
  await p.map((x: number) => x, range(40), { chunkSize: 5, onProgress: (done, total) => seen.push([done, total]) })
  await until(() => seen.at(-1)?.[0] === 40, 'the last one')
  expect(seen.every(([done, total], k) => total === 40 && done > (seen[k - 1]?.[0] ?? 0))).toBe(true)
})

it('a map whose function tells itself tells no more than that', async () => {
  const p = pool(1)
  const seen: [number, number][] = []
  const one = (k: number) => mp.taskContext().progress(k, 100)
  await p.map(one, [7, 8], { onProgress: (done, total) => seen.push([done, total]) })
  await new Promise((resolve) => setImmediate(resolve))
  expect(seen).toEqual([
    [7, 100],
    [8, 100],
  ])
})

it('a bar for onProgress', async () => {
  const p = pool(2)
  const { stream, text } = terminal()
  await p.map((x: number) => x, range(10), { onProgress: mp.progressBar({ title: 'Squares', stream }) })
  await until(() => text().includes('10/10'), 'the end of the bar')
  expect(text()).toContain('Squares')
  expect(text()).toContain('100%')
})

it('a bar around what is iterated', async () => {
  const p = pool(2)
  const { stream, text } = terminal()
  const squares = p.imap((x: number) => x * x, range(10))
  expect(await all(mp.progressBar({ total: 10, stream }).each(squares))).toEqual(range(10).map((x) => x * x))
  await until(() => text().includes('10/10'), 'the end of the bar')

  const second = terminal()
  expect([...mp.progressBar({ stream: second.stream }).each(range(5))]).toEqual(range(5))
  await until(() => second.text().includes('5/5'), 'the end of the bar')

  const left = terminal()
  for (const x of mp.progressBar({ stream: left.stream }).each(range(5))) if (x === 2) break
  await until(() => left.text().includes('2/5'), 'as far as it came')
})

it('nothing is drawn where there is no terminal', () => {
  const stream = new PassThrough()
  const bar = mp.progressBar({ stream })
  bar(1, 2)
  bar(2, 2)
  bar.stop()
  expect(stream.read()).toBeNull()
})

it('wrong arguments are told at once', async () => {
  expect(await errorOf(() => mp.progressBar({ title: 1 as any }))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  expect(await errorOf(() => mp.progressBar({ total: -1 }))).toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
  expect(await errorOf(() => mp.progressBar({ stream: {} as any }))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  expect(await errorOf(() => mp.progressBar().each(1 as any))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
})

it('without cli-progress it says what to install', async () => {
  const { stdout } = await program('../pool/no-bar.cjs')
  expect(stdout).toBe('ERR_MP_UNSUPPORTED true\n')
})
