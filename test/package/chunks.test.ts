// What is loaded when first used: lib/chunks.ts. The exports behave as the classes and functions that they stand for.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import * as mp from 'multiproc'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What a program prints, in a process of its own: here nothing may have been loaded before. */
function run(code: string): string {
  const program = `const mp = require('multiproc'); 
    const loaded = () => mp.__loadedChunks().join(' ')
    ${code}`
  return execFileSync(process.execPath, ['-e', program], { cwd: root, encoding: 'utf8' }).trim()
}

it('importing, and starting a process that needs none, loads none', () => {
  expect(run('console.log("loaded:", loaded())')).toBe('loaded:')
  const child = '() => console.log("child loaded:", mp.__loadedChunks().join(" "))'
  expect(
    run(`const p = new mp.Process({ target: ${child} }); p.start(); p.joinSync(); console.log("loaded:", loaded())`),
  ).toBe('child loaded: \nloaded:')
})

it('a child loads what its arguments need', () => {
  const child = '(lock) => console.log(mp.__loadedChunks().join(" "), lock.locked())'
  expect(run(`const p = new mp.Process({ target: ${child}, args: [new mp.Lock()] }); p.start(); p.joinSync()`)).toBe(
    'objects false',
  )
})

it('every export has its name, and instances know their class', () => {
  for (const [name, value] of Object.entries(mp))
    if (typeof value === 'function' && name !== 'Array') expect((value as { name: string }).name).toBe(name)
  for (const object of [new mp.Lock(), new mp.Queue(), new mp.Value('i'), new mp.RawValue('i')]) {
    const Class = Object.entries(mp).find(([name]) => name === object.constructor.name)?.[1] as typeof mp.Lock
    expect(object.constructor).toBe(Class)
    expect(object).toBeInstanceOf(Class)
    expect(Object.getPrototypeOf(object).constructor).toBe(Class)
  }
  expect(inspect(mp.Lock)).toContain('Lock')
  expect(inspect(new mp.Lock())).toMatch(/^Lock /)
})

it('a class can be extended, and has its statics', () => {
  class Named extends mp.Lock {
    hello(): string {
      return `hello ${this.locked()}`
    }
  }
  const lock = new Named()
  expect(lock.hello()).toBe('hello false')
  expect(lock).toBeInstanceOf(mp.Lock)
  expect(lock.constructor).toBe(Named)
  expect(Object.getPrototypeOf(Named)).toBe(mp.Lock)
  expect(Object.getOwnPropertyNames(mp.Lock)).toContain('prototype')
  expect(Object.getOwnPropertyDescriptor(mp.Lock, 'prototype')!.value).toBe(mp.Lock.prototype)
  expect(() => (mp.Lock as unknown as () => void)()).toThrow(TypeError)
  expect(() => new (mp.Manager as any)()).toThrow(/^Manager is no class: call Manager\(\) without new$/)
})

it('an object is called by the line that made it', () => {
  const lock = new mp.Lock()
  const held = lock.acquireSync()
  expect(() => lock.acquireSync()).toThrow(/made at chunks\.test\.ts:\d+/)
  held.release()
})
