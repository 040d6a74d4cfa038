// Results as JSON, as tables in Markdown, and into docs/.
//
//   results.json    { machine, versions, load, figures, growth }; figures and growth are what take() and draw() give
//   figures.svg     and one growth-….svg for each curve
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export function short(number) {
  if (number === 0) return '0'
  const size = Math.abs(number)
  if (size >= 1e4) return Math.round(number).toLocaleString('en-US')
  return size >= 100 ? number.toFixed(0) : size >= 10 ? number.toFixed(1) : number.toPrecision(3)
}

const spread = ({ median, low, high }) => `${short(median)} (${short(low)}–${short(high)})`
function limit(bar) {
  if (bar === null) return ''
  if ('least' in bar) return `≥ ${bar.least}`
  return 'most' in bar ? `≤ ${bar.most}` : `≤ +${bar.mostMore}`
}

export const head = '| name | figure | ours | peer | | bar | |\n|---|---|---|---|---|---|---|'

/** A figure as a row of a table. */
export function row({ name, title, unit, against, bar, ours, peer, value, met, notes, error }) {
  const first = `| \`${name}\` | ${title} (${unit}) |`
  if (ours === null) return `${first} not measured: ${error} | | | ${limit(bar)} | FAILED |`
  const winners = peer?.winners?.length > 0 ? `, here ${peer.winners.join(', ')}` : ''
  const what = [
    peer === null ? '' : `: ${spread(peer)}`,
    notes.length > 0 ? ` (not measured: ${notes.join('; ')})` : '',
  ]
  const other = against === null ? '' : `${against}${winners}${what.join('')}`
  const verdict = met === null ? '' : met ? 'met' : 'MISSED'
  return `${first} ${spread(ours)} | ${other} | ${value === null ? '' : short(value)} | ${limit(bar)} | ${verdict} |`
}

/** A curve as a table: medians. */
export function growthTable({ x, panels, lines }) {
  const cells = (values) => values.map((value) => (value === null ? '' : short(value.median)))
  const rows = panels.flatMap(({ key, title }) =>
    lines
      .filter(({ error, values }) => error !== null || values[key].some((value) => value !== null))
      .map(({ name, values, error }) => [`${name}: ${title}`, ...(error === null ? cells(values[key]) : [error])]),
  )
  const table = [[x.title, ...x.points.map((point) => point.toLocaleString('en-US'))], ...rows]
  const lines_ = table.map((row) => `| ${row.join(' | ')} |`)
  return [lines_[0], `|${'---|'.repeat(x.points.length + 1)}`, ...lines_.slice(1)].join('\n')
}

const machineShortly = ({ machine, versions }) =>
  `${machine.processors} × ${machine.model}, Node ${versions.node}, CPython ${versions.python ?? 'not installed'}`

export function machineInWords({ machine, versions, load, figures, growth }) {
  const { processors, model, memoryGB, system } = machine
  const days = [...figures, ...growth].map(({ taken }) => taken.slice(0, 10)).sort()
  const when = days[0] === days.at(-1) ? days[0] : `${days[0]} to ${days.at(-1)}`
  const others = Object.entries(versions).filter(([name]) => !['multiproc', 'node', 'python'].includes(name))
  const peers = others.map(([name, version]) => (version === null ? `${name} not installed` : `${name} ${version}`))
  return (
    `multiproc ${versions.multiproc}, Node ${versions.node}, CPython ${versions.python ?? 'not installed'}, ${system}, ` +
    `${processors} × ${model}, ${memoryGB} GB, load before ${load}, ${when}; ${peers.join(', ')}.`
  )
}

/** The charts, by file name. */
async function charts({ figures, growth }) {
  const { figuresChart, growthChart } = await import('./chart.mjs')
  const all = { 'figures.svg': figuresChart(figures) }
  for (const curve of growth) all[`${curve.name}.svg`] = growthChart(curve)
  return Object.entries(all).filter(([, text]) => text !== null)
}

const asText = (results) => `${JSON.stringify(results, null, 1)}\n`

/** Writes results.json, alone while more is to come, with the charts at the end. Gives the names of the files. */
export async function save(folder, results, { withCharts }) {
  mkdirSync(folder, { recursive: true })
  const files = [['results.json', asText(results)], ...(withCharts ? await charts(results) : [])]
  for (const [name, text] of files) writeFileSync(join(folder, name), text)
  return files.map(([name]) => join(folder, name))
}

/** The results that are in `folder` with what was taken anew in their place. Those of another machine cannot be mixed. */
export function merged(folder, results, names) {
  let before
  try {
    before = JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8'))
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
    return results
  }
  const alike = ({ machine, versions }) => JSON.stringify([machine, versions])
  const inOrder = (key) => {
    const all = new Map([...before[key], ...results[key]].map((each) => [each.name, each]))
    return names.filter((name) => all.has(name)).map((name) => all.get(name))
  }
  const both = { ...results, figures: inOrder('figures'), growth: inOrder('growth') }
  const whole = both.figures.length === results.figures.length && both.growth.length === results.growth.length
  if (!whole && alike(before) !== alike(results))
    throw new Error(
      `${folder} has figures of another machine or other versions: take all of them (npm run bench -- --write)`,
    )
  return both
}

function between(text, marker, content) {
  const [begin, end] = [`<!-- ${marker} -->`, `<!-- /${marker} -->`]
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`docs/benchmarks.md has no ${begin} … ${end}`)
  return `${text.slice(0, from + begin.length)}\n\n${content}\n\n${text.slice(to)}`
}

function figuresInWords(results) {
  const { figures } = results
  const judged = figures.filter(({ met }) => met !== null)
  const parts = [machineInWords(results), `${judged.filter(({ met }) => met).length} of ${judged.length} bars are met.`]
  if (figures.some(({ times }) => times !== null))
    parts.push('![How many times as good as its peer each figure is](benchmarks/figures.svg)')
  return [...parts, [head, ...figures.map(row)].join('\n')].join('\n\n')
}

/** Puts tables and charts into docs/benchmarks.md, between its markers. */
export function writeDocument(file, results) {
  let text = readFileSync(file, 'utf8')
  if (results.figures.length > 0) text = between(text, 'figures', figuresInWords(results))
  for (const curve of results.growth) {
    const parts = [`![${curve.title}](benchmarks/${curve.name}.svg)`, growthTable(curve)]
    parts.push(
      `On ${machineShortly(results)}, ${curve.taken.slice(0, 10)}, load before ${curve.load}; rounds: ${curve.rounds}.`,
    )
    text = between(text, curve.name, parts.join('\n\n'))
  }
  writeFileSync(file, text)
}
