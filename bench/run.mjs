// npm run bench [-- NAME…]: takes the figures, prints them as a table, and fails if one misses its bar.
import { cpus } from 'node:os'
import { figures } from './figures.mjs'
import { python } from './measure.mjs'

const wanted = process.argv.slice(2)
const chosen = wanted.length === 0 ? figures : figures.filter((f) => wanted.includes(f.name))
if (chosen.length === 0) {
  console.error(`no such figure; there are: ${figures.map((f) => f.name).join(', ')}`)
  process.exit(2)
}
console.log(`node ${process.version}, ${python}, ${cpus().length} × ${cpus()[0]?.model}\n`)
const short = (n) => (n >= 1e5 ? n.toExponential(2) : n.toFixed(n < 10 ? 2 : 1))
let missed = 0
console.log('| figure | ours | peer | | bar | |\n|---|---|---|---|---|---|')
for (const { title, unit, peer, bar, measure, judge } of chosen) {
  const result = await measure()
  const value = judge(result)
  const met = 'least' in bar ? value >= bar.least : value <= (bar.most ?? bar.mostMore)
  if (!met) missed++
  const limit = 'least' in bar ? `≥ ${bar.least}` : 'most' in bar ? `≤ ${bar.most}` : `≤ +${bar.mostMore}`
  const range = ([low, high]) => `${short(low)}–${short(high)}`
  const other = peer === undefined ? '' : `${peer}: ${short(result.peer)} (${range(result.spread.peer)})`
  console.log(
    `| ${title} (${unit}) | ${short(result.ours)} (${range(result.spread.ours)}) | ${other} | ${value.toFixed(3)} | ${limit} | ${met ? 'met' : 'MISSED'} |`,
  )
}
process.exitCode = missed === 0 ? 0 : 1
