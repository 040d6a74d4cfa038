// Copies of the built package in folders of their own, whole or with parts missing, and programs that use them.
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const system = `${process.platform}-${process.arch}`

/** The addon that the tests run with. */
export const addon: string = createRequire(import.meta.url)('node-gyp-build').resolve(root)

export interface Ended {
  code: number | string | null
  stdout: string
  stderr: string
}

/** Ends with the program; its environment is ours but for what would find another addon. */
export function run(folder: string, command: string, args: readonly string[], env = {}): Promise<Ended> {
  const clean = { ...process.env, NODE_OPTIONS: undefined, PREBUILDS_ONLY: undefined, LIBC: undefined, NO_COLOR: '1' }
  return new Promise((resolve) => {
    execFile(
      command,
      args,
      { cwd: folder, env: { ...clean, ...env } as NodeJS.ProcessEnv, timeout: 50_000, killSignal: 'SIGKILL' },
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? null), stdout, stderr }),
    )
  })
}

export class Place {
  readonly folder = mkdtempSync(join(tmpdir(), 'multiproc-place-'))
  readonly package = join(this.folder, 'node_modules', 'multiproc')

  /** Puts in the package without its addon. */
  install(): this {
    for (const name of ['dist', 'package.json', 'binding.d.ts'])
      cpSync(join(root, name), join(this.package, name), { recursive: true })
    symlinkSync(
      join(root, 'node_modules', 'node-gyp-build'),
      join(this.folder, 'node_modules', 'node-gyp-build'),
      'dir',
    )
    return this
  }
  write(path: string, content: string | Uint8Array): string {
    const file = join(this.folder, path)
    mkdirSync(join(file, '..'), { recursive: true })
    writeFileSync(file, content)
    return file
  }
  /** A file that is no addon, in the package. */
  addon(path: string, content: string | Uint8Array = 'not an addon'.repeat(100)): void {
    this.write(join('node_modules', 'multiproc', path), content)
  }
  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
