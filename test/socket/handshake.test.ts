// The handshake against peers that speak it by code of their own. After CPython's OtherTest and ChallengeResponseTest.
import { randomBytes } from 'node:crypto'
import * as mp from 'multiproc'
import { afterEach, describe, expect, it } from 'vitest'
import { errorOf, Peer, proof, STREAM, serving } from './tools'

const KEY = 'supadupasecretkey'
const DIGESTS = ['sha256', 'sha384', 'sha3_256', 'sha3_384']

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})
function listening(options: mp.ListenerOptions = {}): mp.Listener {
  const listener = new mp.Listener(STREAM, { authKey: KEY, ...options })
  open.push(listener)
  return listener
}
async function peerOf(listener: mp.Listener): Promise<Peer> {
  const peer = await Peer.connect(listener.address)
  open.push(peer)
  return peer
}

describe('a Listener', () => {
  it.each(DIGESTS)('accepts a response by %s, and gives its own', async (digest) => {
    const listener = listening()
    for (const asked of DIGESTS) {
      const peer = await peerOf(listener)
      expect(await peer.answer(KEY, digest)).toBe('#WELCOME#')
      const challenge = Buffer.concat([Buffer.from(`{${asked}}`), randomBytes(40)])
      expect(await peer.deliver(challenge)).toEqual(proof(KEY, challenge, asked))
      const connection = await listener.accept()
      await peer.frame('hello')
      expect(String(Buffer.from(await connection.recvBytes()))).toBe('hello')
      connection.close()
    }
  })

  it('its challenge is what CPython sends, and never the same', async () => {
    const listener = listening()
    const seen = new Set<string>()
    for (let i = 0; i < 20; i++) {
      const challenge = (await (await peerOf(listener)).read())!
      expect(String(challenge.subarray(0, 19))).toBe('#CHALLENGE#{sha256}')
      expect(challenge.length).toBe(59)
      seen.add(challenge.toString('hex'))
    }
    expect(seen.size).toBe(20)
  })

  const refused: [string, (challenge: Buffer) => Uint8Array | string][] = [
    ['something bogus', () => 'something bogus'],
    ['nothing', () => ''],
    ['another key', (challenge) => proof('other', challenge, 'sha256')],
    ['the digest of something else', () => proof(KEY, randomBytes(48), 'sha256')],
    ['a digest that is cut off', (challenge) => proof(KEY, challenge, 'sha256').subarray(0, -1)],
    ['a digest and more', (challenge) => Buffer.concat([proof(KEY, challenge, 'sha256'), Buffer.of(0)])],
    [
      'a digest under another name',
      (challenge) => Buffer.from(`{sha384}${proof(KEY, challenge, 'sha256').toString('latin1').slice(8)}`, 'latin1'),
    ],
    ['an unknown digest', () => `{sha1}${'x'.repeat(20)}`],
    ['a name without an end', () => `{sha256${'x'.repeat(60)}`],
    ['a name of an object of JavaScript', () => `{constructor}${'x'.repeat(32)}`],
    ['its own challenge', (challenge) => challenge],
    ['MD5 of CPython before 3.12', (challenge) => proof(KEY, challenge)],
    ['MD5 with its name', (challenge) => proof(KEY, challenge, 'md5')],
    ['#WELCOME#', () => '#WELCOME#'],
  ]
  it.each(refused)('refuses %s', async (_, respond) => {
    const listener = listening()
    const peer = await peerOf(listener)
    const challenge = (await peer.read())!.subarray('#CHALLENGE#'.length)
    await peer.frame(respond(challenge))
    const error = await errorOf(() => listener.accept())
    expect(error).toBeInstanceOf(mp.AuthenticationError)
    expect(error.code).toBe('ERR_MP_AUTHENTICATION')
    expect(String(await peer.read())).toBe('#FAILURE#')
    expect(await peer.read()).toBe(undefined)
    await works(listener)
  })

  it('refuses a response of an earlier connection', async () => {
    const listener = listening()
    const first = await peerOf(listener)
    const challenge = (await first.read())!.subarray('#CHALLENGE#'.length)
    const response = proof(KEY, challenge, 'sha256')
    await first.frame(response)
    expect(String(await first.read())).toBe('#WELCOME#')
    await first.deliver()
    ;(await listener.accept()).close()
    const second = await peerOf(listener)
    await second.read()
    await second.frame(response)
    expect(await errorOf(() => listener.accept())).toBeInstanceOf(mp.AuthenticationError)
    expect(String(await second.read())).toBe('#FAILURE#')
  })

  it('does not help to answer its own challenge: it challenges first', async () => {
    const listener = listening()
    const asked = await peerOf(listener)
    const challenge = (await asked.read())!
    const oracle = await peerOf(listener)
    await oracle.read()
    await oracle.frame(challenge) // instead of a response
    expect(String(await oracle.read())).toBe('#FAILURE#')
    expect(await oracle.read()).toBe(undefined)
  })

  it('a peer that does not accept our answer', async () => {
    const listener = listening()
    const peer = await peerOf(listener)
    await peer.answer(KEY, 'sha256')
    await peer.frame(Buffer.concat([Buffer.from('#CHALLENGE#{sha256}'), randomBytes(40)]))
    await peer.read()
    await peer.frame('#FAILURE#')
    expect(await errorOf(() => listener.accept())).toBeInstanceOf(mp.AuthenticationError)
  })

  it('allowMd5 lets peers in that have nothing better', async () => {
    const listener = listening({ allowMd5: true })
    const peer = await peerOf(listener)
    expect(await peer.answer(KEY)).toBe('#WELCOME#')
    const challenge = randomBytes(20)
    expect(await peer.deliver(challenge)).toEqual(proof(KEY, challenge))
    ;(await listener.accept()).close()
    const wrong = await peerOf(listener)
    expect(await wrong.answer('other')).toBe('#FAILURE#')
    expect(await errorOf(() => listener.accept())).toBeInstanceOf(mp.AuthenticationError)
  })

  it('takes keys as text or bytes', async () => {
    const listener = listening({ authKey: Buffer.from('schlüssel') })
    const connecting = mp.connect(listener.address, { authKey: 'schlüssel' })
    ;(await listener.accept()).close()
    ;(await connecting).close()
    const inherited = listening({ authKey: mp.currentProcess().authKey })
    const again = mp.connect(inherited.address, { authKey: mp.currentProcess().authKey })
    ;(await inherited.accept()).close()
    ;(await again).close()
  })

  it('handshakes run side by side: who is slow delays nobody', async () => {
    const listener = listening()
    const slow = await Promise.all(Array.from({ length: 20 }, () => peerOf(listener)))
    for (const peer of slow) await peer.write(Buffer.of(0))
    await works(listener)
    // One byte at a time is slow, and in order.
    const loris = await peerOf(listener)
    const challenge = (await loris.read())!.subarray('#CHALLENGE#'.length)
    const response = proof(KEY, challenge, 'sha256')
    for (const byte of [...Buffer.from([0, 0, 0, response.length]), ...response]) {
      await loris.write(Buffer.of(byte))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await works(listener)
    expect(String(await loris.read())).toBe('#WELCOME#')
    await loris.deliver()
    ;(await listener.accept()).close()
  })

  it('who does not end the handshake in time is refused', async () => {
    const listener = listening({ handshakeTimeout: 30 })
    const silent = await peerOf(listener)
    const error = await errorOf(() => listener.accept())
    expect(error).toBeInstanceOf(mp.AuthenticationError)
    expect(error.message).toContain('30 ms')
    await silent.closed()
    // The same while the thread is blocked.
    await peerOf(listener)
    expect(await errorOf(() => listener.acceptSync())).toBeInstanceOf(mp.AuthenticationError)
  })

  it('many who do nothing cannot fill it: the oldest gives way', async () => {
    const listener = listening({ backlog: 5 })
    const idle: Peer[] = []
    for (let i = 0; i < 64; i++) {
      idle.push(await peerOf(listener))
      await idle[i]!.read() // it is being examined
    }
    const refused = errorOf(() => listener.accept())
    await works(listener, async () => expect(await refused).toBeInstanceOf(mp.AuthenticationError))
    await Promise.race(idle.map((peer) => peer.closed()))
  })

  it('the outcomes that nobody asks for are bounded', async () => {
    const listener = listening({ backlog: 3 })
    for (let i = 0; i < 3; i++) {
      const peer = await peerOf(listener)
      await peer.read()
      await peer.frame('bogus')
      expect(String(await peer.read())).toBe('#FAILURE#')
    }
    const waiting = await peerOf(listener) // stays with the system
    for (let i = 0; i < 3; i++) expect(await errorOf(() => listener.accept())).toBeInstanceOf(mp.AuthenticationError)
    expect(await waiting.answer(KEY, 'sha256')).toBe('#WELCOME#')
    await waiting.deliver()
    ;(await listener.accept()).close()
  })

  it.each([0, 1, 3, 4, 5, 30, 44])('a peer that closes after %d bytes of its response', async (bytes) => {
    const listener = listening()
    const peer = await peerOf(listener)
    const challenge = (await peer.read())!.subarray('#CHALLENGE#'.length)
    const response = proof(KEY, challenge, 'sha256')
    await peer.write(Buffer.concat([Buffer.from([0, 0, 0, response.length]), response]).subarray(0, bytes))
    peer.close()
    const error = await errorOf(() => listener.accept())
    expect(error).toBeInstanceOf(mp.MultiprocError)
    expect(['ERR_MP_EOF', 'ERR_MP_AUTHENTICATION']).toContain(error.code)
    await works(listener)
  })

  it.each([
    ['a length beyond all memory', Buffer.from([0x7f, 0xff, 0xff, 0xff])],
    ['a length of 64 bits', Buffer.from([255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255])],
    ['a negative length', Buffer.from([255, 255, 255, 254])],
    ['257 bytes', Buffer.concat([Buffer.from([0, 0, 1, 1]), Buffer.alloc(257)])],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])('%s is none of the protocol', async (_, bytes) => {
    const listener = listening()
    const peer = await peerOf(listener)
    await peer.write(bytes)
    expect(await errorOf(() => listener.accept())).toBeInstanceOf(mp.AuthenticationError)
    await peer.closed()
    await works(listener)
  })

  it('random bytes of 300 peers', async () => {
    const listener = listening({ backlog: 300 })
    let refused = 0
    const peers = Array.from({ length: 300 }, async (_, i) => {
      const peer = await Peer.connect(listener.address)
      await peer.write(randomBytes(1 + ((i * 7) % 300)))
      peer.close()
    })
    for (; refused < 300; refused++) expect(await errorOf(() => listener.accept())).toBeInstanceOf(mp.MultiprocError)
    await Promise.all(peers)
    await works(listener)
  })
})

describe('connect', () => {
  const served: [string, (peer: Peer) => Promise<unknown>][] = [
    ['something bogus', (peer) => peer.frame('something bogus')],
    ['a challenge without contents (CPython: OtherTest)', (peer) => peer.frame('#CHALLENGE#')],
    ['a challenge that names no digest', (peer) => peer.frame(`#CHALLENGE#${'x'.repeat(40)}`)],
    ['a challenge that names an unknown digest', (peer) => peer.frame(`#CHALLENGE#{sha1}${'x'.repeat(40)}`)],
    ['a challenge for MD5', (peer) => peer.frame(`#CHALLENGE#{md5}${'x'.repeat(40)}`)],
    ['a challenge of CPython before 3.12', (peer) => peer.frame(`#CHALLENGE#${'x'.repeat(20)}`)],
    ['257 bytes', (peer) => peer.frame('x'.repeat(257))],
    [
      'a refusal',
      async (peer) => {
        await peer.frame(Buffer.concat([Buffer.from('#CHALLENGE#{sha256}'), randomBytes(40)]))
        await peer.read()
        await peer.frame('#FAILURE#')
      },
    ],
    [
      'a server without the key',
      async (peer) => {
        await peer.deliver()
        await peer.answer('other', 'sha256')
      },
    ],
  ]
  it.each(served)('refuses %s', async (_, serve) => {
    const { address, server } = await serving(serve)
    const error = await errorOf(() => mp.connect(address, { authKey: KEY }))
    expect(error).toBeInstanceOf(mp.AuthenticationError)
    server.close()
  })

  it.each(DIGESTS)('answers %s and accepts it', async (digest) => {
    const challenge = Buffer.concat([Buffer.from(`{${digest}}`), randomBytes(40)])
    let response: Buffer | undefined
    const { address, server } = await serving(async (peer) => {
      response = await peer.deliver(challenge)
      await peer.answer(KEY, digest)
      await peer.frame('in')
    })
    const connection = await mp.connect(address, { authKey: KEY })
    expect(response).toEqual(proof(KEY, challenge, digest))
    expect(String(Buffer.from(await connection.recvBytes()))).toBe('in')
    connection.close()
    server.close()
  })

  it('a server that closes: EOFError', async () => {
    const { address, server } = await serving(async (peer) => peer.close())
    expect(await errorOf(() => mp.connect(address, { authKey: KEY }))).toBeInstanceOf(mp.EOFError)
    server.close()
  })
})

/** Somebody with the key still gets in. `before`: what the accept() calls before it are to give. */
async function works(listener: mp.Listener, before: () => Promise<void> = async () => {}): Promise<void> {
  const connecting = mp.connect(listener.address, { authKey: KEY })
  await before()
  const server = await listener.accept()
  const client = await connecting
  await client.send('works')
  expect(await server.recv()).toBe('works')
  client.close()
  server.close()
}
