// Tests that are not run on Windows under wine: by file, the whole of it or patterns of names, with the reason.
const SIGNALS = 'needs signals, which Windows does not have'
const SHELL = 'starts its program by /bin/sh'
const UNIX = 'unix sockets and their files: Windows has none'
const FIRST = 'wine 8 lets others take the name of a pipe, too (it does not know FILE_FLAG_FIRST_PIPE_INSTANCE)'
const SOCKETS = "sockets and descriptors of node's own cannot be waited for on Windows"

export const leftOut = {
  'test/channel/queue.test.ts': { 'signals do not disturb': SIGNALS },
  'test/channel/connection.test.ts': { 'signals disturb neither': SIGNALS },
  'test/channel/huge.test.ts': 'needs more memory than the machine has to spare under wine',
  'test/channel/wait.test.ts': {
    'sockets and descriptors|socket whose other end|a file can always be read': SOCKETS,
  },
  'test/windows/pipes.test.ts': { 'belong to the first': FIRST },
  'test/socket/connect.test.ts': {
    'a file that is no socket': UNIX,
    'without a free descriptor': 'handles are not counted on Windows',
  },
  'test/socket/listener.test.ts': {
    'default > a second one': FIRST,
    'the default address is a socket|a path that|close\\(\\) does not remove|removes what close': UNIX,
  },
  'test/socket/processes.test.ts': { 'signals do not end waits': SIGNALS },
  'test/socket/python.test.ts': 'needs a CPython for Windows',
  'test/manager/lifetime.test.ts': { 'to threads$': 'imports the package from its sources', 'Ctrl-C': SIGNALS },
  'test/manager/registered.test.ts': { 'is an unhandledRejection': 'imports the package from its sources' },
  'test/pool/calls.test.ts': { 'does not keep the program alive': SHELL },
  'test/pool/errors.test.ts': {
    'comes back as its class|comes back as a RemoteError': 'the bundled file has another name',
    'an unhandledRejection': SHELL,
  },
  'test/pool/left.test.ts': { 'a program ends though': SHELL },
  'test/pool/lifetime.test.ts': { 'does not keep its program|pools in workers of pools': SHELL },
  'test/pool/loss.test.ts': { 'leaves no process behind': SHELL, 'Ctrl-C': SIGNALS },
  'test/pool/progress.test.ts': {
    'without cli-progress': SHELL,
    '^(?!.*without)': 'cli-progress is not installed there',
  },
  'test/pool/steering.test.ts': { 'stdout and stderr of workers': SHELL },
  'test/pool/time.test.ts': { 'stopped while it was idle': SIGNALS, 'a stopped worker': SIGNALS },
  'test/sync/event.test.ts': { 'signal handler|signals do not end': SIGNALS },
  'test/sync/deadlock.test.ts': { 'told by where it was made': 'the bundled file has another name' },
  'test/sync/primitives-death.test.ts': {
    'a permit for a waiter that is killed|an unused notification|notifyAll does not wait for the dead': SIGNALS,
  },
  'test/sync/interleaving.test.ts': 'a model of the algorithms in one process: nothing of the system is in it',
  'test/sync/fairness.test.ts': "under wine the server's turns decide who is next, not Windows",
}
