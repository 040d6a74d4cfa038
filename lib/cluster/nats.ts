// The engine: a connection to NATS, and the streams, consumers and bucket of a pool. Delivery, storage and clustering are NATS's.
//
//   stream  …_tasks     work queue: a task leaves it when it is acknowledged; one durable consumer for each level of priority
//   stream  …_results   what nodes have answered; submitters remove what they have, the rest goes after `keep`
//   bucket  …           values too large for a message
import { readFileSync } from 'node:fs'
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import type { ObjectStore } from '@nats-io/obj'
import type { Msg, NatsConnection, NodeConnectionOptions, Subscription } from '@nats-io/transport-node'
import { checkInteger, checkOptions, checkString, invalidType, invalidValue } from '../check'
import { UnsupportedError } from './core'
import { LEVELS, type Names } from './names'
import { Outgoing } from './outgoing'

/** How a pool's streams are made by whoever comes first. */
export interface StreamOptions {
  /** How many servers of a NATS cluster have a copy of the pool's streams. Default: 1. */
  replicas?: number | undefined
  /** Default: 'file'. */
  storage?: 'file' | 'memory' | undefined
  /** How long results that nobody fetches are kept, ms. Default: a day. */
  keep?: number | undefined
  /** A node that was not heard of for so long has lost its tasks, ms. Default: 15,000. */
  lostAfter?: number | undefined
}
/** How the NATS server is reached. */
export interface ServerOptions {
  /** `nats://host:port`, one or several of a NATS cluster. */
  servers?: string | readonly string[] | undefined
  /** A file of NATS credentials (a JWT and its seed). */
  credentials?: string | undefined
  /** A file with the seed of an nkey. */
  nkey?: string | undefined
  /** As NATS's client takes it: caFile, certFile, keyFile, ca, cert, key, handshakeFirst. */
  tls?: NodeConnectionOptions['tls'] | undefined
  /** Whatever else NATS's `connect` takes: user, pass, token, authenticator, inboxPrefix … */
  connection?: NodeConnectionOptions | undefined
}

export interface Nats {
  nc: NatsConnection
  js: JetStreamClient
  jsm: JetStreamManager
  out: Outgoing
  names: Names
  /** ms after which the server gives a silent node's task to another. */
  lostAfter: number
  /** Parts of this many bytes at least go to the object store. */
  mostInline: number
  blobs(): Promise<ObjectStore>
  /** Values that are being removed. */
  dropping: Set<Promise<unknown>>
  /** Says what is still to be said, and ends the connection. Does not wait for a server that is away. */
  close(): Promise<void>
}

const NANOS = 1_000_000
const DUPLICATES_MS = 120_000
const DAY = 86_400_000
const DEFAULT_LOST_AFTER = 15_000
const MOST_INLINE = 512 << 10
const FAREWELL_MS = 2000

export interface CheckedStreams {
  replicas: number
  storage: 'file' | 'memory'
  keep: number
  lostAfter: number
}
export function checkStreamOptions(o: StreamOptions): CheckedStreams {
  const { replicas = 1, storage = 'file', keep = DAY, lostAfter = DEFAULT_LOST_AFTER } = o
  checkInteger('options.replicas', replicas, 1, 5)
  if (storage !== 'file' && storage !== 'memory') throw invalidValue('options.storage', "'file' or 'memory'", storage)
  checkInteger('options.keep', keep, 1000, Number.MAX_SAFE_INTEGER)
  checkInteger('options.lostAfter', lostAfter, 500, DAY)
  return { replicas, storage, keep, lostAfter }
}
export function checkServerOptions(o: ServerOptions): void {
  const { servers, credentials, nkey } = o
  if (servers !== undefined && typeof servers !== 'string' && !Array.isArray(servers))
    throw invalidType('options.servers', 'a string or an array of strings', servers)
  for (const [k, server] of (Array.isArray(servers) ? servers : []).entries())
    checkString(`options.servers[${k}]`, server)
  if (credentials !== undefined) checkString('options.credentials', credentials)
  if (nkey !== undefined) checkString('options.nkey', nkey)
  checkOptions('options.tls', o.tls)
  checkOptions('options.connection', o.connection)
}

interface Peers {
  transport: typeof import('@nats-io/transport-node')
  jetstream: typeof import('@nats-io/jetstream')
  objects: typeof import('@nats-io/obj')
}
let loaded: Peers | undefined
/** Throws UnsupportedError ERR_MP_NO_NATS where NATS's packages are not installed. */
export function peers(): Peers {
  if (loaded !== undefined) return loaded
  try {
    loaded = {
      transport: require('@nats-io/transport-node'),
      jetstream: require('@nats-io/jetstream'),
      objects: require('@nats-io/obj'),
    }
  } catch (error) {
    throw new UnsupportedError(
      'multiproc/cluster needs the client of NATS, which is not installed: npm install @nats-io/transport-node @nats-io/jetstream @nats-io/obj',
      'ERR_MP_NO_NATS',
      { cause: error },
    )
  }
  // The same digests at a tenth of the time.
  loaded.objects.setSha256Backend('native')
  return loaded
}

export async function openNats(
  names: Names,
  server: ServerOptions,
  options: StreamOptions,
  name: string,
): Promise<Nats> {
  const { transport, jetstream, objects } = peers()
  const { credentials, nkey, tls, servers, connection } = server
  const authenticator =
    credentials !== undefined
      ? transport.credsAuthenticator(readFileSync(credentials))
      : nkey !== undefined
        ? transport.nkeyAuthenticator(Buffer.from(readFileSync(nkey, 'utf8').trim()))
        : undefined
  const nc = await transport.connect({
    name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 100,
    pingInterval: 10_000,
    noAsyncTraces: true,
    ...(servers !== undefined && { servers: servers as string | string[] }),
    ...(authenticator && { authenticator }),
    ...(tls && { tls }),
    ...connection,
  })
  try {
    const js = jetstream.jetstream(nc)
    const jsm = await jetstream.jetstreamManager(nc)
    const streams = checkStreamOptions(options)
    const lostAfter = await ensure(jsm, names, streams)
    let store: Promise<ObjectStore> | undefined
    const { keep, storage, replicas } = streams
    const out = new Outgoing(nc)
    const dropping = new Set<Promise<unknown>>()
    return {
      nc,
      out,
      js,
      jsm,
      names,
      lostAfter,
      mostInline: Math.min(MOST_INLINE, (nc.info?.max_payload ?? MOST_INLINE * 2) >> 1),
      blobs: () => {
        store ??= new objects.Objm(js)
          .create(names.bucket, { ttl: keep * NANOS, storage: storage as never, replicas })
          .catch((error) => {
            store = undefined
            throw error
          })
        return store
      },
      dropping,
      close: async () => {
        out.flush()
        await soon(Promise.all(dropping))
        await soon(nc.drain())
        out.close()
        await nc.close()
      },
    }
  } catch (error) {
    await nc.close()
    throw error
  }
}

/** Makes what is not there yet; what is there stays as it is. Gives `lostAfter` as it holds. */
async function ensure(jsm: JetStreamManager, names: Names, options: CheckedStreams): Promise<number> {
  const { AckPolicy, DeliverPolicy, DiscardPolicy, RetentionPolicy, StorageType } = peers().jetstream
  const storage = options.storage === 'memory' ? StorageType.Memory : StorageType.File
  const common = { storage, num_replicas: options.replicas }
  await unlessThere(
    () => jsm.streams.info(names.tasks),
    () =>
      jsm.streams.add({
        ...common,
        name: names.tasks,
        subjects: [names.task('*', '*')],
        retention: RetentionPolicy.Workqueue,
        discard: DiscardPolicy.New,
        duplicate_window: DUPLICATES_MS * NANOS,
      }),
  )
  await unlessThere(
    () => jsm.streams.info(names.results),
    () =>
      jsm.streams.add({
        ...common,
        name: names.results,
        subjects: [names.result('*')],
        retention: RetentionPolicy.Limits,
        max_age: options.keep * NANOS,
        duplicate_window: Math.min(options.keep, DUPLICATES_MS) * NANOS,
      }),
  )
  let lostAfter = options.lostAfter
  for (const level of LEVELS) {
    const { config } = await unlessThere(
      () => jsm.consumers.info(names.tasks, level),
      () =>
        jsm.consumers.add(names.tasks, {
          durable_name: level,
          filter_subject: names.task(level, '*'),
          ack_policy: AckPolicy.Explicit,
          deliver_policy: DeliverPolicy.All,
          ack_wait: options.lostAfter * NANOS,
          // How often a task may run is the task's own: `retries`.
          max_deliver: -1,
          max_ack_pending: -1,
        }),
    )
    lostAfter = Math.max(500, (config.ack_wait ?? 0) / NANOS)
  }
  return lostAfter
}
async function unlessThere<T>(look: () => Promise<T>, make: () => Promise<T>): Promise<T> {
  try {
    return await look()
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  try {
    return await make()
  } catch (error) {
    // Somebody else was quicker.
    return await look().catch(() => {
      throw error
    })
  }
}
const NOT_FOUND = 404
export function isMissing(error: unknown): boolean {
  const { JetStreamApiError } = peers().jetstream
  return error instanceof JetStreamApiError && error.status === NOT_FOUND
}

/** What is to be said at the end: a server that is away does not hold it up. */
export async function soon(farewell: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FAREWELL_MS)
  })
  await Promise.race([farewell.catch(() => {}), late])
  clearTimeout(timer)
}

export type Failed = (error: Error) => void
/** Calls back with each message of a subject. `failed`: the server does not let us listen to it. */
export function listen(
  nc: NatsConnection,
  subject: string,
  callback: (msg: Msg) => void,
  failed?: Failed,
): Subscription {
  return nc.subscribe(subject, {
    callback: (error, msg) => {
      if (error === null) callback(msg)
      else failed?.(error)
    },
  })
}

/** What of the client keeps the event loop alive; its interface has nothing for that. */
interface Insides {
  protocol?: {
    transport?: { socket?: { ref(): void; unref(): void } }
    heartbeats?: { timer?: NodeJS.Timeout; _schedule?(): void; quiet?: boolean }
  }
}
/** Whether the connection keeps the event loop alive. With a client whose insides are others it always does. */
export function keepAlive(nc: NatsConnection, alive: boolean): void {
  const { transport, heartbeats } = (nc as Insides).protocol ?? {}
  const socket = transport?.socket
  if (alive) socket?.ref?.()
  else socket?.unref?.()
  if (heartbeats?._schedule === undefined || heartbeats.quiet) return
  // The socket alone says whether there is something to wait for.
  const schedule = heartbeats._schedule
  heartbeats._schedule = function (this: typeof heartbeats): void {
    schedule.call(this)
    this.timer?.unref?.()
  }
  heartbeats.timer?.unref?.()
  heartbeats.quiet = true
}

export async function putBlob(nats: Nats, name: string, bytes: Uint8Array): Promise<void> {
  await (await nats.blobs()).putBlob({ name }, bytes)
}
/** The bytes; null: it is gone. */
export async function getBlob(nats: Nats, name: string): Promise<Uint8Array | null> {
  return await (await nats.blobs()).getBlob(name)
}
/** Removes it, now or when its time is over. */
export function dropBlob(nats: Nats, name: string): void {
  const dropping = nats
    .blobs()
    .then((store) => store.delete(name))
    .catch(() => {})
    .finally(() => nats.dropping.delete(dropping))
  nats.dropping.add(dropping)
}
