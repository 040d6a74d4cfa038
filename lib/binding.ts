// Loads the native addon, once for each environment, and says what to do when that fails.
import { join } from 'node:path'
import type { Binding } from '../binding'
import { DeadlockError, MultiprocError, StateError, UnsupportedError } from './errors'
import { systemErrorOf } from './system-error'

/** The package's own folder: dist/ and lib/ lie directly below it. */
export const packageRoot = join(__dirname, '..')

let path: string | undefined
let loaded: Binding | undefined

/** Where the addon lies. */
export function addonPath(): string {
  path ??= find()
  return path
}
/** In a child: its parent has found the addon already. */
export function useAddon(found: string): void {
  path = found
}

export function binding(): Binding {
  loaded ??= load()
  return loaded
}

function find(): string {
  try {
    return require('node-gyp-build').resolve(packageRoot)
  } catch (cause) {
    throw new UnsupportedError(
      `multiproc: no native addon for ${process.platform}-${process.arch} (Node-API 8). Looked in ` +
        `${join(packageRoot, 'build', 'Release')} and ${join(packageRoot, 'prebuilds')}. In a clone run 'npm run build'; ` +
        'installed from npm, this platform may have no prebuilt binary, or a bundler left the .node file out.',
      'ERR_MP_NO_ADDON',
      { cause },
    )
  }
}

function load(): Binding {
  const file = addonPath()
  let addon: Binding
  try {
    addon = require(file)
  } catch (cause) {
    throw new UnsupportedError(
      `multiproc: the native addon ${file} cannot be loaded here: ${(cause as Error).message}`,
      'ERR_MP_NO_ADDON',
      { cause },
    )
  }
  addon.setErrors((code, text) => {
    if (typeof code === 'number') return systemErrorOf(code, text)
    if (code === 'ERR_MP_UNSUPPORTED') return new UnsupportedError(text)
    if (code === 'ERR_MP_STATE') return new StateError(text)
    if (code === 'ERR_MP_DEADLOCK') return new DeadlockError(text)
    return new MultiprocError(text, code)
  })
  return addon
}
