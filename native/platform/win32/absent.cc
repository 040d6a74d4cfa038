// What Windows does not have: forks, and descriptors that travel over local sockets. lib/ says so to users
// before it gets here; whoever asks all the same is told -ENOTSUP.
#include "platform/descriptors.h"
#include "platform/platform.h"
#include "platform/win32/system.h"

namespace multiproc::platform {

const char* fork_refusal() { return "Windows has no way to copy a process"; }
int64_t fork_process() { return -ENOTSUP; }
void fork_done() {}
void ignore_interrupts(bool) {}
void trim_memory() {}
int64_t list_threads(uint32_t*, size_t) { return -ENOTSUP; }
void thread_name(uint32_t, char* out, size_t length) {
  if (length > 0) out[0] = 0;
}

int64_t memory_read(MemoryHandle, uint64_t, void*, uint64_t) { return -ENOTSUP; }
int64_t memory_known(MemoryHandle) { return -ENOTSUP; }  // another family is not to be found

int control_pair(int*) { return -ENOTSUP; }
int pipe_pair(int*) { return -ENOTSUP; }
int redirect(int, int) { return -ENOTSUP; }
int control_identify(int) { return -ENOTSUP; }
int64_t control_send(int, const void*, size_t, const int*, size_t) { return -ENOTSUP; }
int control_receive(int, void*, size_t, Received*) { return -ENOTSUP; }
int control_wait(int, bool, int64_t) { return -ENOTSUP; }

int local_listen(uint64_t) { return -ENOTSUP; }
void local_unlisten(uint64_t, int) {}
int local_accept(int) { return -ENOTSUP; }
int local_connect(uint64_t, int64_t) { return -ENOTSUP; }
int local_send(int, const void*, size_t, int) { return -ENOTSUP; }
int local_receive(int, void*, size_t, int*) { return -ENOTSUP; }
int local_wait(const int*, size_t, bool*, int) { return -ENOTSUP; }
int descriptor_copy(int) { return -ENOTSUP; }
int descriptor_move(int, int) { return -ENOTSUP; }
void descriptor_close(int) {}
int descriptor_duplicate(int, SocketHandle*) { return -ENOTSUP; }

}  // namespace multiproc::platform
