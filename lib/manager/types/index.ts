// The types that SyncManager has.
import { handleOf } from '../handle'
import type { ServedType } from '../served'
import { DICT, LIST, NAMESPACE, SET } from './containers'
import { ITERATOR } from './iterator'
import { BOUNDED_SEMAPHORE, conditionType, LOCK, RLOCK, SEMAPHORE } from './locks'
import { POOL } from './pool'
import { JOINABLE_QUEUE, QUEUE } from './queue'
import { BARRIER, EVENT } from './signals'
import { ARRAY, VALUE } from './values'

const CONDITION = conditionType((proxy) =>
  typeof proxy === 'object' && proxy !== null ? handleOf(proxy)?.target() : undefined,
)

export const BUILTIN: ReadonlyMap<string, ServedType> = new Map(
  [
    ...[DICT, LIST, SET, NAMESPACE, QUEUE, JOINABLE_QUEUE],
    ...[LOCK, RLOCK, SEMAPHORE, BOUNDED_SEMAPHORE, CONDITION, EVENT, BARRIER],
    ...[VALUE, ARRAY, POOL, ITERATOR],
  ].map((type) => [type.shape.type, type]),
)
