// What Connection stands on: one end of something that carries whole messages, a ring in shared memory or a socket.
export interface Received {
  /** Private to the receiver. */
  bytes: Uint8Array
  /** Sent by send(), not by sendBytes(). Sockets: always false. */
  value: boolean
}

export interface Link {
  readonly readable: boolean
  readonly writable: boolean
  /** Sends if there is room now. False: there is none just now. Never blocks. Throws EOFError (the other end is gone) or a system error. */
  trySend(bytes: Uint8Array, value: boolean): boolean
  /** Blocks the thread in the kernel until there is room or `timeout` ms are over (false). */
  sendSync(bytes: Uint8Array, value: boolean, timeout: number): boolean
  /** A whole message if one is there; undefined: none just now. Throws EOFError at the end. maxLength: see recvBytes */
  tryReceive(maxLength?: number): Received | undefined
  receiveSync(timeout: number, maxLength?: number): Received | undefined
  /** Is there something to take (a message, or the end)? Takes nothing. Sync: blocks up to `timeout` ms. */
  poll(): boolean
  pollSync(timeout: number): boolean
  /** Calls back once on the event loop when tryReceive / trySend may succeed; keeps the loop alive until then. Returns how to stop that. */
  whenReadable(callback: () => void): () => void
  whenWritable(callback: () => void): () => void
  /** For wait(): a descriptor that is readable when a message may be there; −1: none (rings). */
  readonly descriptor: number
  close(): void
}
