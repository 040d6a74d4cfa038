// A worker of BullMQ, with the concurrency that it is quickest with here. Tells its parent how many jobs it has done.
import { Worker } from 'bullmq'

const connection = { host: '127.0.0.1', port: Number(process.argv[2]), maxRetriesPerRequest: null }
const worker = new Worker('bench', async ({ data }) => data, { connection, concurrency: 100 })
await worker.waitUntilReady()
let done = 0
worker.on('completed', () => done++)
setInterval(() => {
  if (done > 0) process.send(done)
  done = 0
}, 2)
process.send(0)
