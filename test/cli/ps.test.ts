// `multiproc ps` and `locks`: looks into real programs, as a user would.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { getAllStartMethods } from 'multiproc'
import { afterEach, describe, expect, test } from 'vitest'
import { cli, multiproc, type Program, program, until } from './command'

let running: Program[] = []
const start = async (which: string, method?: string): Promise<Program> => {
  const started = await program(which, method)
  running.push(started)
  return started
}
afterEach(async () => {
  for (const each of running) await each.end()
  running = []
})

interface Seen {
  pids: number[]
  processes: {
    pid: number
    name: string
    startMethod: string | null
    startedBy: number | null
    state: string
    threads: { waits: { what: string; blocking: boolean }[] }[]
  }[]
  locks: {
    object: string
    owners: { name: string }[]
    waiters: { name: string }[]
    value?: number
    abandoned: boolean
  }[]
  queues: {
    object: string
    depth: number
    maxSize: number
    bytes: number
    putRate?: number
    takenRate?: number
    waiters: { name: string; for: string }[]
    holders: number[]
  }[]
  segments: { object: string; bytes: number; holders: number[] }[]
  named: { name: string; bytes: number; holders: number[] }[]
}
const look = async (pid: number, ...flags: string[]): Promise<Seen> => {
  const { code, stdout, stderr } = await multiproc(['ps', '--json', '--pid', String(pid), ...flags])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout)[0]
}
const waitsOf = (tree: Seen): Record<string, string> =>
  Object.fromEntries(
    tree.processes.map(({ name, threads }) => [
      name,
      threads
        .flatMap(({ waits }) => waits.map(({ what, blocking }) => what + (blocking ? '' : ', promise')))
        .join('; '),
    ]),
  )

const RED = '\ufffd[31mred\ufffd' // what it wrote would colour the terminal, and turn its text round
const WAITS = {
  MainProcess: '',
  locker: "Lock 'ledger'",
  promiser: "Lock 'ledger', promise",
  patient: "Lock 'ledger'",
  putter: "room in Queue 'full'",
  getter: "a message in Queue 'empty'",
  sleeper: "Semaphore 'slots'",
  waiter: "Event 'never', promise",
  reader: "RWLock 'table'",
  holder: '',
  [RED]: '',
}

describe.each(getAllStartMethods())('%s', (method) => {
  test('ps tells who waits for what', async () => {
    const { pid } = await start('waits', method)
    const tree = await until(
      () => look(pid),
      (seen) => JSON.stringify(waitsOf(seen)).length >= JSON.stringify(WAITS).length,
    )
    const template = tree.processes.filter(({ startMethod }) => startMethod === 'template')
    expect(template.length).toBe(method === 'forkserver' ? 1 : 0)
    const waits = waitsOf(tree)
    delete waits.forkserver
    expect(waits).toEqual(WAITS)

    const locker = tree.processes.find(({ name }) => name === 'locker')!
    expect(locker).toMatchObject({ startMethod: method, startedBy: pid, state: 'running' })
    expect(tree.processes.find((process_) => process_.pid === pid)).toMatchObject({
      startMethod: null,
      startedBy: null,
    })

    const ledger = tree.locks.find(({ object }) => object === "Lock 'ledger'")!
    expect(ledger.owners).toMatchObject([{ name: 'MainProcess' }])
    expect(ledger.waiters.map(({ name }) => name).sort()).toEqual(['locker', 'patient', 'promiser'])
    const rlocks = tree.locks.filter(({ object }) => /^RLock made at tree.mjs:\d+$/.test(object))
    expect(rlocks.length).toBe(3)
    const rlock = rlocks.find(({ value }) => value !== 0)!
    expect(rlock).toMatchObject({ value: 2, owners: [{ name: 'MainProcess' }], waiters: [] })
    expect(tree.locks.find(({ object }) => object === "Semaphore 'slots'")).toMatchObject({
      value: 0,
      owners: [{ name: 'MainProcess' }],
      waiters: [{ name: 'sleeper' }],
    })

    const full = tree.queues.find(({ object }) => object === "Queue 'full'")!
    expect(full).toMatchObject({ depth: 2, maxSize: 2, waiters: [{ name: 'putter', for: 'room' }] })
    expect(full.bytes).toBeGreaterThan(100)
    expect(full.holders).toContain(pid)
    const holder = tree.processes.find(({ name }) => name === 'holder')!
    expect(tree.segments.find(({ object }) => object === 'SharedArray')).toMatchObject({
      bytes: 800_000,
      holders: expect.arrayContaining([pid, holder.pid]),
    })
    expect(tree.named).toMatchObject([{ bytes: 4096, holders: expect.arrayContaining([pid]) }])
  })
})

test('ps for people: no escapes in a pipe, colours if they are asked for', async () => {
  const { pid } = await start('waits')
  const plain = await multiproc(['ps', '--pid', String(pid)])
  expect(plain).toMatchObject({ code: 0, stderr: '' })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these
  expect(plain.stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f\u202e]/)
  expect(plain.stdout).toContain("Queue 'full'")
  expect(plain.stdout).toMatch(/^\s+MEMORY\s+SIZE\s+HELD BY$/m)
  expect(plain.stdout).not.toContain('RATE') // nothing would stand below it
  expect(plain.stdout).not.toContain('--deadlocks')
  expect(plain.stdout).toMatch(/^\s+PID\s+NAME\s+STARTED BY\s+WAITS FOR$/m)
  const coloured = await multiproc(['ps', '--pid', String(pid)], { env: { FORCE_COLOR: '1' } })
  expect(coloured.stdout).toContain('\x1b[1mProgram')
  expect(coloured.stdout).not.toContain('\x1b[31mred')
})

test('ps of a program that is not there, and of one that is no program of ours', async () => {
  expect(await multiproc(['ps', '--pid', '999999999'])).toEqual({
    code: 0,
    stdout: 'No program of this user runs with multiproc and has process 999999999.\n',
    stderr: '',
  })
  expect(await multiproc(['ps', '--json', '--pid', '1'])).toMatchObject({ code: 0, stdout: '[]\n' })
})

test('ps --rates and --watch tell how much goes through a queue; a closed pipe ends the watch', async () => {
  const { pid } = await start('traffic')
  const tree = await until(
    () => look(pid, '--rates'),
    (seen) => (seen.queues.find(({ object }) => object === "Queue 'busy'")?.putRate ?? 0) > 0,
  )
  expect(tree.queues.find(({ object }) => object === "Queue 'busy'")!.putRate).toBeGreaterThan(0)

  const watch = spawn(process.execPath, [cli, 'ps', '--watch', '--json', '--interval', '0.1', '--pid', String(pid)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for await (const chunk of watch.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    text += chunk
    if (text.split('\n').length > 3) break
  }
  watch.stdout.destroy() // as `| head` does
  let stderr = ''
  watch.stderr.setEncoding('utf8').on('data', (more) => {
    stderr += more
  })
  const [code] = await once(watch, 'close')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const looks = text
    .split('\n')
    .slice(0, 3)
    .map((line) => JSON.parse(line)[0] as Seen)
  expect(looks[2]!.queues.find(({ object }) => object === "Queue 'busy'")!.putRate).toBeTypeOf('number')
})

test('locks --deadlocks finds who waits for each other, and says it by its exit code', async () => {
  for (const which of ['deadlock', 'promised']) {
    const { pid } = await start(which)
    const ended = await until(
      () => multiproc(['locks', '--deadlocks', '--json', '--pid', String(pid)]),
      ({ code }) => code === 1,
    )
    expect(ended).toMatchObject({ code: 1, stderr: '' })
    const [circle, ...more] = JSON.parse(ended.stdout)
    expect(more).toEqual([])
    // The parent has both locks, too, and might release them.
    expect(circle.certain).toBe(false)
    expect(
      circle.members.map(({ name, waitsFor }: { name: string; waitsFor: string }) => [name, waitsFor]).sort(),
    ).toEqual([
      ['left', "Lock 'stock'"],
      ['right', "Lock 'ledger'"],
    ])
    expect(circle.members[0].blocking).toBe(which === 'deadlock')
    const text = await multiproc(['locks', '--deadlocks', '--pid', String(pid)])
    expect(text.code).toBe(1)
    expect(text.stdout).toMatch(/left \(\d+\) waits for Lock 'stock', which right \(\d+\) holds/)
    expect((await multiproc(['ps', '--pid', String(pid)])).stdout).toContain('multiproc locks --deadlocks')
  }
})

test('locks without a deadlock', async () => {
  const { pid } = await start('waits')
  expect(await multiproc(['locks', '--deadlocks', '--pid', String(pid)])).toEqual({
    code: 0,
    stdout: 'No threads wait for each other.\n',
    stderr: '',
  })
  const { stdout, code } = await multiproc(['locks', '--pid', String(pid)])
  expect(code).toBe(0)
  expect(stdout).toMatch(/Lock 'ledger' +MainProcess \(\d+\)/)
  expect(stdout).not.toContain('idle')
  expect((await multiproc(['locks', '--all', '--pid', String(pid)])).stdout).toContain("Lock 'idle'")
})

test('a program that is killed meanwhile does not disturb who looks', async () => {
  for (let i = 0; i < 2; i++) {
    const { pid, end } = await start('deadlock')
    const looks = [0, 1, 2].map(() => multiproc(['ps', '--json', '--pid', String(pid)]))
    await end()
    for (const { code, stderr, stdout } of await Promise.all(looks)) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      JSON.parse(stdout)
    }
  }
})
