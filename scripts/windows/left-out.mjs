// Tests that are not run on Windows under wine: by file, the whole of it or patterns of names, with the reason.
const SIGNALS = 'needs signals, which Windows does not have'
const SHELL = 'starts its program by /bin/sh'
const SOCKETS = "sockets and descriptors of node's own cannot be waited for on Windows"

export const leftOut = {
  'test/channel/queue.test.ts': { 'signals do not disturb': SIGNALS },
  'test/channel/connection.test.ts': { 'signals disturb neither': SIGNALS },
  'test/channel/huge.test.ts': 'needs more memory than the machine has to spare under wine',
  'test/channel/wait.test.ts': {
    'sockets and descriptors|socket whose other end|a file can always be read': SOCKETS,
    'takes connections over sockets': 'Listener and connect() do not run on Windows yet',
  },
  'test/pool/calls.test.ts': { 'does not keep the program alive': SHELL },
  'test/pool/errors.test.ts': {
    'comes back as its class|comes back as a RemoteError': 'the bundled file has another name',
    'an unhandledRejection': SHELL,
  },
  'test/pool/lifetime.test.ts': { 'does not keep its program|pools in workers of pools': SHELL },
  'test/pool/loss.test.ts': { 'leaves no process behind': SHELL, 'Ctrl-C': SIGNALS },
  'test/pool/progress.test.ts': { 'without cli-progress': SHELL },
  'test/pool/steering.test.ts': { 'stdout and stderr of workers': SHELL },
  'test/pool/time.test.ts': { 'stopped while it was idle': SIGNALS },
  'test/sync/deadlock.test.ts': { 'told by where it was made': 'the bundled file has another name' },
  'test/sync/primitives-death.test.ts': {
    'a permit for a waiter that is killed|an unused notification|notifyAll does not wait for the dead': SIGNALS,
  },
  'test/sync/interleaving.test.ts': 'a model of the algorithms in one process: nothing of the system is in it',
  'test/sync/fairness.test.ts': "under wine the server's turns decide who is next, not Windows",
}
