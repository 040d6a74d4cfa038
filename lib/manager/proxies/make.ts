// From a handle to its proxy: which class, and one proxy for one handle.
import type { Handle } from '../handle'
import type { Shape } from '../wire'
import { addSyncForms, BaseProxy, generate, WRAP } from './base'
import { ArrayBase, DictBase, IteratorProxy, ListBase, NamespaceProxy, ObjectBase, SetBase } from './containers'
import { wrapOpen } from './members'
import {
  BarrierBase,
  ConditionBase,
  EventBase,
  JoinableQueueBase,
  LockBase,
  PoolBase,
  QueueBase,
  SemaphoreBase,
} from './waiting'

type ProxyClass = (new (handle: Handle) => BaseProxy) & { [WRAP]?: ((proxy: BaseProxy) => object) | undefined }

/** What the built-in kinds have besides what the server says; `sync`: methods that have a form …Sync, too. */
const BASES: Record<string, { Base: ProxyClass; name: string; sync?: string }> = {
  dict: { Base: DictBase, name: 'DictProxy' },
  list: { Base: ListBase, name: 'ListProxy' },
  set: { Base: SetBase, name: 'SetProxy' },
  Namespace: { Base: NamespaceProxy, name: 'NamespaceProxy' },
  Lock: { Base: LockBase, name: 'LockProxy', sync: 'acquire with' },
  RLock: { Base: LockBase, name: 'RLockProxy', sync: 'acquire with' },
  Semaphore: { Base: SemaphoreBase, name: 'SemaphoreProxy', sync: 'acquire with' },
  BoundedSemaphore: { Base: SemaphoreBase, name: 'BoundedSemaphoreProxy', sync: 'acquire with' },
  Condition: { Base: ConditionBase, name: 'ConditionProxy', sync: 'acquire with wait waitFor' },
  Event: { Base: EventBase, name: 'EventProxy', sync: 'wait' },
  Barrier: { Base: BarrierBase, name: 'BarrierProxy', sync: 'wait' },
  Queue: { Base: QueueBase, name: 'QueueProxy', sync: 'put putMany get getMany' },
  JoinableQueue: { Base: JoinableQueueBase, name: 'JoinableQueueProxy', sync: 'put putMany get getMany join' },
  Value: { Base: BaseProxy, name: 'ValueProxy', sync: 'update' },
  Array: { Base: ArrayBase, name: 'ArrayProxy' },
  Pool: { Base: PoolBase, name: 'PoolProxy', sync: 'apply map starmap join' },
  Iterator: { Base: IteratorProxy, name: 'IteratorProxy' },
}

const classes = new Map<string, ProxyClass>()

function classOf(shape: Shape): ProxyClass {
  const { kind, type, methods, properties, open } = shape
  const key = [kind, type, open === true, ...methods, '', ...properties].join(' ')
  const known = classes.get(key)
  if (known !== undefined) return known
  const base = Object.hasOwn(BASES, kind) ? BASES[kind] : undefined
  let Class: ProxyClass
  if (base === undefined) {
    Class = generate(ObjectBase, shape)
    if (open === true) Class[WRAP] = wrapOpen
  } else if (kind === 'Namespace') Class = NamespaceProxy
  else {
    Class = generate(base.Base, shape, base.name)
    if (base.sync) addSyncForms(Class.prototype, base.sync.split(' '))
  }
  classes.set(key, Class)
  return Class
}

const proxies = new WeakMap<Handle, WeakRef<object>>()

/** The proxy of a handle: always the same one while somebody has it. */
export function proxyFor(handle: Handle): object {
  const known = proxies.get(handle)?.deref()
  if (known !== undefined) return known
  const Class = (handle.proxyType as ProxyClass | undefined) ?? classOf(handle.shape)
  const made = new Class(handle)
  const proxy = Class[WRAP] === undefined ? made : Class[WRAP](made)
  proxies.set(handle, new WeakRef(proxy))
  return proxy
}
