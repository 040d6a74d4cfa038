// Memory and descriptors: what Linux and macOS have in common.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "platform/platform.h"

namespace multiproc::platform {

int memory_map(MemoryHandle memory, uint64_t offset, size_t length, void** out) {
  void* p = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, static_cast<int>(memory),
                 static_cast<off_t>(offset));
  if (p == MAP_FAILED) return -errno;
  *out = p;
  return 0;
}

int memory_write(MemoryHandle memory, uint64_t offset, const void* bytes, uint64_t length) {
  for (uint64_t done = 0; done < length;) {
    const ssize_t n = pwrite(static_cast<int>(memory), static_cast<const char*>(bytes) + done, length - done,
                             static_cast<off_t>(offset + done));
    if (n < 0 && errno != EINTR) return -errno;
    if (n > 0) done += static_cast<uint64_t>(n);
  }
  return 0;
}

int64_t memory_read(MemoryHandle memory, uint64_t offset, void* into, uint64_t length) {
  uint64_t done = 0;
  while (done < length) {
    const ssize_t n = pread(static_cast<int>(memory), static_cast<char*>(into) + done, length - done,
                            static_cast<off_t>(offset + done));
    if (n < 0 && errno != EINTR) return -errno;
    if (n == 0) break;
    if (n > 0) done += static_cast<uint64_t>(n);
  }
  return static_cast<int64_t>(done);
}

void memory_unmap(void* address, size_t length) { munmap(address, length); }

int close_on_exec(int descriptor) {
  int flags = fcntl(descriptor, F_GETFD);
  if (flags < 0 || fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) < 0) return -errno;
  return 0;
}

int memory_adopt(intptr_t given, uint32_t, MemoryHandle* out) {
  *out = given;
  return close_on_exec(static_cast<int>(given));
}

void memory_close(MemoryHandle memory) { close(static_cast<int>(memory)); }

}  // namespace multiproc::platform
