// isMain: Python's `__name__ == '__main__'`. Node has no expression for it that holds in ES modules, CommonJS, under
// TypeScript loaders and in children of Node 20 to 26 alike.
import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { invalidType } from '../check'
import { registry } from './registry'

/**
 * Is this module the one that the program was started with? False in children and in Worker threads, also for the
 * module that is the main one in their parent.
 *
 *     if (isMain(import.meta)) { … }      // CommonJS: if (isMain(module)) { … }
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE: neither import.meta nor module
 */
export function isMain(module: ImportMeta | NodeModule): boolean {
  if (typeof module !== 'object' || module === null) throw invalidType('module', 'import.meta or module', module)
  const location = locationOf(module)
  if (registry.isChild || !process.getBuiltinModule('node:worker_threads').isMainThread) return false
  return location === mainPath() || isEvaluated(location)
}

/** The URL of the main module of this program (in a child: of the process at its root), if it is a file. */
export function mainUrl(): string | undefined {
  if (registry.isChild) return registry.mainUrl
  const path = mainPath()
  return path === undefined ? undefined : pathToFileURL(path).href
}

function locationOf(module: ImportMeta | NodeModule): string {
  if ('url' in module && typeof module.url === 'string') return realPath(pathOf(module.url))
  if ('filename' in module && typeof module.filename === 'string') return realPath(module.filename)
  if ('id' in module && typeof module.id === 'string') return module.id
  throw invalidType('module', 'import.meta or module', module)
}

function pathOf(url: string): string {
  if (!url.startsWith('file:')) return url
  const bare = new URL(url)
  bare.search = '' // loaders put their own marks there
  bare.hash = ''
  return fileURLToPath(bare)
}

let asked: { argument: string | undefined; path: string | undefined } | undefined

/** The file behind argv[1], as node itself finds it: without extension, a folder, through links. */
function mainPath(): string | undefined {
  const argument = process.argv[1]
  if (asked?.argument === argument) return asked?.path
  asked = { argument, path: undefined }
  if (argument === undefined) return undefined
  try {
    asked.path = realPath(createRequire(`${process.cwd()}/`).resolve(argument))
  } catch {
    asked.path = realPath(argument)
  }
  return asked.path
}

/** `node -e`, `node -p` and a program read from standard input have a main module without a file. */
function isEvaluated(location: string): boolean {
  return /(^|[\\/])\[(eval|stdin)\d*\]$/.test(location)
}

function realPath(path: string): string {
  let real = path
  try {
    real = realpathSync.native(path)
  } catch {
    // not a file (any more): compared as it is written
  }
  return process.platform === 'win32' ? real.replace(/^[a-z]:/, (drive) => drive.toUpperCase()) : real
}
