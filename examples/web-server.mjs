// A web server of several processes behind one port. They share, in shared memory, a cache (what one has computed the others
// need not) and a rate limiter (a client has so many requests, whichever process it meets).
//
//   node examples/web-server.mjs [PORT]        without a port it serves itself some requests, and ends
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import { createServer as createNetServer } from 'node:net'
import { bytes, cpuCount, isMain, Process, RWLock, SharedArray, struct, Value } from 'multiproc'

const PER_CLIENT = 30
const SLOTS = 1024
const Entry = struct({ key: bytes(64), text: bytes(192) })
const { TextEncoder, TextDecoder } = globalThis

/** Keys and values of a fixed size in shared memory: many read at once, a writer is alone. What collides is overwritten. */
class Cache {
  entries = new SharedArray(Entry, SLOTS)
  lock = new RWLock({ name: 'cache' })

  at(key) {
    return this.entries.at(hash(key) % SLOTS)
  }
  async get(key) {
    const held = await this.lock.read()
    try {
      const entry = this.at(key)
      return textOf(entry.key) === key ? textOf(entry.text) : undefined
    } finally {
      held.release()
    }
  }
  async set(key, text) {
    const held = await this.lock.write()
    try {
      put(this.at(key).key, key)
      put(this.at(key).text, text)
    } finally {
      held.release()
    }
  }
}
const hash = (key) => [...key].reduce((h, c) => (h * 31 + c.charCodeAt(0)) >>> 0, 7)
const textOf = (field) => new TextDecoder().decode(field.subarray(0, Math.max(0, field.indexOf(0))))
const put = (field, text) => field.fill(0).set(new TextEncoder().encode(text).subarray(0, field.length - 1))

/** What takes long. */
const primesBelow = (n) => {
  let count = 0
  for (let i = 2; i < n; i++) {
    let prime = true
    for (let d = 2; d * d <= i && prime; d++) prime = i % d !== 0
    if (prime) count++
  }
  return count
}

/** One process of the server. `listening` is the parent's server: all accept from it. */
function serve(listening, { cache, requests, computed }) {
  const server = createServer(async (request, response) => {
    const client = hash(String(request.headers['x-client'])) % SLOTS
    // One atomic step: no two processes give the same request away.
    if (Atomics.add(requests, client, 1) >= PER_CLIENT) {
      response.writeHead(429).end('too many requests\n')
      return
    }
    let text = await cache.get(request.url)
    if (text === undefined) {
      computed.add(1)
      text = `${primesBelow(Number(request.url.slice(1)) || 0)} primes`
      await cache.set(request.url, text)
    }
    response.setHeader('x-process', String(process.pid))
    response.end(`${text}\n`)
  })
  listening.on('connection', (socket) => server.emit('connection', socket))
}

const ask = async (port, path, client) => {
  const request = get({ port, path, headers: { 'x-client': client }, agent: false })
  const [response] = await once(request, 'response')
  response.resume()
  await once(response, 'end')
  return { status: response.statusCode, process: response.headers['x-process'] }
}

if (isMain(import.meta)) {
  const listening = createNetServer({ pauseOnConnect: false }).listen(Number(process.argv[2] ?? 0), '127.0.0.1')
  await once(listening, 'listening')
  const { port } = listening.address()
  const shared = {
    cache: new Cache(),
    requests: new SharedArray('int32', SLOTS, { lock: false }),
    computed: new Value('int32', 0),
  }
  const children = Array.from(
    { length: Math.max(2, cpuCount()) },
    (_, i) => new Process({ target: serve, args: [listening, shared], name: `server-${i}`, daemon: true }),
  )
  for (const child of children) child.start()
  listening.close() // the children have it
  if (process.argv[2] !== undefined) {
    console.log(`http://127.0.0.1:${port}/1000000 by ${children.length} processes`)
    await Promise.all(children.map((child) => child.join()))
  }

  const paths = ['/20000', '/30000', '/40000']
  await Promise.all(paths.map((path) => ask(port, path, 'warm-up')))
  const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(port, paths[i % 3], 'alice')))
  const of = (status) => answers.filter((answer) => answer.status === status).length
  console.log(`alice: ${of(200)} answered, ${of(429)} turned away`)
  console.log(`bob: ${(await ask(port, '/20000', 'bob')).status}`)
  console.log(`computed: ${shared.computed.value} times for ${of(200) + 4} answers`)
  for (const child of children) child.terminate()
}
