// lib/sync as one function of its surroundings: the classes as they are, over a memory, a kernel and an event loop that the
// model plays. Source changes ("mutations") show that the search finds what they break.
import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'

const lib = join(__dirname, '../../../lib')

/** What lib/sync sees instead of the real thing. */
export interface Surroundings {
  Atomics: object
  Promise: unknown
  setImmediate(callback: () => void): void
  setTimeout(callback: () => void): unknown
  clearTimeout(timer: unknown): void
  binding: object
  memory: object
}
export type Instantiate = (surroundings: Surroundings) => typeof import('../../../lib/sync')

/** In a file of lib/sync: `from`, which must be there once, becomes `to`. */
export interface Mutation {
  file: string
  from: string
  to: string
}

const STUBS: Record<string, string> = {
  '../binding': 'export const binding = () => __model.binding',
  '../memory':
    'export const { adopt, allocate, attach, countPending, drop, handleOf, onFork, onRing, viewsAt, inWindow, Kind } = __model.memory; ' +
    'export const here = { forks: 0, me: 0 }; __model.memory.become((owner) => { here.me = owner })',
  '../serialize/shared': 'export const registerShared = () => {}, SHARED = Symbol()',
  './label': 'export const writeLabel = () => {}',
}

export async function bundle(mutation?: Mutation): Promise<Instantiate> {
  let changed = 0
  const model: Plugin = {
    name: 'model',
    setup(b) {
      b.onResolve({ filter: /.*/ }, (args) => (args.path in STUBS ? { path: args.path, namespace: 'stub' } : undefined))
      b.onLoad({ filter: /.*/, namespace: 'stub' }, (args) => ({ contents: STUBS[args.path]! }))
      if (mutation === undefined) return
      b.onLoad({ filter: /lib\/sync\/[a-z-]+\.ts$/ }, async (args) => {
        const { readFile } = await import('node:fs/promises')
        const text = await readFile(args.path, 'utf8')
        if (!args.path.endsWith(`/${mutation.file}`)) return { contents: text, loader: 'ts' }
        changed = text.split(mutation.from).length - 1
        return { contents: text.replace(mutation.from, mutation.to), loader: 'ts' }
      })
    },
  }
  const { outputFiles } = await build({
    entryPoints: [join(lib, 'sync/index.ts')],
    bundle: true,
    write: false,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    supported: { 'async-await': false }, // promises are the model's, and so is their order
    plugins: [model],
  })
  if (mutation !== undefined && changed !== 1)
    throw new Error(`${mutation.file} has ${changed} times: ${mutation.from}`)
  const names = ['Atomics', 'Promise', 'setImmediate', 'setTimeout', 'clearTimeout', 'performance', 'process']
  const evaluate = new Function('module', 'require', '__model', ...names, outputFiles[0]!.text)
  return (surroundings) => {
    const module = { exports: {} }
    const s = surroundings
    const still = { now: () => 0 }
    const process = { once() {} }
    evaluate(module, require, s, s.Atomics, s.Promise, s.setImmediate, s.setTimeout, s.clearTimeout, still, process)
    return module.exports as typeof import('../../../lib/sync')
  }
}
