// What the tests of sockets share: both forms of each call, and a peer that is not this package.
import { createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as mp from 'multiproc'

export const FORMS = ['sync', 'async'] as const
export type Form = (typeof FORMS)[number]

/** No test waits longer than this for anything: a deadline for progress, never a speed. */
export const PATIENCE = 20_000

export async function accept(form: Form, listener: mp.Listener, options: object = {}): Promise<mp.Connection> {
  const all = { timeout: PATIENCE, ...options }
  return form === 'sync' ? listener.acceptSync(all) : listener.accept(all)
}
export async function connect(form: Form, address: mp.Address, options: object = {}): Promise<mp.Connection> {
  const all = { timeout: PATIENCE, ...options }
  return form === 'sync' ? mp.connectSync(address, all) : mp.connect(address, all)
}
export async function recvBytes(form: Form, c: mp.Connection): Promise<Uint8Array> {
  return form === 'sync' ? c.recvBytesSync({ timeout: PATIENCE }) : c.recvBytes({ timeout: PATIENCE })
}
export async function sendBytes(form: Form, c: mp.Connection, bytes: Uint8Array): Promise<void> {
  return form === 'sync' ? c.sendBytesSync(bytes) : c.sendBytes(bytes)
}
export async function recv(form: Form, c: mp.Connection): Promise<any> {
  return form === 'sync' ? c.recvSync({ timeout: PATIENCE }) : c.recv({ timeout: PATIENCE })
}
export async function send(form: Form, c: mp.Connection, value: unknown): Promise<void> {
  return form === 'sync' ? c.sendSync(value) : c.send(value)
}

const windows = process.platform === 'win32'
/** Where nobody listens. */
export const NOWHERE = windows
  ? `\\\\.\\pipe\\multiproc-test-${process.pid}-missing`
  : join(tmpdir(), `multiproc-test-${process.pid}-missing`)
/** Where a Peer can connect to: with a named pipe the messages are the system's, not what is written. */
export const STREAM: mp.Address | undefined = windows ? ['127.0.0.1', 0] : undefined

/** Rejections and exceptions alike; undefined: there was none. */
export async function errorOf(call: () => unknown): Promise<any> {
  try {
    await call()
    return undefined
  } catch (error) {
    return error
  }
}

/** The two ends of one connection, without a key. */
export async function pair(
  options: mp.ConnectionOptions = {},
  address?: mp.Address,
): Promise<[mp.Connection, mp.Connection]> {
  const listener = new mp.Listener(address, options)
  const client = await mp.connect(listener.address, options)
  const server = await listener.accept()
  listener.close()
  return [client, server]
}

/** An end of a connection that speaks the protocol by code of its own, or anything else. */
export class Peer {
  readonly #socket: Socket
  #bytes = Buffer.alloc(0)
  #ended = false
  #wake = (): void => {}

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#ended = true
      this.#wake()
    })
  }
  static async connect(address: mp.Address): Promise<Peer> {
    const socket =
      typeof address === 'string'
        ? createConnection({ path: address })
        : createConnection({ host: address[0], port: address[1] })
    await once(socket, 'connect')
    return new Peer(socket)
  }
  /** Resolves once the system has the bytes. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => this.#socket.write(bytes, () => resolve()))
  }
  frame(message: Uint8Array | string): Promise<void> {
    return this.write(framed(message))
  }
  /** One message; undefined: the end. */
  async read(): Promise<Buffer | undefined> {
    for (;;) {
      if (this.#bytes.length >= 4 && this.#bytes.length >= 4 + this.#bytes.readInt32BE(0)) {
        const end = 4 + this.#bytes.readInt32BE(0)
        const message = this.#bytes.subarray(4, end)
        this.#bytes = this.#bytes.subarray(end)
        return message
      }
      if (this.#ended) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
  /** Resolves when the other end has closed. */
  async closed(): Promise<void> {
    while (!this.#ended)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
  }
  close(): void {
    this.#socket.destroy()
  }

  /** CPython's answer_challenge. `digest` undefined: as CPython before 3.12. Returns what came last. */
  async answer(key: string, digest?: string): Promise<string> {
    const challenge = (await this.read())!.subarray('#CHALLENGE#'.length)
    await this.frame(proof(key, challenge, digest))
    return String(await this.read())
  }
  /** CPython's deliver_challenge. Returns the response; welcomes it whatever it is. */
  async deliver(challenge: Buffer = Buffer.concat([Buffer.from('{sha256}'), randomBytes(40)])): Promise<Buffer> {
    await this.frame(Buffer.concat([Buffer.from('#CHALLENGE#'), challenge]))
    const response = (await this.read())!
    await this.frame('#WELCOME#')
    return response
  }
}

export function framed(message: Uint8Array | string): Buffer {
  const body = Buffer.from(message as string)
  const head = Buffer.alloc(4)
  head.writeInt32BE(body.length)
  return Buffer.concat([head, body])
}

export function proof(key: string, challenge: Uint8Array, digest?: string): Buffer {
  const mac = createHmac((digest ?? 'md5').replace('_', '-'), key)
    .update(challenge)
    .digest()
  return digest === undefined ? mac : Buffer.concat([Buffer.from(`{${digest}}`), mac])
}

/** A server that hands each of its connections to `serve`. */
export async function serving(
  serve: (peer: Peer) => Promise<unknown>,
): Promise<{ address: [string, number]; server: Server }> {
  const server = createServer((socket) => {
    void serve(new Peer(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { address: ['127.0.0.1', (server.address() as { port: number }).port], server }
}
