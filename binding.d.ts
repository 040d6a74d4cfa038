// The types of the native addon, hand-checked against native/binding. Nothing here is public: lib/ is its only user.
// Offsets are byte offsets in the root (integers below 2^53); time-outs are ms (Infinity: for ever).

/** A block of shared memory as it travels: only together do both parts name it (an offset is used again). */
export interface BlockHandle {
  offset: number
  generation: number
}

/** An open segment with a name, by the number of its hold. */
export interface NamedSegment {
  id: number
  /** Exactly the segment's bytes. */
  buffer: ArrayBuffer
  /** Tells it from a later segment of the same name. */
  identity: string
  /** The last one who closes it removes it. */
  tracked: boolean
}

/** A socket of this environment. Closed by the garbage collector if by nobody else. */
export type SocketHandle = object & { [socket]: never }
declare const socket: unique symbol

/** What a stranger sees of a root: numbers of layout.h and inspect.h. All of it was written by others, and changes meanwhile. */
export interface SeenRoot {
  id: string
  samePidNamespace: boolean
  blocks: number
  bytes: number
  warmBytes: number
  /** Blocks, and their bytes, by kind. */
  counts: number[]
  sizes: number[]
  truncated: boolean
  slots: SeenSlot[]
  found: SeenBlock[]
}
export interface SeenSlot {
  index: number
  owner: number
  process: number
  state: number
  pid: number
  startTime: number
  /** Its process has ended, and nobody has put in order what it left. */
  dead: boolean
  threadId: number
  startedBy: number
  startMethod: number
  name: string
  blocked: number
  blockedIn: number
  blockedNumber: number
  awaits: number[]
  moreAwaits: number
}
export interface SeenBlock {
  offset: number
  bytes: number
  kind: number
  generation: number
  label: string
  /** Slots; containers by their offsets. */
  holders: number[]
  containers: number[]
  lock?: { owner: number; waiters: boolean; abandoned: boolean; depth: number }
  sync?: {
    type: number
    /** VALUE, X, Y, LIMIT of lib/sync/monitor.ts. */
    state: number[]
    cells: { offset: number; owner: number; want: number; held: number; asynchronous: boolean }[]
  }
  channel?: {
    type: number
    messages: number
    bytes: number
    /** In all, modulo 2^32. */
    put: number
    taken: number
    unfinished: number
    maxMessages: number
    maxBytes: number
    ended: number
    putSide: number
    takenSide: number
    doneSide: number
  }
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
   * In a started process: adopts the root behind an inherited descriptor (Windows: a handle of the parent's) and the slot its parent reserved. When the
   * parent ends without having let go, this process is killed: a daemon at once, any other after `grace` ms.
   */
  inherit(
    root: number,
    rootId: string,
    slot: number,
    generation: number,
    daemon: boolean,
    grace: number,
    parentPid: number,
  ): void
  /** The name of this process in messages of others, the pid of the process that started it, and by which method (layout.h). */
  setName(name: string, startedBy: number, startMethod: number): void
  /** Has the process that started this one ended? onRing() tells when. */
  parentEnded(): boolean
  /** The descriptor of the root, to be inherited by a child; on Windows its handle. */
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
  /** In a child: from now on it goes with its parent as these say. */
  followParent(daemon: boolean, grace: number): void
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

  // ---- channel.cc: outcomes are 0: done, 1: it would have to wait, 2: the other side is gone, 3: shut down, 4: time is
  // over, 5: the thread is being terminated. `which`: 0: a message to take, 1: room to put one, 2: all tasks done ---------
  /** The areas through which records pass: `out` to be put, `into` that were taken, `info` for what else there is to tell. */
  channelAreas(out: Uint8Array, into: Uint8Array, info: Float64Array): void
  /** Where in a channel's block its signals lie, in bytes. */
  readonly channelSignals: readonly number[]
  /** The longest message that passes through the areas. */
  readonly maxInline: number
  /** A new channel; 0: without that limit. Throws ENOSPC. */
  createChannel(owner: object, maxMessages: number, maxBytes: number): number
  /** Two ends of a pipe: the first reads what the second writes and, if `duplex`, the other way round. Throws ENOSPC. */
  createPipe(first: object, second: object, duplex: boolean, maxBytes: number): [number, number]
  /** The channels that an end reads from and writes to; 0: none. */
  channelsOfEnd(offset: number): [number, number]
  /** A number for a channel, for the calls below. */
  openChannel(offset: number): number
  forgetChannel(channel: number): void
  /** Puts so many bytes of records from the area, as many as there is room for: info[0] of them. Blocks up to `timeout` ms. */
  channelPut(channel: number, bytes: number, timeout: number): number
  /**
   * Copies up to `most` records into the area: info[0] bytes, info[2] of them, and other readers wait until channelCommit; or takes
   * a message of its own: info[1], info[2] bytes of info[3].
   */
  channelTake(channel: number, most: number, timeout: number): number
  /** So many of the copied records are taken. Until then a process that is killed has taken none. */
  channelCommit(channel: number, count: number): void
  channelPutMessage(channel: number, message: number, timeout: number): number
  /** Blocks until that changes which the last call on this channel, or channelLook, has found. */
  channelWait(channel: number, which: number, timeout: number): number
  /** info: messages, bytes, unfinished tasks. Gives flags: 1: readers gone, 2: writers gone, 4: shut down, 8: at once. */
  channelLook(channel: number): number
  /** Rings this environment when the signal (a word of the channel) is no longer what it gives; −1: it is not any more. */
  channelAwait(channel: number, which: number): number
  channelUnawait(channel: number, which: number): void
  channelShutDown(channel: number, now: boolean): void
  /** False: there was no unfinished task. */
  channelTaskDone(channel: number): boolean
  /** A message of its own with these bytes, that holds these blocks. Throws ENOSPC. */
  createMessage(bytes: Uint8Array, what: number, holds: number[]): number
  /** Fills `into` with the message's bytes. */
  readMessage(message: number, into: Uint8Array): void
  /** A message that was put by nobody, or taken and read: nobody gets it any more. */
  endMessage(message: number): void
  /** A block of kind array with a copy of the bytes, for adoptBuffer; this environment holds it. Throws ENOSPC. */
  createSegment(bytes: Uint8Array): BlockHandle
  /** Ends the hold of createSegment, unless an ArrayBuffer of this environment lies over it. */
  dropSegment(offset: number): void

  // ---- collection.cc: dictionaries and lists. A key lies at the start of the area, its value behind it; `message`: a message that
  // becomes the value instead, or 0. Reading gives the length of what is in the area `into`, −1: there is nothing, −2: a message
  // with info[0] bytes at info[1], to be ended. All take the collection's lock and block until they have it; they throw
  // ERR_MP_DEADLOCK, ERR_MP_TERMINATED, ENOSPC ---------------------------------------------------------------------
  collectionAreas(out: Uint8Array, into: Uint8Array, info: Float64Array): void
  /** A new one, with a lock (a block of kind rlock). Throws ENOSPC. */
  createCollection(owner: object, lock: number, keyed: boolean): number
  collectionLock(offset: number): BlockHandle
  /** A number for a collection, for the calls below. */
  openCollection(offset: number): number
  forgetCollection(collection: number): void
  collectionCount(collection: number): number
  collectionClear(collection: number): number
  /** A message that was found has been read. */
  endItem(message: number): void
  dictHas(collection: number, key: number): number
  dictGet(collection: number, key: number): number
  /** 1: the key is new. */
  dictSet(collection: number, key: number, value: number, message: number): number
  dictDelete(collection: number, key: number): number
  /** The sequence number that the next new key will have. */
  dictEnd(collection: number): number
  /**
   * The first entry behind sequence number `after` and before `end`: info[2] and info[3] are its number and position, and the first
   * info[4] bytes its key. `position`: of the entry before.
   */
  dictNext(collection: number, after: number, end: number, position: number, withValue: 0 | 1): number
  listGet(collection: number, index: number): number
  /** 0: there is no such item. */
  listSet(collection: number, index: number, value: number, message: number): number
  /** Gives the length. */
  listPush(collection: number, value: number, message: number): number
  listPop(collection: number, first: 0 | 1): number
  /** A list made anew beside the one in force, by who has the lock meanwhile: until publishList nobody sees it. */
  stageList(collection: number, items: number, bytes: number): number
  /** Items of the list in force. Gives where the staged one is now. */
  stageCopy(collection: number, staged: number, from: number, count: number): number
  stagePush(collection: number, staged: number, value: number, message: number): number
  publishList(collection: number, staged: number): number
  dropStaged(staged: number): void

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

  // ---- control.cc: between a process and its template ------------------------------------------------------------
  /** Two ends of a stream that nobody else can reach; not inherited by programs. */
  controlPair(): [number, number]
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
  controlIdentify(fd: number): void
  /** How many bytes were taken (0: none now); the descriptors go with the first. Throws EPIPE … */
  controlSend(fd: number, bytes: Uint8Array, descriptors: Int32Array): number
  /** null: nothing now; no bytes: the other end is gone. */
  controlReceive(fd: number): { bytes: Uint8Array; descriptors: number[]; pid: number; user: number } | null
  /** Blocks until it can be read (or written, if wanted), at most `timeout` ms: false. */
  controlWait(fd: number, writable: boolean, timeout: number): boolean
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
  /** SIGINT does nothing to this process, or what it does by default. */
  ignoreInterrupts(ignore: boolean): void
  /** Gives unused memory of the C library back to the system. Copies are made and ended faster. */
  trimMemory(): void
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
  // ---- socket.cc: streams of bytes; no shared memory. Nothing blocks but socketWait and hostAddresses ------------
  // `port` < 0: `name` is a path, or one in the abstract namespace if it begins with \0; else an IP literal.
  /** Bound and listening. Throws EADDRINUSE … */
  socketListen(name: string, port: number, backlog: number): SocketHandle
  /** Begins to connect. Throws EAGAIN for a path whose listener has no room just now. */
  socketConnect(name: string, port: number): SocketHandle
  /** false: not yet. Throws why it failed. */
  socketConnected(socket: SocketHandle): boolean
  /** null: nobody is there just now. */
  socketAccept(listener: SocketHandle): SocketHandle | null
  /** Its own name or its peer's: a path or [address, port]. */
  socketName(socket: SocketHandle, peer: boolean): string | [string, number]
  /** IP literals of a host; none: it is not known. Blocks. */
  hostAddresses(host: string): string[]
  /** Into bytes `begin` to `end`: how many came. -1: nothing just now; 0: the end. */
  socketRead(socket: SocketHandle, into: Uint8Array, begin: number, end: number): number
  /** Writes what the system takes now of head and body after their first `done` bytes. Returns how many are done. */
  socketWrite(socket: SocketHandle, head: Uint8Array, body: Uint8Array, done: number): number
  /** Blocks until one is ready for one of `events` (1 readable, 2 writable), or time is over (false). */
  socketWait(sockets: SocketHandle[], events: number, timeout: number): boolean
  /** A copy of any descriptor, or one that can be read when a process has ended: for socketOnReady and socketDescriptor. */
  watchDescriptor(fd: number): SocketHandle
  watchProcess(pid: number): SocketHandle
  /** `ready[i]`: 1: the descriptor can be read now, or has ended; 2: it is none. */
  pollNow(fds: Int32Array, ready: Uint8Array): void
  /**
   * Blocks until one of the descriptors can be read, this environment is rung or time is over (false). `ready` as in
   * pollNow. A ring is answered: whoever waits on the event loop has to be told again (ringAgain).
   */
  waitReadable(fds: Int32Array, ready: Uint8Array, timeout: number): boolean
  /** What the event loop calls, with the events that are there. At most once for a socket, before socketWatch. */
  socketOnReady(socket: SocketHandle, callback: (events: number) => void): void
  /** The events to be told of, until told otherwise. 0: none, and the callback may be collected. */
  socketWatch(socket: SocketHandle, events: number): void
  /** Does watching keep the event loop alive? It does until told otherwise. */
  socketKeepAlive(socket: SocketHandle, yes: boolean): void
  /** Its descriptor; -1: it is closed. */
  socketDescriptor(socket: SocketHandle): number
  socketClose(socket: SocketHandle): void

  // ---- descriptors.cc: open files that travel; POSIX ------------------------------------------------------------
  /**
   * A block that stands for a copy of the descriptor and is held by this environment until sentDescriptor(). The copy
   * is kept for as long as anybody holds the block. Throws EBADF, EMFILE, ENOSPC.
   */
  sendDescriptor(fd: number): BlockHandle
  sentDescriptor(offset: number, generation: number): void
  /**
   * A descriptor of our own of what the block stands for; ends this environment's hold on the block, also when it
   * throws: ERR_MP_GONE, ERR_MP_CORRUPT, EMFILE, ETIMEDOUT. Blocks for at most some seconds.
   */
  receiveDescriptor(offset: number, generation: number): number
  /** Makes `to` the open file behind `from`, which is closed. */
  moveDescriptor(from: number, to: number): void

  // ---- named.cc: shared memory by name (native/platform/named.h); nothing of the root ----------------------------
  /** A new segment of zeros, its bytes reserved. Throws EEXIST, ENOSPC, EFBIG, EINVAL. */
  namedCreate(name: string, bytes: number, tracked: boolean): NamedSegment
  /** `hold`: a tracked segment is not removed before namedClose(). Throws ENOENT. */
  namedOpen(name: string, hold: boolean): NamedSegment
  /** Detaches the buffer and ends the hold. 1: the segment was removed, we were the last; 2: it had been removed; 0: neither. */
  namedClose(id: number): number
  /** Throws ENOENT, also if another segment has the name by now. */
  namedUnlink(name: string, identity: string): void
  /** A descriptor that holds a segment which is open here while it travels. Throws ENOENT. */
  namedHold(name: string, identity: string): number
  /** Ends the hold of a descriptor of namedHold(), also where copies of it are, and closes it. */
  namedRelease(fd: number): void
  /** Removes what killed users of this system user's have left: how many segments. */
  namedSweep(): number

  // ---- inspect.cc: the root of another family of processes, for `npx multiproc` (native/core/inspect.h) --------------------
  /**
   * What can be seen of the root behind a descriptor; at most 2 s. Writes, maps and locks nothing. Throws ERR_MP_CORRUPT if it
   * is none, ERR_MP_UNSUPPORTED for one of another layout.
   */
  inspectRoot(fd: number): SeenRoot
}
