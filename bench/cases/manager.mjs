// Operations on a manager's dict in a second: `set`: blocking; `batch`: 1,000 in one message, blocking; `get`: awaited one by one.
import { Manager } from 'multiproc'

const what = process.argv[2]
const N = 20_000
const ROUNDS = 5
const BATCH = 1000

const manager = await Manager()
const dict = manager.dict([['key', 1]])
const { sync } = dict

const rounds = {
  set() {
    for (let i = 0; i < N; i++) sync.set('key', i)
  },
  batch() {
    for (let i = 0; i < N; i += BATCH)
      sync.batch((b) => {
        for (let k = 0; k < BATCH; k++) b.set('key', i + k)
      })
  },
  async get() {
    for (let i = 0; i < N; i++) await dict.get('key')
  },
}
let best = 0
for (let round = 0; round < ROUNDS; round++) {
  const start = performance.now()
  await rounds[what]()
  best = Math.max(best, (N * 1000) / (performance.now() - start))
}
console.log(best)
await manager.shutdown()
