// The types that SyncManager has.
import type { ServedType } from '../served'
import { DICT, LIST, NAMESPACE, SET } from './containers'
import { ITERATOR } from './iterator'

export const BUILTIN: ReadonlyMap<string, ServedType> = new Map(
  [DICT, LIST, SET, NAMESPACE, ITERATOR].map((type) => [type.shape.type, type]),
)
