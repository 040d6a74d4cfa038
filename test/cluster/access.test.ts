// Who may take part is NATS's to say: passwords, nkeys, credentials, TLS and permissions, each with whom it lets in and whom not.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import * as mp from 'multiproc'
import type { ClusterPoolOptions } from 'multiproc/cluster'
import { describe, expect, it } from 'vitest'
import { errorOf } from '../pool/pools'
import { ClusterPool, clusterPool, folder, noServer, Server, WORK, WorkerNode, worker } from './servers'

const add = mp.fnRef(WORK, 'add')

/** Calls a task by way of a node that was let in. */
async function works(server: Server, args: readonly string[], options: ClusterPoolOptions): Promise<void> {
  const node = await worker(server, '--preload', WORK, ...args)
  const pool = clusterPool(server, { allowFunctions: false, ...options })
  expect(await pool.apply(add, [1, 2])).toBe(3)
  expect(await node.end('SIGTERM')).toBe(0)
}
/** What a submitter is told that is not let in: its tasks, 'error' and join() have it. */
async function refusal(server: Server, options: ClusterPoolOptions): Promise<Error> {
  const pool = new ClusterPool({ servers: server.url, ...options })
  const said = new Promise((resolve) => pool.once('error', resolve))
  const error = await errorOf(() => pool.apply(add, [1, 2]))
  expect(await said).toBe(error)
  pool.close()
  expect(await pool.join({ timeout: 20_000 })).toBe(true)
  return error
}
/** What a node says that is not let in. */
async function nodeRefusal(server: Server, ...args: string[]): Promise<string> {
  const node = new WorkerNode(['--servers', server.url, '--processes', '1', ...args])
  expect(await node.ended()).toBe(1)
  return node.lines.join('\n')
}
function config(text: string): string[] {
  const file = join(folder(), 'server.conf')
  writeFileSync(file, text)
  return ['-c', file]
}

describe.skipIf(noServer)('only those take part whom the server lets in', () => {
  it('by name and password', async () => {
    const server = await Server.start(['--user', 'ann', '--pass', 'secret'])
    const password = join(folder(), 'password')
    writeFileSync(password, 'secret\n')
    await works(server, ['--user', 'ann', '--password-file', password], { connection: { user: 'ann', pass: 'secret' } })
    expect((await refusal(server, {})).message).toMatch(/authorization/i)
    expect((await refusal(server, { connection: { user: 'ann', pass: 'guess' } })).message).toMatch(/authorization/i)
    expect(await nodeRefusal(server)).toMatch(/authorization/i)
  })

  it('by nkey', async () => {
    const { nkeys } = nats()
    const [key, other] = [nkeys.createUser(), nkeys.createUser()].map((pair) => {
      const file = join(folder(), 'seed.nk')
      writeFileSync(file, `${Buffer.from(pair.getSeed())}\n`)
      return { name: pair.getPublicKey(), file }
    })
    const server = await Server.start(config(`authorization { users: [ { nkey: ${key!.name} } ] }`))
    await works(server, ['--nkey', key!.file], { nkey: key!.file })
    expect((await refusal(server, { nkey: other!.file })).message).toMatch(/authorization/i)
    expect((await refusal(server, { nkey: '/nowhere/seed.nk' })).message).toMatch(/ENOENT.*seed\.nk/)
    expect(await nodeRefusal(server, '--nkey', other!.file)).toMatch(/authorization/i)
  })

  it('by credentials', async () => {
    const { operator, account, system, credentials } = organisation()
    const server = await Server.start(
      config(`
        operator: ${operator}
        system_account: ${system.name}
        resolver: MEMORY
        resolver_preload: { ${account.name}: ${account.jwt}, ${system.name}: ${system.jwt} }`),
    )
    await works(server, ['--credentials', credentials], { credentials })
    const foreign = organisation().credentials
    expect((await refusal(server, { credentials: foreign })).message).toMatch(/authorization/i)
    expect((await refusal(server, { credentials: '/nowhere/user.creds' })).message).toMatch(/ENOENT.*user\.creds/)
    expect(await nodeRefusal(server, '--credentials', foreign)).toMatch(/authorization/i)
  })

  it('by TLS, on both sides', async () => {
    const ours = certificates()
    const theirs = certificates()
    const { caFile, certFile, keyFile } = ours
    const server = await Server.start([
      ...['--tlsverify', '--tlscacert', caFile, '--tlscert', certFile, '--tlskey', keyFile],
    ])
    await works(server, ['--tls-ca', caFile, '--tls-cert', certFile, '--tls-key', keyFile], { tls: ours })
    // Whoever does not know the server's authority does not trust it, and whom the server does not know it does not let in.
    expect((await refusal(server, { tls: { certFile, keyFile } })).message).toMatch(/certificate/)
    expect((await refusal(server, { tls: theirs })).message).toMatch(/certificate/)
    // NATS's client learns only by waiting that it was not let in without a certificate.
    expect((await refusal(server, { tls: { caFile }, connection: { timeout: 1000 } })).message).toMatch(/timeout/)
    expect((await refusal(server, { tls: { caFile: '/nowhere/ca.pem' } })).message).toMatch(/ca\.pem/)
    expect(await nodeRefusal(server)).toMatch(/certificate/)
  })

  it('what they may not say or hear is an error, not a silence', async () => {
    const server = await Server.start(
      config(`authorization { users: [
        { user: mute, password: p, permissions: { publish: { deny: ["multiproc.*.task.>"] } } }
        { user: deaf, password: p, permissions: { subscribe: { deny: ["multiproc.*.answer.>"] } } } ] }`),
    )
    const as = (user: string) => ({ connection: { user, pass: 'p' } })
    const deaf = await refusal(server, as('deaf'))
    expect(deaf.message).toMatch(/permission.*subscription.*answer/i)
    const mute = new ClusterPool({ servers: server.url, ...as('mute') })
    const silenced = await errorOf(() => mute.apply(add, [1, 2]))
    expect(silenced.message).toMatch(/permission.*publish.*task/i)
    mute.close()
    expect(await mute.join({ timeout: 20_000 })).toBe(true)
  })
})

function nats() {
  return createRequire(import.meta.url)('@nats-io/transport-node') as typeof import('@nats-io/transport-node')
}

/** An authority, and a certificate for both ends. (For a server that is addressed by its number NATS's client wants localhost.) */
function certificates(): { caFile: string; certFile: string; keyFile: string } {
  const at = folder()
  const [caFile, caKey, certFile, keyFile] = ['ca.pem', 'ca.key', 'cert.pem', 'cert.key'].map((name) => join(at, name))
  const make = (...args: string[]): void => {
    const common = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
    execFileSync('openssl', [...common, ...args], { stdio: 'pipe' })
  }
  make('-keyout', caKey!, '-out', caFile!, '-subj', '/CN=the authority of a test')
  const leaf = [
    '-subj',
    '/CN=a server',
    '-addext',
    'subjectAltName=DNS:localhost',
    '-addext',
    'basicConstraints=CA:FALSE',
  ]
  make('-keyout', keyFile!, '-out', certFile!, '-CA', caFile!, '-CAkey', caKey!, ...leaf)
  return { caFile: caFile!, certFile: certFile!, keyFile: keyFile! }
}

/** An operator, an account with JetStream, and a file with the credentials of a user of it: what `nsc` would make. */
function organisation() {
  const { nkeys } = nats()
  type Pair = ReturnType<typeof nkeys.createUser>
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const sign = (issuer: Pair, subject: Pair, name: string, claims: object): string => {
    const body = { iss: issuer.getPublicKey(), sub: subject.getPublicKey(), name, iat: Math.floor(Date.now() / 1000) }
    const jti = createHash('sha256').update(JSON.stringify(body)).digest('hex')
    const signed = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part({ ...body, jti, nats: { version: 2, ...claims } })}`
    return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString('base64url')}`
  }
  const [owner, accountKey, systemKey, user] = [
    nkeys.createOperator(),
    nkeys.createAccount(),
    nkeys.createAccount(),
    nkeys.createUser(),
  ]
  const plain = { subs: -1, data: -1, payload: -1 }
  const room = { ...plain, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 }
  const stores = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }
  const account = (key: Pair, name: string, limits: object) => ({
    name: key.getPublicKey(),
    jwt: sign(owner, key, name, { type: 'account', limits }),
  })
  const credentials = join(folder(), 'user.creds')
  const jwt = sign(accountKey, user, 'worker', { type: 'user', ...plain, pub: {}, sub: {} })
  writeFileSync(
    credentials,
    `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n` +
      `-----BEGIN USER NKEY SEED-----\n${Buffer.from(user.getSeed())}\n------END USER NKEY SEED------\n`,
  )
  return {
    operator: sign(owner, owner, 'operator', { type: 'operator' }),
    account: account(accountKey, 'images', { ...room, ...stores }),
    system: account(systemKey, 'system', room),
    credentials,
  }
}
