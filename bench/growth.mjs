// How cost grows: the curves. Each line is drawn by one program, which goes through all points and prints a line of JSON for
// each; the programs take turns, some rounds, and the median of each point counts.
import { outputOf, programOf, settings, stop, summary } from './measure.mjs'

const powers = (base, ...exponents) => exponents.map((exponent) => base ** exponent)

/**
 * `x`: what grows, the base of its axis, and the points (`quick`: those of --quick). `panels`: what is drawn over it, one chart each, by the key in the
 * programs' output. `lines`: who is measured; `program` is of cases/growth or peers/growth, and `what` its first argument.
 */
export const curves = [
  {
    name: 'growth-messages',
    title: 'Messages of 8 bytes to 64 MB, one way between two processes',
    x: { title: 'bytes', base: 8, points: [...powers(8, 1, 2, 3, 4, 5, 6, 7, 8), 64 << 20], quick: [64, 65536] },
    ms: 100,
    panels: [
      { key: 'time', title: 'time for one (µs)', log: true },
      { key: 'rate', title: 'throughput (GB/s)', log: false },
    ],
    lines: [
      { name: 'Pipe', ours: true, program: 'growth/messages.mjs', what: 'pipe' },
      { name: 'Queue', ours: true, program: 'growth/messages.mjs', what: 'queue' },
      { name: 'CPython Pipe', program: 'growth/messages.py', what: 'pipe' },
      { name: 'CPython Queue', program: 'growth/messages.py', what: 'queue' },
      { name: 'postMessage to a worker', program: 'growth/messages.mjs', what: 'port' },
      { name: 'child_process, advanced', program: 'growth/messages.mjs', what: 'fork' },
    ],
  },
  {
    name: 'growth-workers',
    title: 'Pools of 1 to 16 workers',
    x: { title: 'workers', base: 2, points: [1, 2, 4, 8, 16], quick: [1, 2] },
    ms: 200,
    panels: [
      { key: 'tasks', title: 'no-op tasks a second', log: true },
      { key: 'speed', title: 'computing: times a plain loop', log: false },
    ],
    lines: [
      { name: 'Pool', ours: true, program: 'growth/workers.mjs', what: 'multiproc' },
      { name: 'CPython Pool', program: 'growth/workers.py', what: 'pool' },
      { name: 'piscina (threads)', program: 'growth/workers.mjs', what: 'piscina' },
    ],
  },
  {
    name: 'growth-depth',
    title: 'A queue of 10 to 1,000,000 small objects that nobody takes yet',
    x: { title: 'messages in the queue', base: 10, points: powers(10, 1, 2, 3, 4, 5, 6), quick: [10, 1000] },
    ms: 100,
    panels: [
      { key: 'put', title: 'a put (µs)', log: true },
      { key: 'get', title: 'a get (µs)', log: true },
      { key: 'memory', title: 'memory for each (bytes)', log: true },
    ],
    lines: [
      { name: 'Queue', ours: true, program: 'growth/depth.mjs', what: 'queue' },
      { name: 'CPython Queue', program: 'growth/depth.py', what: 'queue' },
    ],
  },
  {
    name: 'growth-locks',
    title: 'One Lock that 1 to 64 processes want all the time',
    x: { title: 'processes', base: 2, points: powers(2, 0, 1, 2, 3, 4, 5, 6), quick: [1, 2] },
    ms: 500,
    panels: [
      { key: 'rate', title: 'acquisitions a second, all', log: true },
      { key: 'share', title: 'least of all, % of its fair share', log: false },
    ],
    lines: [
      { name: 'Lock', ours: true, program: 'growth/locks.mjs', what: 'lock' },
      { name: 'CPython Lock', program: 'growth/locks.py', what: 'lock' },
    ],
  },
  {
    name: 'growth-waiters',
    title: '1 to 10,000 promises of one process that wait at once',
    x: { title: 'promises that wait', base: 10, points: powers(10, 0, 1, 2, 3, 4), quick: [1, 100] },
    ms: 100,
    panels: [
      { key: 'wake', title: 'time to wake one (µs)', log: true },
      { key: 'memory', title: 'heap for each (bytes)', log: true },
    ],
    lines: [
      { name: 'lock.acquire(), handed on', ours: true, program: 'growth/waiters.mjs', what: 'lock' },
      { name: 'queue.get()', ours: true, program: 'growth/waiters.mjs', what: 'queue' },
      { name: 'event.wait(), one set()', ours: true, program: 'growth/waiters.mjs', what: 'event' },
      { name: 'Atomics.waitAsync (one process)', program: 'growth/waiters.mjs', what: 'atomics' },
    ],
  },
]

const ROUNDS = 3

/** Draws a curve. A line that cannot be drawn says why in its `error`. */
export async function draw({ name, title, x, ms, panels, lines }, { quick }) {
  const began = performance.now()
  const taken = new Date().toISOString()
  const points = quick ? x.quick : x.points
  const rounds = Math.min(ROUNDS, settings.rounds)
  const drawn = lines.map(({ name, ours = false }) => ({ name, ours, samples: new Map() }))
  for (let round = 0; round < rounds; round++)
    for (const [i, { program, what }] of lines.entries()) {
      settings.onRound(round * lines.length + i, rounds * lines.length)
      const line = drawn[i]
      if (line.error !== undefined) continue
      try {
        const [command, file] = programOf(program)
        const output = await outputOf(command, [file, what, String(quick ? 1 : ms), ...points.map(String)])
        for (const each of output.trim().split('\n')) {
          const { x, ...values } = JSON.parse(each)
          for (const [key, value] of Object.entries(values)) {
            if (value === null) continue
            const at = `${x} ${key}`
            line.samples.set(at, [...(line.samples.get(at) ?? []), value])
          }
        }
      } catch (error) {
        if (stop.called) throw error
        line.error = error.message
      }
    }
  return {
    name,
    title,
    x: { title: x.title, base: x.base, points },
    panels: panels.map(({ key, title, log }) => ({ key, title, log })),
    rounds,
    lines: drawn.map(({ name, ours, samples, error }) => ({
      name,
      ours,
      error: error ?? null,
      values: Object.fromEntries(
        panels.map(({ key }) => [
          key,
          points.map((x) => (samples.has(`${x} ${key}`) ? summary(samples.get(`${x} ${key}`)) : null)),
        ]),
      ),
    })),
    taken,
    seconds: Math.round((performance.now() - began) / 100) / 10,
  }
}
