// Shared memory by name, as CPython's multiprocessing.shared_memory has it.

export { SharedMemoryManager } from './manager'
export { ShareableList, type ShareableListOptions, type ShareableValue } from './shareable-list'
export { type Rows, SharedMemory, type SharedMemoryOptions } from './shared-memory'
