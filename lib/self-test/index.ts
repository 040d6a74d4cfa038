// For systems on which nobody has run this package yet: before the first use on a machine, a program of its own tries what data
// would be lost by if it did not work. What it found is remembered for this version, system and addon.
import { UnsupportedError } from '../errors'

const TIME_LIMIT_MS = 60_000

/** Throws ERR_MP_SELF_TEST unless the program has passed, now or before. Blocks while it runs. */
export function selfTest(addon: string): void {
  const { existsSync, statSync, writeFileSync } = process.getBuiltinModule('node:fs')
  const { createHash } = process.getBuiltinModule('node:crypto')
  const { join } = process.getBuiltinModule('node:path')
  const { release, tmpdir } = process.getBuiltinModule('node:os')
  const { size, mtimeMs } = statSync(addon)
  const what = [addon, size, mtimeMs, process.version, process.platform, process.arch, release(), process.getuid?.()]
  const name = createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 16)
  const passed = join(tmpdir(), `multiproc-self-test-${name}`)
  if (existsSync(passed)) return

  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const { NODE_OPTIONS: _, ...env } = process.env
  const { status, signal, stderr, stdout } = spawnSync(process.execPath, [join(__dirname, 'self-test.cjs')], {
    env: { ...env, MULTIPROC_SELF_TEST: 'running' },
    encoding: 'utf8',
    timeout: TIME_LIMIT_MS,
    killSignal: 'SIGKILL',
  })
  if (status !== 0 || !stdout.includes('all good'))
    throw new UnsupportedError(
      `multiproc: the self-test of this system (${process.platform}-${process.arch}, ${release()}) did not pass ` +
        `(${signal ?? `exit code ${status}`}): ${stderr.trim() || stdout.trim()}. Nothing was started. Please report it.`,
      'ERR_MP_SELF_TEST',
    )
  try {
    writeFileSync(passed, '')
  } catch {} // it runs again next time
}
