// Loads the native addon, once for each environment, and says what to do when that fails.
import { join } from 'node:path'
import type { Binding } from '../binding'
import { whyNotFound, whyNotLoaded } from './binding-failure'
import { DeadlockError, MultiprocError, StateError, UnsupportedError } from './errors'
import { selfTest } from './self-test'
import { systemErrorOf } from './system-error'

/** The package's own folder: dist/ and lib/ lie directly below it. */
export const packageRoot = join(__dirname, '..')

let path: string | undefined
let loaded: Binding | undefined
/** Tried by the parent process. */
let tried = process.env.MULTIPROC_SELF_TEST === 'running'
/** Compiled for it, run by nobody yet. */
const untried = process.platform === 'darwin' || process.env.MULTIPROC_SELF_TEST === 'always'

/** Where the addon lies. */
export function addonPath(): string {
  path ??= find()
  return path
}
/** In a child: its parent has found the addon already. */
export function useAddon(found: string): void {
  path = found
  tried = true
}

export function binding(): Binding {
  loaded ??= load()
  return loaded
}

function find(): string {
  try {
    return require('node-gyp-build').resolve(packageRoot)
  } catch (cause) {
    throw new UnsupportedError(whyNotFound(packageRoot), 'ERR_MP_NO_ADDON', { cause })
  }
}

/** The same for the other C library of Linux: which one there is, is known by Alpine's own file only. */
function forOtherLibc(file: string): string {
  return file.replace(/\.(glibc|musl)\.node$/, (_, libc) => (libc === 'musl' ? '.glibc.node' : '.musl.node'))
}

function open(file: string): Binding {
  try {
    return require(file)
  } catch (cause) {
    const other = forOtherLibc(file)
    try {
      if (other !== file) {
        const addon = require(other)
        path = other
        return addon
      }
    } catch {} // what the first one said is told
    throw new UnsupportedError(whyNotLoaded(file, cause as Error), 'ERR_MP_NO_ADDON', { cause })
  }
}

function load(): Binding {
  const addon = open(addonPath())
  if (untried && !tried) selfTest(addonPath())
  addon.setErrors((code, text) => {
    if (typeof code === 'number') return systemErrorOf(code, text)
    if (code === 'ERR_MP_UNSUPPORTED') return new UnsupportedError(text)
    if (code === 'ERR_MP_STATE') return new StateError(text)
    if (code === 'ERR_MP_DEADLOCK') return new DeadlockError(text)
    return new MultiprocError(text, code)
  })
  return addon
}
