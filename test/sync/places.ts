// Where a test's body runs: in the main thread, or in a worker thread that starts the other processes itself (a worker
// gets shared objects only by way of a process that it starts). And what bodies use: starting, joining, waiting for a fact.
//
//   test ── main ───▶ body(mp, tools, form) ── start ──▶ children
//        ── worker ─▶ body's source, evaluated in a Worker ── start ──▶ children
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import * as mp from 'multiproc'

export type Mp = typeof mp
export type Form = 'sync' | 'async'
/** node:assert without its assertion signatures, which TypeScript refuses for what is a parameter. */
interface Asserts {
  ok(value: unknown, message?: string): void
  equal(actual: unknown, expected: unknown, message?: string): void
  notEqual(actual: unknown, expected: unknown, message?: string): void
  deepEqual(actual: unknown, expected: unknown, message?: string): void
  throws(call: () => unknown, expected?: object): void
}
export interface Tools {
  assert: Asserts
  /** No test waits longer than this for anything: a deadline for progress, never a speed. */
  patience: number
  /** Resolves once the condition holds; rejects after 20 s, saying what did not come. */
  until(condition: () => boolean, what: string): Promise<void>
  /** Starts a process and remembers it. */
  start<T extends (...args: any[]) => unknown>(target: T, ...args: Parameters<T>): mp.Process
  /** Joins what was started: each must end in order. */
  joinAll(): Promise<void>
  /** Lets whoever is about to do something wrong do it. For checks that something does not happen. */
  settle(): Promise<void>
  /** Rejections and exceptions alike; undefined: there was none. */
  errorOf(call: () => unknown): Promise<any>
}

/** Self-contained: its source is evaluated in workers, too. */
export function makeTools(m: Mp, a: Asserts): Tools & { killAll(): Promise<void> } {
  const patience = 20_000
  const children: mp.Process[] = []
  return {
    assert: a,
    patience,
    async until(condition, what) {
      const deadline = performance.now() + patience
      while (!condition()) {
        if (performance.now() > deadline) throw new Error(`never came: ${what}`)
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    },
    start(target, ...args) {
      const child = new m.Process({ target, args } as any)
      child.start()
      children.push(child)
      return child
    },
    async joinAll() {
      for (const child of children) {
        if (!(await child.join({ timeout: patience }))) throw new Error(`${child.name} does not end`)
        a.equal(child.exitCode, 0)
      }
      children.length = 0
    },
    settle: () => new Promise((resolve) => setTimeout(resolve, 60)),
    async errorOf(call) {
      try {
        await call()
        return undefined
      } catch (error) {
        return error
      }
    },
    /** After a failure: nothing of it is left for the next test. */
    async killAll() {
      for (const child of children) if (child.isAlive()) child.kill()
      for (const child of children) await child.join()
    },
  }
}

type Body = (m: Mp, tools: Tools, form: Form) => Promise<void>

async function inMain(body: Body, form: Form): Promise<void> {
  const tools = makeTools(mp, assert)
  try {
    await body(mp, tools, form)
    await tools.joinAll()
  } finally {
    await tools.killAll()
  }
}

async function inWorker(body: Body, form: Form): Promise<void> {
  const worker = new Worker(
    `const mp = require('multiproc')
     const { parentPort } = require('node:worker_threads')
     ${makeTools}
     const tools = makeTools(mp, require('node:assert/strict'))
     ;(async () => {
       try {
         await (${body})(mp, tools, ${JSON.stringify(form)})
         await tools.joinAll()
         parentPort.postMessage(null)
       } catch (error) {
         parentPort.postMessage(error?.stack ?? String(error))
       } finally {
         await tools.killAll()
       }
     })()`,
    { eval: true },
  )
  const [failure] = await once(worker, 'message')
  await worker.terminate()
  if (failure !== null) throw new Error(`in the worker: ${failure}`)
}

/** Every place and form: `describe.each(EVERYWHERE)('%s, %s', (place, form, run) => …)`. */
export const EVERYWHERE: [string, Form, (body: Body) => Promise<void>][] = (['sync', 'async'] as const).flatMap(
  (form): [string, Form, (body: Body) => Promise<void>][] => [
    ['main thread', form, (body) => inMain(body, form)],
    ['worker thread', form, (body) => inWorker(body, form)],
  ],
)
