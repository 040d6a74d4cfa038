// The documents leave nothing out: every code that is thrown, every name that is exported.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as multiproc from 'multiproc'
import { expect, test } from 'vitest'
import { documents, root } from './markdown'

function sourcesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|cc|h)$/.test(name))
    .map((name) => readFileSync(join(root, folder, name), 'utf8'))
}

test('every error code is explained', () => {
  const codes = [...sourcesIn('lib'), ...sourcesIn('native')].flatMap(
    (source) => source.match(/(?<=['"])ERR_(MP|INVALID|OUT)\w*(?=['"])/g) ?? [],
  )
  const explained = new Set(readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8').match(/(?<=`)ERR_\w+(?=`)/g))
  expect(codes.length).toBeGreaterThan(0)
  expect([...new Set(codes)].filter((code) => !explained.has(code))).toEqual([])
})

test('no code is explained that is thrown nowhere', () => {
  const sources = [...sourcesIn('lib'), ...sourcesIn('native')].join('\n')
  const explained = readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8').match(/(?<=`)ERR_MP\w*(?=`)/g)!
  expect([...new Set(explained)].filter((code) => !sources.includes(code))).toEqual([])
})

test('every exported name occurs', () => {
  const text = documents.map((document) => readFileSync(document, 'utf8')).join('\n')
  // systemErrorOf is for the package's own files.
  const names = Object.keys(multiproc).filter((name) => !['default', 'systemErrorOf'].includes(name))
  expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([])
})
