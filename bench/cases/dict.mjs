// dict.mjs set | get: operations per second on a SharedDict, small values under 100 keys.
import { SharedDict } from 'multiproc'

const what = process.argv[2]
const dict = new SharedDict()
const keys = Array.from({ length: 100 }, (_, i) => `key ${i}`)
for (const [i, key] of keys.entries()) dict.set(key, i)

const N = 200_000
let best = 0
for (let round = 0; round < 5; round++) {
  let sum = 0
  const start = performance.now()
  if (what === 'set') for (let i = 0; i < N; i++) dict.set(keys[i % 100], i)
  else for (let i = 0; i < N; i++) sum += dict.get(keys[i % 100])
  best = Math.max(best, N / ((performance.now() - start) / 1000))
  if (what === 'get' && sum !== 49.5 * N) throw new Error('not what was set')
}
dict.close()
console.log(best)
