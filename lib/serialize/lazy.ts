// The one door to the heavy part (parser and inspector): nothing behind it is loaded before the first function travels.
import type * as Functions from './functions'

let loaded: typeof Functions | undefined

export function loadFunctions(): typeof Functions {
  loaded ??= require('./functions.cjs') as typeof Functions
  return loaded
}
