// What cannot travel: each error names the function, the path of the culprit and the way out.
import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import net from 'node:net'
import path from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, expect, it } from 'vitest'
import { bundleSerialize } from '../fixtures/serialize/bundle'

let mp: any
let folder = ''
const WORK = 'function work'
beforeAll(async () => {
  folder = await bundleSerialize('errors')
  mp = createRequire(import.meta.url)(`${folder}/index.cjs`)
})
function refusal(value: unknown): { message: string; path: string; code: string } {
  try {
    mp.encode(value, { name: 'target' })
  } catch (error) {
    return error as any
  }
  throw new Error('it was sent')
}

const socket = new net.Socket()
const db = { conn: { socket } }
const unique = Symbol('u')
const promise = Promise.resolve(1)
const weak = new WeakMap()
const proxy = new Proxy({ a: 1 }, {})
class Secret {
  #x = 1
  read() {
    return this.#x
  }
}
class Sub extends Secret {
  override read() {
    return super.read()
  }
}
const secret = new Secret()
const generator = (function* () {})()
const cases: [string, unknown, string, RegExp][] = [
  [
    'a system resource',
    function work() {
      return db
    },
    'target → captured.db.conn.socket',
    /is an instance of \w+ of node:net, which belongs to its process; open it in the child/,
  ],
  [
    'a unique symbol',
    function work() {
      return unique
    },
    'target → captured.unique',
    /unique symbol \(Symbol\(u\)\); use Symbol\.for/,
  ],
  [
    'a promise',
    function work() {
      return promise
    },
    'target → captured.promise',
    /is a Promise; await it/,
  ],
  [
    'a WeakMap',
    function work() {
      return weak
    },
    'target → captured.weak',
    /is a WeakMap; create it in the child/,
  ],
  [
    'a Proxy',
    function work() {
      return proxy
    },
    'target → captured.proxy',
    /is a Proxy; send its target/,
  ],
  [
    'private fields',
    function work() {
      return secret
    },
    'target → captured.secret',
    /instance of Secret with private fields \(#x\).*multiproc\.reduce/,
  ],
  [
    'a generator',
    function work() {
      return generator
    },
    'target → captured.generator',
    /is a running generator/,
  ],
  [
    'a method with private members',
    Secret.prototype.read,
    'target',
    /uses the private member #x of its class; send an instance/,
  ],
  ['a method with super', Sub.prototype.read, 'target', /is a method that uses super; send its class or an instance/],
  ['a value', { list: [{ socket }] }, 'target.list[0].socket', /^cannot send a value to another process/],
  ['a map', new Map([['k', promise]]), 'target.get("k")', /is a Promise/],
]
it.each(cases)('%s', (_, value, where, why) => {
  const error = refusal(value)
  expect(error.path).toBe(where)
  expect(error.message).toMatch(why)
  expect(error.code).toBe('ERR_MP_SERIALIZATION')
  if (typeof value === 'function' && value.name === 'work') expect(error.message).toContain(WORK)
})

it('a variable in its temporal dead zone', () => {
  const error = refusal(function work() {
    return late
  })
  expect(error.message).toMatch(/cannot send function work .* target → captured.late is not initialised yet/)
  const late = {}
})
it('a native function, and an arrow that uses an outer this', () => {
  expect(refusal(new Intl.NumberFormat().format).message).toMatch(/target is a native function/)
  const arrow = function (this: unknown) {
    return () => this
  }.call(1)
  expect(refusal(arrow).message).toMatch(/uses `this` of the function around it/)
})
it.runIf(
  process.allowedNodeEnvironmentFlags.has('--experimental-permission') ||
    process.allowedNodeEnvironmentFlags.has('--permission'),
)('without the inspector: references work, other functions are refused with the way out', async () => {
  const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission'
  const program = `const { encode, fnRef } = require(${JSON.stringify(`${folder}/index.cjs`)})
      const ok = [Math.max, require('node:path').basename, require(${JSON.stringify(path.resolve(__dirname, '../fixtures/serialize/lib.cjs'))}).add, fnRef('file:///x.mjs', 'work')]
      for (const f of ok) encode(f, { name: 'target' })
      const k = 1
      try { encode(() => k, { name: 'target' }) } catch (error) { console.log(error.code, error.message) }`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [flag, '--allow-fs-read=*', '--no-warnings', '-e', program],
    { timeout: 20_000 },
  )
  expect(stdout).toMatch(/inspector.*fnRef\(import\.meta\.url, 'name'\)/)
})
it('fnRef checks its arguments and calls the function here', async () => {
  expect(() => mp.fnRef(1, 'x')).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }))
  expect(() => mp.fnRef('http://x/y.mjs', 'x')).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
  expect(() => mp.fnRef('file:///x.mjs', 'a..b')).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }))
  const file = path.resolve(__dirname, '../fixtures/serialize/lib.mjs')
  expect(await mp.fnRef(file, 'Job.run')(2)).toBe(6)
  const there = await mp.decode(mp.encode(mp.fnRef(file, 'table.deep.fn'), { name: 'target' }))
  expect(there(1)).toBeGreaterThan(1)
})
it('an export that the receiver does not have', async () => {
  const file = path.resolve(__dirname, '../fixtures/serialize/lib.mjs')
  await expect(mp.decode(mp.encode(mp.fnRef(file, 'gone'), { name: 'target' }))).rejects.toMatchObject({
    message: expect.stringMatching(/has no export 'gone' here/),
  })
})
