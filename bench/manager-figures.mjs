// The figures of managers.
import { nodeSays, pairs, pythonSays } from './measure.mjs'

export const managerFigures = [
  {
    name: 'manager-set',
    title: 'manager dict: set, blocking',
    unit: 'operations/s',
    peer: 'CPython Manager: d[k] = v',
    bar: { least: 8 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('manager.mjs', 'set'),
        () => pythonSays('manager.py', 'set'),
      ),
  },
  {
    name: 'manager-batch',
    title: 'manager dict: set in batches of 1,000',
    unit: 'operations/s',
    peer: 'CPython Manager: d[k] = v',
    bar: { least: 30 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('manager.mjs', 'batch'),
        () => pythonSays('manager.py', 'set'),
      ),
  },
  {
    name: 'manager-get',
    title: 'manager dict: get, asynchronous, one after the other',
    unit: 'operations/s',
    peer: 'CPython Manager: d[k]',
    bar: { least: 1.5 },
    measure: () =>
      pairs(
        5,
        () => nodeSays('manager.mjs', 'get'),
        () => pythonSays('manager.py', 'get'),
      ),
  },
]
