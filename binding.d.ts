// The types of the native addon, hand-checked against native/binding. Nothing here is public: lib/ is its only user.
// Offsets are byte offsets in the root (integers below 2^53); time-outs are ms (Infinity: for ever).

/** A block of shared memory as it travels: only together do both parts name it (an offset is used again). */
export interface BlockHandle {
  offset: number
  generation: number
}

export interface Binding {
  /** Gives the addon the function that makes its errors: (negative errno, call) or (code, message). */
  setErrors(make: (code: number | string, text: string) => Error): void

  /** Unpredictable bytes from the system. */
  randomBytes(length: number): Uint8Array

  // ---- environment.cc: this thread as an owner in the root ------------------------------------------------------
  /** Joins the root (making one if this process has none). Idempotent. `me` is the owner id in lock words. */
  attach(threadId: number): { me: number; slot: number; rootId: string }
  /**
   * In a started process: adopts the root behind an inherited descriptor and the slot its parent reserved. When the
   * parent ends without having let go, this process is killed: a daemon at once, any other after `grace` ms.
   */
  inherit(fd: number, rootId: string, slot: number, generation: number, daemon: boolean, grace: number): void
  /** The name of this process in messages of others. */
  setName(name: string): void
  /** Has the process that started this one ended? onRing() tells when. */
  parentEnded(): boolean
  /** The descriptor of the root, to be inherited by a child. */
  rootFd(): number
  /** Reserves the slot of a child that is about to start; what it is to hold is added with holdFor. */
  reserveSlot(): { slot: number; generation: number }
  /** Gives a reserved slot back, unless its child has adopted it: then it does nothing. */
  releaseSlot(slot: number, generation: number): void
  /** This process ends in order: the child may go on alone. Blocks up to `timeout` ms until it has its delivery. */
  letGo(slot: number, generation: number, timeout: number): void
  /** Hands bytes to the child of a reserved slot, and wakes it. They are copied into a block that its slot holds. */
  deliver(slot: number, generation: number, bytes: Uint8Array): void
  /** In the child: blocks until the parent has delivered, and gives a private copy. null: the parent is gone. */
  takeDelivery(): Uint8Array | null
  /**
   * In a forked child: what stood for the parent is given up, the reserved slot is this thread's own from now on. All
   * watches and the doorbell are the parent's: they are gone. Otherwise as inherit().
   */
  rejoin(slot: number, generation: number, daemon: boolean, grace: number): void
  /** As parentEnded(), but asks the system now. */
  parentDead(): boolean
  /** Is the process behind this owner id still there? */
  ownerInfo(owner: number): { pid: number; threadId: number } | null

  // ---- memory.cc: blocks ----------------------------------------------------------------------------------------
  readonly windowBytes: number
  /** The window of the root with this number (windowBytes each) as this environment's ArrayBuffer. Ask once. */
  window(index: number): ArrayBuffer
  /** A new zeroed block of ≤ 32 KiB, held for as long as `owner` lives or until drop(). Throws ENOSPC. */
  allocate(owner: object, bytes: number, kind: number): number
  /** A new zeroed block of any size with an ArrayBuffer over exactly these bytes (without the head of a locked array). */
  allocateBuffer(bytes: number, kind: number): { buffer: ArrayBuffer; offset: number }
  /** Another hold on a block that this environment was handed. Throws if it is gone or of another kind. */
  adopt(owner: object, offset: number, generation: number, kind: number): void
  /** This environment's ArrayBuffer over a block that it was handed (the same one each time while it lives). */
  adoptBuffer(offset: number, generation: number, kind: number): ArrayBuffer
  /** Ends `owner`'s hold now; an ArrayBuffer is detached. */
  drop(owner: object, offset: number): void
  handle(offset: number): BlockHandle
  /** Makes a reserved child's slot hold the block too. */
  holdFor(slot: number, generation: number, offset: number): void
  /** Gives back what the garbage collector has found dead. Returns how many holds ended. */
  sweep(): number
  /** For tests and diagnosis. */
  memoryStats(): { blocks: number; bytes: number; holds: number; slots: number }

  // ---- lock.cc: slow paths; the fast ones are Atomics in lib/sync ------------------------------------------------
  /**
   * Blocks. 0: acquired; 1: acquired, abandoned by a dead owner; 2: timed out; 3: the thread is being terminated.
   * `watched`: 0: never mind deadlocks; 1: anybody, 2: only its owner may release it: throws ERR_MP_DEADLOCK.
   */
  lockAcquire(offset: number, timeout: number, watched: 0 | 1 | 2): number
  /** Tries once. As lockAcquire. */
  lockTry(offset: number): number
  /** Tries, and registers this environment as an asynchronous waiter if it fails (2). */
  lockTryOrRegister(offset: number): number
  /** This environment no longer waits for the object; passes a ring on if it had one. */
  lockUnregister(offset: number): void
  /** Releases what `owner` holds; 0: whoever holds it. False: it is not held (by that owner). */
  lockRelease(offset: number, owner: number): boolean
  /** This environment was overtaken too often: the next release hands over. */
  lockMarkStarving(offset: number): void
  /** Blocks while the cell's state is WAITING. 0: it is not; 2: timed out; 3: the thread is being terminated. `watched`: the
   * object, if its waits are looked at for deadlocks, else 0. */
  cellWait(offset: number, timeout: number, watched: number): number
  /** Wakes who sleeps on the cell (owner 0), or rings that owner. */
  cellWake(offset: number, owner: number): void
  /** Rings this environment, too, when a granter was killed before it could: looks every 100 ms. */
  awaitCell(offset: number): void
  unawaitCell(offset: number): void
  /** Has the owner died, and is what it held being put in order? Cheap. */
  isReaped(owner: number): boolean
  /** Called on the event loop when an object this environment is registered with may be had, or the parent has ended. */
  onRing(callback: () => void): void
  /** Keeps the event loop alive while promises are pending. */
  refDoorbell(pending: boolean): void

  // ---- process.cc: liveness of processes; no shared memory ------------------------------------------------------
  /** A handle on a living process (POSIX: a pidfd where there is one), to be closed. Throws ESRCH. */
  processOpen(pid: number): number
  /**
   * Blocks until the process has ended (1), one of `fds` can be read (2) or the time is over (0). Leaves the exit
   * status for libuv to reap. Throws if the thread is terminated meanwhile. `child`: its owner id, if the wait is looked
   * at for deadlocks, else 0.
   */
  processWait(handle: number, timeout: number, fds: Int32Array, child: number): number
  /** How an ended child ended, without reaping it; null while it runs or when it is not (or no longer) ours. */
  processStatus(handle: number): { exitCode: number; signal: number } | null
  processClose(handle: number): void

  // ---- descriptors.cc: between a process and its template --------------------------------------------------------
  /** Two ends of a stream that nobody else can reach; not inherited by programs. */
  socketPair(): [number, number]
  /** From now on the descriptor ends with this environment, if it is not closed before; a forked child does not keep it. */
  ownDescriptor(fd: number): void
  /** Node's own close() warns in Workers about descriptors that it has not opened. */
  closeDescriptor(fd: number): void
  /** Read end, write end; not inherited by programs. */
  pipePair(): [number, number]
  /** Makes `target` the same as `fd`; −1: as nothing. */
  redirect(fd: number, target: number): void
  closeOnExec(fd: number): void
  /** What is received on this end tells its sender from now on. */
  socketIdentify(fd: number): void
  /** How many bytes were taken (0: none now); the descriptors go with the first. Throws EPIPE … */
  socketSend(fd: number, bytes: Uint8Array, descriptors: Int32Array): number
  /** null: nothing now; no bytes: the other end is gone. */
  socketReceive(fd: number): { bytes: Uint8Array; descriptors: number[]; pid: number; user: number } | null
  /** Blocks until it can be read (or written, if wanted), at most `timeout` ms: false. */
  socketWait(fd: number, writable: boolean, timeout: number): boolean
  /** Calls back on the event loop whenever the descriptor can be read; does not keep the loop alive. */
  watch(fd: number, callback: () => void): number
  watchRef(watch: number, alive: boolean): void
  unwatch(watch: number): void

  // ---- fork.cc --------------------------------------------------------------------------------------------------
  /** Why processes cannot be forked here; null: all that a fork needs of node was found and verified. */
  forkRefused(): string | null
  /**
   * Forks at the end of this turn of the event loop: calls back with the pid in the parent, with 0 in the child, and
   * with −1 and a reason if no moment of rest came within `patience` ms, or if there are more than `waiting` threads
   * that nobody knows.
   */
  forkSoon(
    slot: number,
    generation: number,
    patience: number,
    waiting: number,
    callback: (pid: number, why: string) => void,
  ): void
  /** In a forked child, which got none until now. */
  admitSignals(): void
  /** What getpid() says: `process.pid` is a copy. */
  currentPid(): number
  /** Has the event loop anything left to do? */
  loopAlive(): boolean
  /** Ends this process at once, without node's teardown. */
  exitNow(code: number): never
  /** How our own child ended; null: it has not. `keep`: it can be asked for again, and stays a zombie. */
  processReap(pid: number, keep: boolean): { exitCode: number; signal: number } | null
  /** Signals the process behind a handle. False: it has ended. */
  processSignal(handle: number, signal: number): boolean
}
