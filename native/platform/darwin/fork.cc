// macOS: forking a process with threads was never tried there, so it is refused.
#include <pthread.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "platform/platform.h"

namespace multiproc::platform {

const char* fork_refusal() { return "it was tested on Linux only"; }
int64_t fork_process() { return -ENOTSUP; }
void fork_done() {}
void ignore_interrupts(bool) {}
void trim_memory() {}
int64_t list_threads(uint32_t*, size_t) { return -ENOTSUP; }
uint32_t current_thread() {
  uint64_t id = 0;
  pthread_threadid_np(nullptr, &id);
  return static_cast<uint32_t>(id);
}
void thread_name(uint32_t thread, char* out, size_t length) { snprintf(out, length, "%u", thread); }
bool process_reap(uint32_t, bool, ExitStatus*) { return false; }
bool process_signal(ProcessHandle, int) { return false; }

}  // namespace multiproc::platform
