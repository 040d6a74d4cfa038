// Serves the built site on a port of this machine, for the check and for looking at it: `node scripts/docs/serve.mjs`.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

export const site = fileURLToPath(new URL('../../build/site', import.meta.url))

const TYPES = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
}

/** Gives the server and its address, when it listens. */
export async function serve(port = 0) {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://site').pathname))
    try {
      const bytes = readFileSync(join(site, path.endsWith('/') ? `${path}index.html` : path))
      response
        .writeHead(200, { 'content-type': `${TYPES[extname(path) || '.html'] ?? 'text/plain'}; charset=utf-8` })
        .end(bytes)
    } catch {
      response.writeHead(404).end('there is no such page')
    }
  })
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  return { server, address: `http://127.0.0.1:${server.address().port}` }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log((await serve(8080)).address)
