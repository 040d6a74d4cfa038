// µs for a blocking round trip through a Pipe: `bytes`: 64 bytes; `object`: a small object.
import { Pipe, Process } from 'multiproc'

const what = process.argv[2]
const N = 20_000
const ROUNDS = 5
const [here, there] = Pipe()

function echoBytes(c, n) {
  for (let i = 0; i < n; i++) c.sendBytesSync(c.recvBytesSync())
}
function echoObject(c, n) {
  for (let i = 0; i < n; i++) c.sendSync(c.recvSync())
}

new Process({ target: what === 'bytes' ? echoBytes : echoObject, args: [there, N * ROUNDS] }).start()
const bytes = new Uint8Array(64).fill(7)
let best = Number.POSITIVE_INFINITY
for (let round = 0; round < ROUNDS; round++) {
  const start = performance.now()
  if (what === 'bytes')
    for (let i = 0; i < N; i++) {
      here.sendBytesSync(bytes)
      here.recvBytesSync()
    }
  else
    for (let i = 0; i < N; i++) {
      here.sendSync({ id: i, op: 'add', args: [1, 2, 3] })
      here.recvSync()
    }
  best = Math.min(best, ((performance.now() - start) * 1000) / N)
}
console.log(best)
