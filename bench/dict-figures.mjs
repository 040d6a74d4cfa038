// The figures of dictionaries and lists in shared memory.
import { nodeSays, pairs, pythonSays } from './measure.mjs'

const against = (what) => ({
  name: `dict-${what}`,
  title: `SharedDict ${what}, small values`,
  unit: 'operations/s',
  peer: 'CPython Manager dict',
  bar: { least: 50 },
  measure: () =>
    pairs(
      5,
      () => nodeSays('dict.mjs', what),
      () => pythonSays('dict.py', what),
    ),
})

export const dictFigures = [against('set'), against('get')]
