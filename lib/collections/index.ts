// Dictionaries and lists that lie wholly in shared memory.
export type { SharedKey } from './packing'
export type { CollectionOptions } from './shared-collection'
export { type DictSource, SharedDict } from './shared-dict'
export { SharedList } from './shared-list'
