// The command `multiproc` around its subcommands: arguments, help, exit codes; clean, doctor and bench.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { SharedMemory } from 'multiproc'
import { describe, expect, test } from 'vitest'
import { cli, multiproc, program, until } from './command'

describe('arguments', () => {
  test('help', async () => {
    const help = await multiproc(['--help'])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toMatch(/^ {2}worker /m)
    for (const name of ['ps', 'locks', 'clean', 'doctor', 'bench']) {
      expect(help.stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
      const own = await multiproc([name, '--help'])
      expect(own).toMatchObject({ code: 0, stderr: '' })
      expect(own.stdout).toContain(`Usage: multiproc ${name} `)
      expect(await multiproc(['help', name])).toEqual(own)
    }
    expect(await multiproc([])).toEqual({ ...help, code: 2 })
  })

  test('the version is the package’s', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(await multiproc(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })

  test.each([
    [['pss'], "multiproc: there is no command 'pss'; there are ps, locks"],
    [['ps', '--wach'], "multiproc: Unknown option '--wach' (see multiproc ps --help)"],
    [['ps', '4711'], "multiproc: Unexpected argument '4711'"],
    [['ps', '--pid', 'init'], "multiproc: --pid must be a number of at least 1, not 'init'"],
    [['ps', '--pid', '1.5'], "multiproc: --pid must be a whole number, not '1.5'"],
    [['locks', '--deadlocks', '--pid', '999999999'], 'multiproc: no program of this user runs with multiproc and has'],
    [['worker', '--servers', 'nats://127.0.0.1:1', '--processes', '0'], '--processes must be a whole number above 0'],
    [['worker', '--servers', 'nats://127.0.0.1:1', '--storage', 'tape'], '--storage must be file or memory'],
    [['ps', '--interval', '0'], 'multiproc: --interval must be a number of at least 0.1'],
    [['bench', '--seconds', 'x'], 'multiproc: --seconds must be'],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await multiproc(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
    expect(stderr.split('\n').length).toBe(2)
  })

  test('it is what the package installs', () => {
    const { bin } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(cli.endsWith(bin.multiproc.slice(1))).toBe(true)
    expect(execFileSync(cli, ['--version'], { encoding: 'utf8' })).toMatch(/^\d/)
  })

  test('a reader that closes the pipe at once', async () => {
    const { code, stderr } = await multiproc(['--help'], { shell: 'exec 3>&1 1>/dev/full' })
    expect(code).toBe(1) // a full disk is told by the exit code
    expect(stderr).toBe('')
  })
})

test('clean removes what a killed program has left, and nothing of the living', async () => {
  const alive = new SharedMemory({ create: true, size: 100 })
  const killed = await program('leave')
  const { segment, socket } = JSON.parse(killed.line)
  expect(existsSync(`/dev/shm/${segment}`)).toBe(true)
  const early = JSON.parse((await multiproc(['clean', '--json'])).stdout)
  expect(early.segments.map(({ name }: { name: string }) => name)).not.toContain(segment)
  expect(early.sockets).not.toContain(socket)

  await killed.end()
  const dry = JSON.parse((await multiproc(['clean', '--dry-run', '--json'])).stdout)
  // Any program that starts meanwhile may have swept the segment away.
  if (existsSync(`/dev/shm/${segment}`)) expect(dry.segments).toContainEqual({ name: segment, bytes: 8192 })
  expect(dry.sockets).toContain(socket)
  expect(existsSync(socket)).toBe(true)

  const { code, stdout } = await multiproc(['clean'])
  expect(code).toBe(0)
  expect(stdout).toContain(`removed socket ${socket}`)
  expect(existsSync(socket)).toBe(false)
  expect(existsSync(`/dev/shm/${segment}`)).toBe(false)
  expect(existsSync(`/dev/shm/${alive.name}`)).toBe(true)
  alive.close()
})

describe('doctor', () => {
  test('finds a sound machine sound', async () => {
    const { code, stdout, stderr } = await multiproc(['doctor', '--json'])
    const findings: { subject: string; verdict: string }[] = JSON.parse(stdout)
    expect(findings.filter(({ verdict }) => verdict === 'problem')).toEqual([])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const subjects = findings.map(({ subject }) => subject)
    for (const subject of ['platform', 'node', 'addon', 'spawn', 'fork', 'memory', 'trial'])
      expect(subjects).toContain(subject)
    expect((await multiproc(['doctor'])).stdout).toMatch(/ok\s+trial\s+a child was started/)
  })

  test('says what to do about limits, and fails where nothing can work', async () => {
    const { code, stdout, stderr } = await multiproc(['doctor'], { shell: 'ulimit -f 1000; ulimit -n 200' })
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    expect(stdout).toMatch(/PROBLEM\s+ulimit -f[\s\S]*→ .*ulimit -f unlimited/)
    expect(stdout).toMatch(/note\s+ulimit -n[\s\S]*→ .*ulimit -n 4096/)
    expect(stdout).toMatch(/PROBLEM\s+trial/)
  })
})

test('bench gives figures', async () => {
  const { code, stdout } = await multiproc(['bench', '--seconds', '0.001', '--json'])
  expect(code).toBe(0)
  const figures: { name: string; value: number }[] = JSON.parse(stdout)
  expect(figures.length).toBeGreaterThanOrEqual(7)
  for (const { name, value } of figures) expect(value, name).toBeGreaterThan(0)
})

test('on a terminal: colours, and a watch that clears the screen', async () => {
  const seen = await until(
    async () =>
      execFileSync(
        'script',
        ['-qec', `timeout -s INT 3 '${process.execPath}' '${cli}' ps --watch --interval 0.1 || true`, '/dev/null'],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TERM: 'xterm', NO_COLOR: '' } },
      ),
    (text) => text.includes('\x1b[2J'),
  )
  expect(seen).toContain('\x1b[H\x1b[2J')
})
