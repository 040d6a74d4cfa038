// `multiproc bench`: some seconds of measuring, to compare machines with each other and with docs/benchmarks.md.
import type { Command } from './command'
import { numberOption } from './command'
import { type Multiproc, multiproc } from './package'

interface Figure {
  name: string
  value: number
  unit: string
}

export const bench: Command = {
  name: 'bench',
  summary: 'measures this machine for some seconds',
  usage: '[--seconds S] [--json]',
  help: [
    'Options:',
    '  --seconds S      for each figure (default 0.5)',
    '  --json           for programs',
    '',
    'Each figure is the best of several rounds: how fast it can be here, not how fast it is on average. How the figures of',
    'the documentation are taken, beside those of others: docs/benchmarks.md.',
  ],
  options: { seconds: { type: 'string' }, json: { type: 'boolean' } },
  async run({ values, out }) {
    const ms = numberOption('seconds', values.seconds, 0.001, 0.5) * 1000
    const mp = multiproc()
    const figures: Figure[] = []
    for (const measure of [local, messages, starts, tasks])
      for (const figure of await measure(mp, ms)) {
        figures.push(figure)
        if (!values.json) out.table([[figure.name.padEnd(44), `${show(figure.value)} ${figure.unit}`]])
      }
    if (values.json) out.json(figures)
    return 0
  },
}

function show(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(3)
}

/** The best time of one call, ns. */
function each(ms: number, times: number, call: () => unknown): number {
  let best = Number.POSITIVE_INFINITY
  const end = performance.now() + ms
  do {
    const begun = performance.now()
    for (let i = 0; i < times; i++) call()
    best = Math.min(best, (performance.now() - begun) / times)
  } while (performance.now() < end)
  return best * 1e6
}

function local(mp: Multiproc, ms: number): Figure[] {
  const lock = new mp.Lock()
  const value = new mp.Value('int32', 0)
  const queue = new mp.Queue<object>()
  return [
    { name: 'lock and unlock', value: each(ms, 10_000, () => lock.acquireSync().release()), unit: 'ns' },
    { name: 'add to a shared value', value: each(ms, 10_000, () => value.add(1)), unit: 'ns' },
    {
      name: 'put and get a small object',
      value: each(ms, 1000, () => {
        queue.putSync({ id: 1, text: 'hello' })
        queue.getSync()
      }),
      unit: 'ns',
    },
  ]
}

/** There and back between two processes, and one way. */
async function messages(mp: Multiproc, ms: number): Promise<Figure[]> {
  const [mine, theirs] = mp.Pipe()
  const echo = (pipe: typeof theirs): void => {
    for (let value = pipe.recvSync(); value !== null; value = pipe.recvSync()) pipe.sendSync(value)
  }
  const child = new mp.Process({ target: echo, args: [theirs], daemon: true })
  child.start()
  mine.sendSync(0)
  mine.recvSync()
  const trip = each(ms, 200, () => {
    mine.sendSync(1)
    mine.recvSync()
  })
  mine.sendSync(null)
  await child.join()
  return [{ name: 'message to another process and back', value: trip / 1000, unit: 'µs' }]
}

async function starts(mp: Multiproc, ms: number): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const method of mp.getAllStartMethods()) {
    const { Process } = mp.getContext(method)
    let best = Number.POSITIVE_INFINITY
    const end = performance.now() + ms
    do {
      const begun = performance.now()
      const child = new Process({ target: () => {} })
      child.start()
      await child.started
      await child.join()
      best = Math.min(best, performance.now() - begun)
    } while (performance.now() < end)
    figures.push({ name: `a process from start to end, ${method}`, value: best, unit: 'ms' })
  }
  return figures
}

async function tasks(mp: Multiproc, ms: number): Promise<Figure[]> {
  const pool = new mp.Pool(2)
  const nothing = (): void => {}
  try {
    await pool.apply(nothing)
    let best = Number.POSITIVE_INFINITY
    let single = Number.POSITIVE_INFINITY
    const end = performance.now() + ms
    do {
      let begun = performance.now()
      await pool.apply(nothing)
      single = Math.min(single, performance.now() - begun)
      begun = performance.now()
      await Promise.all(Array.from({ length: 1000 }, () => pool.apply(nothing)))
      best = Math.min(best, (performance.now() - begun) / 1000)
    } while (performance.now() < end)
    return [
      { name: 'one task of a pool', value: single * 1000, unit: 'µs' },
      { name: 'one of 1,000 tasks of a pool of 2', value: best * 1000, unit: 'µs' },
    ]
  } finally {
    pool.terminate()
    await pool.join()
  }
}
