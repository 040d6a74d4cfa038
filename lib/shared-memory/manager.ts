// SharedMemoryManager: segments that live until shutdown(), whoever closes them meanwhile.
//
// CPython's has a server process that remembers the names, in order to unlink them if its user dies. Here the system drops the
// holds of who dies, so there is no server, nothing to start and nothing to wait for.
import { StateError } from '../errors'
import { ShareableList, type ShareableValue } from './shareable-list'
import { SharedMemory } from './shared-memory'

/**
 * Makes segments and removes them all at shutdown(), at the end of a `using` block, or with this process. Others who have attached
 * one keep its memory. Nothing of it blocks.
 */
export class SharedMemoryManager {
  readonly #held: SharedMemory[] = []
  #ended = false

  /** As CPython's; there is nothing to start. Throws StateError (`ERR_MP_STATE`) after shutdown(). */
  start(): void {
    if (this.#ended) throw new StateError('this SharedMemoryManager was shut down')
  }
  /** A new segment of `size` bytes. Throws as `new SharedMemory`, and StateError (`ERR_MP_STATE`) after shutdown(). */
  SharedMemory(size: number): SharedMemory {
    this.start()
    const held = new SharedMemory({ create: true, size })
    this.#held.push(held)
    return new SharedMemory({ name: held.name })
  }
  /** A new list. Throws as `new ShareableList`, and StateError (`ERR_MP_STATE`) after shutdown(). */
  ShareableList<T extends ShareableValue>(values: Iterable<T>): ShareableList<T> {
    this.start()
    const held = new ShareableList(values)
    this.#held.push(held.shm)
    return new ShareableList<T>({ name: held.shm.name })
  }
  /** Removes all segments made by it. May be called twice. */
  shutdown(): void {
    this.#ended = true
    for (const memory of this.#held.splice(0)) {
      try {
        memory.unlink()
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error // somebody has unlinked it
      }
      memory.close()
    }
  }
  /** As shutdown(), for `using`. */
  [Symbol.dispose](): void {
    this.shutdown()
  }
  /** As shutdown(), for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.shutdown()
  }
}
