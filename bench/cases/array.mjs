// ns to read and write one element: of a SharedArray, or of an ordinary Float64Array.
import { SharedArray } from 'multiproc'

const LENGTH = 4096
const array = process.argv[2] === 'shared' ? new SharedArray('d', LENGTH) : new Float64Array(LENGTH)

function sweep(a) {
  for (let i = 0; i < LENGTH; i++) a[i] = a[i] + 1
}
let best = Number.POSITIVE_INFINITY
for (let round = 0; round < 10; round++) {
  const start = process.hrtime.bigint()
  for (let k = 0; k < 2000; k++) sweep(array)
  best = Math.min(best, Number(process.hrtime.bigint() - start) / (2000 * LENGTH))
}
if (array[7] !== 20000) throw new Error('wrong sum')
console.log(best)
