// npm run bench [-- NAME…]: takes figures and curves, prints them as tables, writes JSON and SVG, and fails if a bar is missed.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { figures, groups, take } from './figures.mjs'
import { curves, draw } from './growth.mjs'
import { load, machine, versions } from './machine.mjs'
import { settings, stop } from './measure.mjs'
import { growthTable, head, machineInWords, merged, row, save, writeDocument } from './report.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const HELP = `npm run bench [-- NAME…] [--write] [--quick] [--rounds N] [--out FOLDER] [--list]

NAME         a figure or a curve; else a group, or figures; else the beginning of names (queue, growth). Without: all
--write      writes into docs/: the tables and charts of docs/benchmarks.md. What was not taken anew stays
--quick      one round and few points: to see that it works
--rounds N   at most N rounds of each
--out FOLDER where results.json and the charts go, instead of bench/results
--list       names and groups, and takes nothing`

const options = {
  write: { type: 'boolean' },
  quick: { type: 'boolean' },
  list: { type: 'boolean' },
  help: { type: 'boolean' },
  rounds: { type: 'string' },
  out: { type: 'string' },
}

function refuse(message) {
  console.error(message)
  process.exit(2)
}

function parsed() {
  try {
    return parseArgs({ allowPositionals: true, options })
  } catch (error) {
    return refuse(`${error.message}\n\n${HELP}`)
  }
}
const { values, positionals } = parsed()

function list() {
  const named = Object.entries(groups).map(([group, all]) => `${group}: ${all.map(({ name }) => name).join(', ')}`)
  return [...named, `growth: ${curves.map(({ name }) => name).join(', ')}`].join('\n')
}

const everything = [...figures, ...curves]
/** What a name means: a figure or curve, all figures, a group, or all whose names begin so. */
function meant(name) {
  const rules = [
    (each) => each.name === name,
    (each) => 'group' in each && (name === 'figures' || name === each.group),
    (each) => each.name.startsWith(`${name}-`),
  ]
  const found = rules.map((rule) => everything.filter(rule)).find((all) => all.length > 0)
  return found ?? refuse(`there is no figure, group or curve "${name}". There are:\n${list()}`)
}

if (values.help) {
  console.log(HELP)
  process.exit()
}
if (values.list) {
  console.log(list())
  process.exit()
}
if (values.rounds !== undefined) settings.rounds = Number(values.rounds)
if (!(settings.rounds >= 1)) refuse(`--rounds must be a number from 1, not ${values.rounds}`)
if (values.quick) settings.rounds = 1

// On a terminal progress is one line that changes; elsewhere a line for each figure.
const terminal = process.stderr.isTTY
const began = performance.now()
const wanted = new Set(positionals.flatMap(meant))
const chosen = everything.filter((each) => wanted.size === 0 || wanted.has(each))
let position = 0
let current = ''
function tell(text) {
  const minutes = Math.floor((performance.now() - began) / 60_000)
  const seconds = Math.floor(((performance.now() - began) / 1000) % 60)
  const line = `[${position}/${chosen.length}] ${minutes}:${String(seconds).padStart(2, '0')} ${text}`
  process.stderr.write(terminal ? `\r\x1b[K${line}` : `${line}\n`)
}
settings.onRound = (round, rounds) => {
  if (terminal) tell(`${current}, round ${round + 1} of ${rounds}`)
}
function say(text) {
  if (terminal) process.stderr.write('\r\x1b[K')
  console.log(text)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.once(signal, () => {
    stop()
    process.exitCode = 130
  })

const out = values.out ?? join(root, 'bench/results')
await import('./chart.mjs').catch((error) => refuse(`charts need the devDependencies (npm ci): ${error.message}`))
const results = { machine: machine(), versions: versions(), load: load(), figures: [], growth: [] }
if (results.load > 0.5) console.error(`this machine is busy (load ${results.load}): figures will be noisy`)
if (values.out === undefined) rmSync(out, { recursive: true, force: true })

const isFigure = (each) => 'group' in each
if (chosen.some(isFigure)) say(head)
for (const each of chosen) {
  position++
  current = each.name
  tell(current)
  try {
    if (isFigure(each)) {
      const figure = await take(each)
      if (stop.called) break
      results.figures.push(figure)
      say(row(figure))
    } else {
      const curve = { load: load(), ...(await draw(each, values)) }
      if (stop.called) break
      results.growth.push(curve)
      say(`\n${curve.title}\n\n${growthTable(curve)}`)
    }
  } catch (error) {
    if (!stop.called) throw error
    break
  }
  await save(out, results, { withCharts: false })
}

const failed = results.figures.filter(({ ours }) => ours === null)
const missed = results.figures.filter(({ met }) => met === false)
const broken = results.growth.flatMap((curve) => curve.lines.filter(({ ours, error }) => ours && error !== null))
say(`\n${machineInWords(results)}`)
for (const file of await save(out, results, { withCharts: true })) console.error(`wrote ${file}`)
if (values.write && !stop.called) {
  const folder = join(root, 'docs/benchmarks')
  const both = merged(
    folder,
    results,
    [...figures, ...curves].map(({ name }) => name),
  )
  for (const file of await save(folder, both, { withCharts: true })) console.error(`wrote ${file}`)
  writeDocument(join(root, 'docs/benchmarks.md'), both)
}
console.error(
  `${results.figures.length} figures, ${missed.length} of them missed, ${failed.length} failed; ` +
    `${results.growth.length} curves, ${broken.length} lines of ours failed; ${Math.round((performance.now() - began) / 1000)} s`,
)
if (process.exitCode === undefined) process.exitCode = missed.length + failed.length + broken.length === 0 ? 0 : 1
