// What the tests of the documents read out of Markdown: programs, what they print, links and headings.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Block {
  /** `docs/locks.md:12`: the line of the opening fence. */
  readonly at: string
  readonly language: string
  readonly text: string
  /** From `<!-- not run: reason -->` in the line before the block. An empty reason is an error of the document. */
  readonly notRun: string | undefined
  /** The ```text block that follows at once: what the program prints, `…` standing for anything within a line. */
  readonly prints: string | undefined
}

export const documents: readonly string[] = [
  join(root, 'README.md'),
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(root, 'docs', name)),
]

interface Fence {
  begin: number
  end: number
  language: string
  text: string
}

function fencesOf(lines: readonly string[]): Fence[] {
  const fences: Fence[] = []
  for (let i = 0; i < lines.length; i++) {
    const open = /^(\s*)```(\w*)\s*$/.exec(lines[i]!)
    if (open === null) continue
    const begin = i
    do i++
    while (i < lines.length && lines[i]!.trim() !== '```')
    const text = lines.slice(begin + 1, i).map((line) => line.slice(open[1]!.length))
    fences.push({ begin, end: i, language: open[2]!, text: text.join('\n') })
  }
  return fences
}

/** The programs of a document: its blocks of JavaScript and TypeScript. */
export function programsOf(document: string): Block[] {
  const lines = readFileSync(document, 'utf8').split('\n')
  const fences = fencesOf(lines)
  return fences.flatMap((fence, i) => {
    if (!['js', 'mjs', 'cjs', 'ts', 'mts'].includes(fence.language)) return []
    const before = lines.slice(0, fence.begin).findLast((line) => line.trim() !== '')
    const next = fences[i + 1]
    const between = next === undefined ? undefined : lines.slice(fence.end + 1, next.begin)
    const follows = next?.language === 'text' && between!.every((line) => line.trim() === '')
    return {
      at: `${relative(root, document)}:${fence.begin + 1}`,
      language: fence.language,
      text: fence.text,
      notRun: /<!--\s*not run:(.*?)-->/.exec(before ?? '')?.[1]?.trim(),
      prints: follows ? next.text : undefined,
    }
  })
}

function prose(document: string): string {
  const lines = readFileSync(document, 'utf8').split('\n')
  for (const { begin, end } of fencesOf(lines)) for (let i = begin; i <= end; i++) lines[i] = ''
  return lines.join('\n')
}

/** The targets of all links that do not leave the repository. */
export function linksOf(document: string): string[] {
  return [...prose(document).matchAll(/\]\(([^)\s]+)\)/g)].map((m) => m[1]!).filter((to) => !/^[a-z]+:/i.test(to))
}

/** The anchors that GitHub makes of the headings. */
export function anchorsOf(document: string): string[] {
  return [...prose(document).matchAll(/^#+\s+(.*)$/gm)].map((m) =>
    m[1]!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  )
}

/** Does a printed text match what a document says, where `…` stands for anything within a line? */
export function pattern(expected: string): RegExp {
  const escaped = expected.trim().replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${escaped.replaceAll('…', '[^\\n]*')}$`)
}
