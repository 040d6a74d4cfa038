// Killing at random: a few children that work for ever, one of them killed again and again at any instruction.
//
//   fuzz ── start ──▶ children: work(place, blocking)   every second one blocks, the others wait as promises
//        ── kill (SIGKILL) one, join it, start another in its place
//        ── between kills: somebody must have got on, within 30 s
import { readFileSync } from 'node:fs'
import * as mp from 'multiproc'
import { PATIENCE } from '../until'

/** How many processes are killed in all, over all tests that use this. */
export const KILLS = Number(process.env.MULTIPROC_KILLS ?? 1800)
export const CHILDREN = 4
/** Ends what a test has left behind, and gives it: nothing, if all is well. */
export async function endChildren(): Promise<mp.Process[]> {
  const left = mp.activeChildren()
  for (const child of left) child.kill()
  for (const child of left) await child.join()
  return left
}

/** Numbers from 0 to 1. The seed is printed, and taken from MULTIPROC_SEED to have a run again. */
export function seeded(name: string): () => number {
  let seed = Number(process.env.MULTIPROC_SEED ?? Math.floor(Math.random() * 2 ** 31))
  console.log(`${name}: MULTIPROC_SEED=${seed}`)
  return () => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31
    return seed / 2 ** 31
  }
}

/** Is the process still running? A zombie is not. For children that judge whether somebody is beside them. */
export function alive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return !'ZX'.includes(stat[stat.lastIndexOf(')') + 2]!)
  } catch {
    return false
  }
}

export class Crowd {
  readonly children: mp.Process[]
  constructor(
    private readonly work: (place: number, blocking: boolean) => unknown,
    size = CHILDREN,
  ) {
    this.children = Array.from({ length: size }, (_, place) => this.#start(place))
  }
  #start(place: number): mp.Process {
    const child = new mp.Process({ target: this.work, args: [place, place % 2 === 0] })
    child.start()
    return child
  }
  placeOf(pid: number | undefined): number {
    return this.children.findIndex((child) => child.pid === pid)
  }
  /** Kills the child in this place and waits for its end. */
  async kill(place: number): Promise<void> {
    const child = this.children[place]!
    child.kill()
    if (!(await child.join({ timeout: PATIENCE }))) throw new Error(`a killed child does not end: ${child.pid}`)
    if (child.exitCode !== -9) throw new Error(`child ${place} ended by itself: ${child.exitCode}`)
  }
  restart(place: number): void {
    this.children[place] = this.#start(place)
  }
  async end(): Promise<void> {
    for (const child of this.children) if (child.isAlive()) child.kill()
    for (const child of this.children) await child.join()
  }
}

/** Runs `body` with a crowd that is gone afterwards, however it ends. */
export async function withCrowd(
  work: (place: number, blocking: boolean) => unknown,
  body: (crowd: Crowd) => Promise<void>,
  size?: number,
): Promise<void> {
  const crowd = new Crowd(work, size)
  try {
    await body(crowd)
  } finally {
    await crowd.end()
  }
}
