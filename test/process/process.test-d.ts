// Types only: what must compile, and what must not.
import { Process } from 'multiproc'

new Process()
new Process({ name: 'x', daemon: true })
new Process({ target: () => {} })
new Process({ target: (n?: number) => n })
new Process({ target: (n: number, s: string) => `${n}${s}`, args: [1, 'a'] })
new Process({ target: async (n: number) => n, args: [1] as const })
new Process({ target: Math.max, args: [1, 2, 3] })

// @ts-expect-error args is required
new Process({ target: (n: number) => n })
// @ts-expect-error of another type
new Process({ target: (n: number) => n, args: ['1'] })
// @ts-expect-error too many
new Process({ target: () => {}, args: [1] })
// @ts-expect-error unknown stdio
new Process({ stdio: 'ipc' })

class Mine extends Process {
  extra = 1
  override async run(): Promise<void> {
    console.log(this.name, this.extra)
  }
}
const mine = new Mine()
mine.start()
const joined: Promise<boolean> = mine.join({ timeout: 1, signal: AbortSignal.timeout(1) })
const code: number | null = mine.exitCode
const pid: number | undefined = mine.pid
mine.authKey = 'text'
const list: Process[] = [mine, new Process({ target: (n: number) => n, args: [1] })]
// @ts-expect-error read-only
mine.pid = 1
// @ts-expect-error a Sync form takes no signal
mine.joinSync({ signal: AbortSignal.timeout(1) })
void [joined, code, pid, list]
