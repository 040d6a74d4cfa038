// Messages between processes. What the package exports of it.
export { Connection, type ReceiveOptions, type ReceiveSyncOptions } from './connection'
export { Pipe, type PipeOptions } from './pipe'
export { JoinableQueue, Queue, type QueueOptions, SimpleQueue } from './queue'
export { transfer } from './segments'
export { type Waitable, wait, waitSync } from './wait'
