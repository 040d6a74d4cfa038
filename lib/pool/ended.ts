// Waiting for the end of a pool.

/** What ends: an engine, or what is one to a pool of a cluster. */
interface Ending {
  readonly hasEnded: boolean
  /** Gives what takes the callback back. */
  whenEnded(callback: () => void): () => void
}

/** When it has ended: true; false: timed out. Rejects with `signal.reason` when aborted. */
export async function ended(
  engine: Ending,
  { timeout, signal }: { timeout: number; signal: AbortSignal | undefined },
): Promise<boolean> {
  signal?.throwIfAborted()
  return await new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    const end = (settle: () => void): void => {
      stop()
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      settle()
    }
    const abort = (): void => end(() => reject(signal!.reason))
    let stop = (): void => {}
    stop = engine.whenEnded(() => end(() => resolve(true)))
    if (engine.hasEnded) return
    if (timeout < 2 ** 31) timer = setTimeout(() => end(() => resolve(false)), timeout)
    signal?.addEventListener('abort', abort, { once: true })
  })
}
