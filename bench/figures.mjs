// The figures that the project promises, by group: what is measured against whom, and the bar.
//
// A bar is { least } or { most } of ours divided by the peer's (without a peer: of ours), or { mostMore }: so much above the peer's.
import { clusterFigures } from './cluster-figures.mjs'
import { dictFigures } from './dict-figures.mjs'
import { managerFigures } from './manager-figures.mjs'
import { messageFigures } from './message-figures.mjs'
import { poolFigures } from './pool-figures.mjs'
import { sharingFigures } from './sharing-figures.mjs'
import { startFigures } from './start-figures.mjs'
import { syncFigures } from './sync-figures.mjs'

export const groups = {
  start: startFigures,
  sharing: [...sharingFigures, ...dictFigures],
  sync: syncFigures,
  messages: messageFigures,
  pool: poolFigures,
  manager: managerFigures,
  cluster: clusterFigures,
}

export const figures = Object.entries(groups).flatMap(([group, list]) => list.map((figure) => ({ group, ...figure })))

/** Whether more of it is better. */
const moreIsBetter = ({ bar, less }) => (bar === undefined ? !less : 'least' in bar)

function judged({ bar, peer }, ours, theirs) {
  if (peer === undefined) return ours
  if (theirs === null) return null
  return bar !== undefined && 'mostMore' in bar ? ours - theirs : ours / theirs
}

function met(bar, value) {
  if (bar === undefined || value === null) return null
  return 'least' in bar ? value >= bar.least : value <= (bar.most ?? bar.mostMore)
}

/** How many times as good as the peer, by pairs: for the chart. The bar in the same terms. */
function timesAsGood(figure, ours, peer) {
  if (peer === null) return null
  const times = moreIsBetter(figure) ? (a, b) => a / b : (a, b) => b / a
  const each = ours.samples.map((sample, i) => times(sample, peer.samples[i]))
  const { bar } = figure
  let least = null
  if (bar !== undefined)
    least = bar.least ?? (bar.most === undefined ? peer.median / (peer.median + bar.mostMore) : 1 / bar.most)
  return { median: times(ours.median, peer.median), low: Math.min(...each), high: Math.max(...each), bar: least }
}

/** Takes a figure. What goes wrong with ours is in `error`, and what with a peer in `notes`. */
export async function take(figure) {
  const { name, group, title, unit, peer: against, bar } = figure
  const about = { name, group, title, unit, against: against ?? null, bar: bar ?? null }
  const began = performance.now()
  const taken = new Date().toISOString()
  const done = () => ({ taken, seconds: Math.round((performance.now() - began) / 100) / 10 })
  try {
    const { ours, peer, notes } = await figure.measure()
    const value = judged(figure, ours.median, peer?.median ?? null)
    const times = timesAsGood(figure, ours, peer)
    return { ...about, ours, peer, value, met: met(bar, value), times, notes, ...done() }
  } catch (error) {
    const nothing = { ours: null, peer: null, value: null, met: null, times: null, notes: [] }
    return { ...about, ...nothing, error: error.message, ...done() }
  }
}
