// The package itself, as the cluster uses it: the instance that the program has, never a second copy.
import type * as Package from '../index'

const main = require('./index.cjs') as typeof Package

export const { CancelledError, ClosedError, Pool, QueueFullError, SerializationError, StateError, TimeoutError } = main
export const { UnsupportedError, WorkerLostError, cpuCount, taskContext } = main
export const {
  ApplyJob,
  asyncWait,
  bytesBody,
  CHUNKED,
  checkArgs,
  decode,
  decodeAtOnce,
  decodeFailure,
  encode,
  encodeFailure,
  ended,
  Histogram,
  ImapIterator,
  ImapJob,
  Jobs,
  MapJob,
  Requests,
  readWire,
  rejectedTask,
  SETTLE,
  SPREAD,
  Unit,
} = main.__inside
export type Pool = Package.Pool
export type ApplyJob = Package.__inside.ApplyJob
export type MapJob = Package.__inside.MapJob
export type Unit = Package.__inside.Unit
export type Requests = Package.__inside.Requests
