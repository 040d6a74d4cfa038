// FileHandles for descriptors that were received.
//
// Node makes a FileHandle only by opening a file, and only asynchronously. So the null device is opened, and then its descriptor is
// made to be the received one (dup2): position, flags and locks are those of the open file that was sent. Where nobody may wait, a
// worker thread opens them and transfers them here, while this thread blocks; it stays for the next time, and keeps nothing alive.

import type { FileHandle } from 'node:fs/promises'
import { devNull } from 'node:os'
import type { MessagePort, Worker } from 'node:worker_threads'
import { binding } from '../binding'
import { SerializationError } from '../errors'

const ANSWER_MS = 10_000

/** So many FileHandles on the null device. */
export async function openFileHandles(count: number): Promise<FileHandle[]> {
  const { open } = process.getBuiltinModule('node:fs/promises')
  const handles: FileHandle[] = []
  try {
    while (handles.length < count) handles.push(await open(devNull))
  } catch (error) {
    closeAll(handles)
    throw cannot(error)
  }
  return handles
}

let opener: { worker: Worker; port: MessagePort; answered: Int32Array } | undefined

/** As openFileHandles. Blocks: some 30 ms the first time. */
export function openFileHandlesSync(count: number): FileHandle[] {
  if (count === 0) return []
  const { receiveMessageOnPort } = process.getBuiltinModule('node:worker_threads')
  opener ??= startOpener()
  const { worker, port, answered } = opener
  answered[0] = 0
  port.postMessage(count)
  Atomics.wait(answered, 0, 0, ANSWER_MS)
  const answer = receiveMessageOnPort(port)?.message as FileHandle[] | Error | undefined
  if (Array.isArray(answer)) return answer
  opener = undefined
  void worker.terminate()
  throw cannot(answer ?? new Error('the worker thread that opens it does not answer'))
}

function startOpener(): NonNullable<typeof opener> {
  const { MessageChannel, Worker } = process.getBuiltinModule('node:worker_threads')
  const { port1, port2 } = new MessageChannel()
  const answered = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(`(${serve})(require)`, {
    eval: true,
    execArgv: [],
    env: {},
    workerData: { port: port2, answered, devNull },
    transferList: [port2],
  })
  worker.unref()
  worker.on('error', () => {}) // told by the missing answer
  port1.unref()
  return { worker, port: port1, answered }
}

/** The worker's program: sent as text. */
function serve(require: NodeJS.Require): void {
  const { port, answered, devNull } = require('node:worker_threads').workerData
  const { open } = require('node:fs/promises')
  port.on('message', async (count: number) => {
    const handles: any[] = []
    try {
      while (handles.length < count) handles.push(await open(devNull))
      port.postMessage(handles, handles)
    } catch (error) {
      for (const handle of handles) await handle.close()
      port.postMessage(error)
    }
    Atomics.store(answered, 0, 1)
    Atomics.notify(answered, 0)
  })
}

/** Makes the open file of `fd`, which is closed, that of the handle. */
export function become(handle: FileHandle, fd: number): FileHandle {
  binding().moveDescriptor(fd, handle.fd)
  return handle
}

export function closeAll(handles: readonly FileHandle[]): void {
  for (const handle of handles) handle.close().catch(() => {})
}

function cannot(cause: unknown): SerializationError {
  return new SerializationError(
    `cannot receive a FileHandle: ${(cause as Error).message}`,
    '',
    'ERR_MP_SERIALIZATION',
    { cause },
  )
}
