// Results as SVG, drawn by ECharts without a browser. Readable on light and dark pages: the colours are changed by a style in
// the file, with what the reader prefers.
import { CustomChart, LineChart } from 'echarts/charts'
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'

use([CustomChart, LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer])

// Each colour, and what it becomes on a dark page.
const INK = '#1f2328'
const MUTED = '#59636e'
const LINE = '#d1d9e0'
const PAPER = '#ffffff'
const BLUE = '#0969da'
const ORANGE = '#bc4c00'
const GREEN = '#1a7f37'
const PURPLE = '#8250df'
const YELLOW = '#9a6700'
const DARK = {
  [INK]: '#e6edf3',
  [MUTED]: '#9198a1',
  [LINE]: '#3d444d',
  [PAPER]: '#0d1117',
  [BLUE]: '#4493f8',
  [ORANGE]: '#f0883e',
  [GREEN]: '#3fb950',
  [PURPLE]: '#ab7df8',
  [YELLOW]: '#d29922',
}
const WIDTH = 980
const FONT = 'Helvetica, Arial, sans-serif'

function svg(width, height, option) {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  const font = { fontFamily: FONT, color: INK }
  chart.setOption({ animation: false, backgroundColor: PAPER, textStyle: font, ...option })
  const text = chart.renderToSVGString().replace(/\bzr\d+-/g, 'zr-') // its names count charts: the same data, the same file
  chart.dispose()
  const dark = Object.entries(DARK).map(([from, to]) => `[fill="${from}"]{fill:${to}}[stroke="${from}"]{stroke:${to}}`)
  return `${text.replace(/(<svg[^>]*>)/, `$1<style>@media (prefers-color-scheme:dark){${dark.join('')}}</style>`)}\n`
}

function rounded(number) {
  if (number >= 100) return number.toFixed(0)
  return number >= 10 ? number.toFixed(1) : number.toPrecision(2)
}
function shortly(number, thousand = 1000) {
  for (const [power, letter] of [
    [3, 'G'],
    [2, 'M'],
    [1, 'k'],
  ])
    if (number >= thousand ** power) return `${Math.round((number / thousand ** power) * 10) / 10}${letter}`
  return String(Number(number.toPrecision(3)))
}

const ROW = 30
const LEFT = 430

/** How many times as good as its peer each figure is: a bar from 1, its range over the pairs, and where the bar is set. */
export function figuresChart(figures) {
  const rows = figures.filter(({ times }) => times !== null).reverse()
  if (rows.length === 0) return null
  const colour = ({ met }) => (met === false ? ORANGE : met === null ? MUTED : BLUE)
  const lows = rows.map(({ times }) => Math.min(times.median, times.low))
  const highs = rows.map(({ times }) => Math.max(times.median, times.high, times.bar ?? 0))
  const decade = (value, round) => 10 ** round(Math.log10(value))
  const plain = (text) => text.replaceAll('{', '(').replaceAll('}', ')') // braces are ECharts' markup
  const label = ({ title, against }) => `{title|${plain(title)}}\n{against|against ${plain(against)}}`
  return svg(WIDTH, rows.length * ROW + 110, {
    title: {
      text: 'How many times as good as the peer',
      subtext:
        'to the right of 1: better · tick: what was promised · thin line: range over the pairs · blue: met, orange: missed',
      left: 16,
      top: 10,
      textStyle: { fontSize: 15, color: INK },
      subtextStyle: { fontSize: 11, color: MUTED },
    },
    grid: { left: LEFT, right: 70, top: 84, bottom: 14 },
    xAxis: {
      type: 'log',
      position: 'top',
      min: Math.min(0.1, decade(Math.min(...lows), Math.floor)),
      max: Math.max(10, decade(Math.max(...highs), Math.ceil)),
      axisLabel: { formatter: (value) => `${shortly(value)}×`, color: MUTED, fontSize: 11 },
      splitLine: { lineStyle: { color: LINE } },
    },
    yAxis: {
      type: 'category',
      data: rows.map(({ name }) => name),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: {
        interval: 0,
        formatter: (_, index) => label(rows[index]),
        rich: {
          title: { fontSize: 12, lineHeight: 14, align: 'right', color: INK },
          against: { fontSize: 10, lineHeight: 12, align: 'right', color: MUTED },
        },
      },
    },
    series: [
      {
        type: 'custom',
        data: rows.map(({ times }, index) => [times.median, index]),
        renderItem(_, api) {
          const row = rows[api.value(1)]
          const at = (value) => api.coord([value, api.value(1)])[0]
          const y = api.coord([1, api.value(1)])[1]
          const [one, end] = [at(1), at(row.times.median)]
          const line = (x1, y1, x2, y2, stroke, lineWidth) => ({
            type: 'line',
            shape: { x1, y1, x2, y2 },
            style: { stroke, lineWidth },
          })
          const [low, high] = [at(row.times.low), at(row.times.high)]
          const children = [
            line(one, y - ROW / 2, one, y + ROW / 2, MUTED, 1),
            {
              type: 'rect',
              shape: { x: Math.min(one, end), y: y - 7, width: Math.max(1, Math.abs(end - one)), height: 14 },
              style: { fill: colour(row) },
            },
            line(low, y, high, y, MUTED, 1.5),
            {
              type: 'text',
              style: {
                text: `${rounded(row.times.median)}×`,
                x: Math.max(one, end, high, row.times.bar === null ? 0 : at(row.times.bar)) + 6,
                y,
                fill: INK,
                fontSize: 11,
                fontFamily: FONT,
                textVerticalAlign: 'middle',
              },
            },
          ]
          if (row.times.bar !== null) children.push(line(at(row.times.bar), y - 11, at(row.times.bar), y + 11, INK, 2))
          return { type: 'group', children }
        },
      },
    ],
  })
}

const OURS = [BLUE, GREEN, PURPLE]
const PEERS = [ORANGE, YELLOW, MUTED, INK]
const GAP = 40

/** A curve: one panel beside the other, the same lines in each. */
export function growthChart({ title, x, panels, lines }) {
  const ours = lines.filter((line) => line.ours)
  const peers = lines.filter((line) => !line.ours)
  const styled = lines.map((line) => ({
    line,
    colour: line.ours ? OURS[ours.indexOf(line)] : PEERS[peers.indexOf(line)],
  }))
  const known = ({ values }, key) => values[key].some((value) => value !== null)
  const drawn = panels.filter(({ key }) => lines.some((line) => known(line, key)))
  const each = (WIDTH - GAP) / drawn.length
  const kilo = x.base === 8 ? 1024 : 1000
  return svg(WIDTH, 380, {
    title: { text: title, left: 16, top: 10, textStyle: { fontSize: 15, color: INK } },
    legend: {
      left: 12,
      top: 36,
      itemWidth: 24,
      itemGap: 28,
      textStyle: { color: INK, fontSize: 12 },
      data: lines.filter((line) => drawn.some(({ key }) => known(line, key))).map(({ name }) => name),
    },
    grid: drawn.map((_, i) => ({ left: GAP + i * each + 24, width: each - 64, top: 100, bottom: 52 })),
    xAxis: drawn.map((_, i) => ({
      gridIndex: i,
      type: 'log',
      logBase: x.base,
      min: x.points[0],
      max: x.points.at(-1),
      name: x.title,
      nameLocation: 'middle',
      nameGap: 28,
      nameTextStyle: { color: MUTED, fontSize: 11 },
      axisLabel: { formatter: (value) => shortly(value, kilo), color: MUTED, fontSize: 11, hideOverlap: true },
      axisLine: { lineStyle: { color: MUTED } },
      splitLine: { show: false },
    })),
    yAxis: drawn.map(({ title, log }, i) => ({
      gridIndex: i,
      type: log ? 'log' : 'value',
      name: title,
      nameTextStyle: { color: INK, fontSize: 12, align: 'left', padding: [0, 0, 4, -24] },
      axisLabel: { formatter: (value) => shortly(value), color: MUTED, fontSize: 11 },
      splitLine: { lineStyle: { color: LINE } },
    })),
    series: drawn.flatMap(({ key, log }, i) =>
      styled.map(({ line, colour }) => ({
        name: line.name,
        type: 'line',
        xAxisIndex: i,
        yAxisIndex: i,
        data: x.points
          .map((at, k) => [at, line.values[key][k]?.median ?? null])
          .filter(([, value]) => value !== null && !(log && value <= 0)),
        color: colour,
        symbol: line.ours ? 'circle' : 'rect',
        symbolSize: line.ours ? 7 : 5,
        lineStyle: { width: line.ours ? 3 : 1.5, type: line.ours ? 'solid' : 'dashed' },
      })),
    ),
  })
}
